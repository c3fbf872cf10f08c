"""A function gets other code whoever holds it; what is no function says so, and its file is imported anew."""

from __future__ import annotations

import re
from collections.abc import Callable
from types import ModuleType

import pytest

from tests.mutants.forking import Cannot, differing, give_code

TEXT = """\
import functools
from contextlib import contextmanager

LIMIT = 1 if 2 > 1 else 0

def plain(x):
    return "guarded" if x > 1 else "free"

def outer(x):
    def inner():
        return plain(2) if x > 1 else "free"
    return inner()

@functools.cache
def cached(x):
    return plain(x)

@contextmanager
def managed(x):
    yield plain(x)

class Thing:
    @property
    def answer(self):
        return plain(2)

    @classmethod
    def make(cls, x):
        return plain(x)

    @staticmethod
    def of(x):
        return plain(x)

    @functools.cached_property
    def once(self):
        return plain(2)

def closing(x):
    def inner(y):
        return y
    return inner

closed = closing(1)
"""


@pytest.fixture
def module() -> ModuleType:
    made = ModuleType("sample")
    exec(compile(TEXT, "sample.py", "exec"), made.__dict__)
    return made


def managed(module: ModuleType) -> str:
    with module.managed(2) as said:
        return str(said)


@pytest.mark.parametrize(
    ("function", "line", "said"),
    [
        ("plain", 'return "guarded" if', lambda m: m.plain(2)),
        ("outer.inner", "return plain(2) if x > 1", lambda m: m.outer(2)),
        ("cached", "return plain(x)", lambda m: m.cached(2)),
        ("managed", "yield plain(x)", managed),
        ("Thing.answer", "return plain(2)", lambda m: m.Thing().answer),
        ("Thing.make", "return plain(x)", lambda m: m.Thing.make(2)),
        ("Thing.of", "return plain(x)", lambda m: m.Thing.of(2)),
        ("Thing.once", "return plain(2)", lambda m: m.Thing().once),
    ],
)
def test_it_gets_other_code(module: ModuleType, function: str, line: str, said: Callable[[ModuleType], str]) -> None:
    held = module.plain  # as another module that imported it holds it
    start = TEXT.index(line, TEXT.index(f"def {function.split('.')[-1]}("))
    other = re.sub(r'plain\(.\)|"guarded"', '"changed"', line)
    changed = TEXT[:start] + other + TEXT[start + len(line) :]
    assert said(module) == "guarded"
    module.cached.cache_clear()
    give_code(module, function, compile(changed, "sample.py", "exec"))
    assert said(module) == "changed"
    assert held is module.plain


@pytest.mark.parametrize(
    ("function", "old", "new"),
    [
        ("", "2 > 1", "2 >= 1"),
        ("Thing", "pass", "pass"),
        ("gone", "x", "x"),
        ("plain", "def plain(x):\n", "\n\n\ndef plain(x):\n"),
    ],
)
def test_what_is_no_function_that_is_there_cannot(module: ModuleType, function: str, old: str, new: str) -> None:
    with pytest.raises(Cannot):
        give_code(module, function, compile(TEXT.replace(old, new), "sample.py", "exec"))


def test_a_function_that_closes_over_other_names_cannot() -> None:
    text = "def make(a, b):\n    def inner():\n        return a and b\n    return inner\nheld = make(1, 2)\n"
    made = ModuleType("sample")
    exec(compile(text, "sample.py", "exec"), made.__dict__)
    made.__dict__["inner"] = made.held
    inner = compile(text.replace("a and b", "a"), "sample.py", "exec").co_consts[0].co_consts[1]
    whole = compile(text, "sample.py", "exec")
    with pytest.raises(Cannot, match="closes over other names"):
        give_code(made, "inner", whole.replace(co_consts=(*whole.co_consts, inner)))


# ---- which functions a change is in

SQL = "-- What they do.\n-- name: take\nSELECT 1\n-- name: none\nSELECT 2\n"


@pytest.mark.parametrize(
    ("old", "new", "functions"),
    [
        ("x > 1 else", "x >= 1 else", ["plain", "outer"]),
        ('"guarded" if', '"other" if', ["plain"]),
        (
            "    def answer(self):\n        return plain(2)",
            "    def answer(self):\n        return plain(1)",
            ["Thing.answer"],
        ),
        ("    def inner(y):\n        return y", "    def inner(y):\n        return [y]", ["closing"]),
        ("def plain(x):\n", "\n\n# further below\ndef plain(x):\n", []),
        ("def plain(x):\n    return", "def plain(x):\n    _ = True\n    return", ["plain"]),
        ("return plain(2)\n\n    @classmethod", "return plain(True)\n\n    @classmethod", ["Thing.answer"]),
    ],
)
def test_functions_that_differ_are_found(old: str, new: str, functions: list[str]) -> None:
    assert old in TEXT
    assert differing("sample.py", TEXT, TEXT.replace(old, new)) == functions


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("2 > 1 else 0", "2 > 1 else 1"),
        ("2 > 1 else 0", "2 > 1 else False"),
        ("def plain(x):", "def plain(x=1):"),
        ("def plain(x):", "def plain(x, y=1):"),
        ("@functools.cache\n", ""),
        ("class Thing:\n", "class Thing:\n    more = 1\n"),
        ("closed = closing(1)\n", "closed = closing(2)\n"),
        ("def plain(x):", "def simple(x):"),
    ],
)
def test_what_a_module_does_while_it_is_imported_cannot(old: str, new: str) -> None:
    assert old in TEXT
    with pytest.raises(Cannot):
        differing("sample.py", TEXT, TEXT.replace(old, new))


def test_named_sql_that_differs_is_found() -> None:
    assert differing("it.sql", SQL, SQL.replace("SELECT 2", "SELECT 3")) == ["none"]
    for changed in (SQL.replace("name: none", "name: some"), SQL.replace("What", "All that")):
        with pytest.raises(Cannot):
            differing("it.sql", SQL, changed)
