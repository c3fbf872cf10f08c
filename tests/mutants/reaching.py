"""A plugin of pytest: writes down, a line of JSON a test, where a guard would have made a difference, changed.

`PASSGATE_SURVEY_REACH` names the file to write. Each guard in the files that `PASSGATE_SURVEY_OF` names tells when it
is evaluated, and to what; a bound tells when both its sides are equal; named SQL tells when its text is asked for. The
calls that do so are put into the module's tree, and the text stays what it is. Where no file is named nothing is
written down; then the plugin only makes what Hypothesis draws the same each time: a change is tried on what passed
without it.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import importlib.abc
import importlib.machinery
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import hypothesis
import pytest

from tests.mutants.guards import changes, where

ROOT = Path.cwd()
FILE = os.environ.get("PASSGATE_SURVEY_REACH")
OF = frozenset(os.environ.get("PASSGATE_SURVEY_OF", "").split())
reached: set[str] = set()

hypothesis.settings.register_profile("survey", deadline=None, derandomize=True, database=None)


def telling(path: str, text: str) -> ast.Module:
    """The module's tree, with `__saw__("ingest/admit/lane.py:12.4-12.9", guard)` in the place of each guard."""
    tree = _Telling({change.reached.split(" ")[0] for change in changes(path, text)}, path).visit(ast.parse(text))
    assert isinstance(tree, ast.Module)
    return ast.fix_missing_locations(tree)


class _Telling(ast.NodeTransformer):
    def __init__(self, names: set[str], path: str) -> None:
        self.names, self.path = names, path

    def visit(self, node: ast.AST) -> Any:
        name = f"{self.path}:{where(node)}" if isinstance(node, ast.expr) else ""
        node = self.generic_visit(node)
        if name not in self.names:
            return node
        if isinstance(node, ast.Compare):
            sides = [_call("__side__", name, index, side) for index, side in enumerate([node.left, *node.comparators])]
            node.left, node.comparators = sides[0], sides[1:]
        assert isinstance(node, ast.expr)
        return _call("__saw__", name, 0, node)


def _call(function: str, name: str, index: int, value: ast.expr) -> ast.expr:
    arguments: list[ast.expr] = [ast.Constant(name), ast.Constant(index), value]
    return ast.copy_location(ast.Call(ast.Name(function, ast.Load()), arguments, []), value)


def saw(name: str, _: int, value: Any) -> Any:
    reached.add(f"{name} evaluated")
    with contextlib.suppress(Exception):
        reached.add(f"{name} {bool(value)}")
    return value


def side(name: str, index: int, value: Any) -> Any:
    """Of a comparison: remembered until the next side of it is there."""
    with contextlib.suppress(Exception):
        if index and _sides[name, index - 1] == value:
            reached.add(f"{name} equal {index - 1}")
        _sides[name, index] = value
    return value


_sides: dict[tuple[str, int], Any] = {}


class _Loader(importlib.machinery.SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType:
        path = Path(self.get_filename(fullname))
        text, name = path.read_text(encoding="utf-8"), str(path.relative_to(ROOT))
        tree = telling(name, text) if name in OF else ast.parse(text)
        return compile(tree, str(path), "exec", dont_inherit=True)

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        if module.__name__ == "ingest.db":
            _tell_of_sql(module)


def _tell_of_sql(db: Any) -> None:
    """Named SQL is reached when its text is asked for."""
    plain = db.statements

    class Telling:
        def __init__(self, package: str, file: str) -> None:
            self.texts, self.path = plain(package, file), f"{package.replace('.', '/')}/{file}.sql"

        def __getattr__(self, name: str) -> Any:
            reached.add(f"{self.path}:{name}")
            return getattr(self.texts, name)

    db.statements = Telling


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> Any:
        name = fullname.replace(".", "/")
        if fullname != "ingest.db" and OF.isdisjoint({f"{name}.py", f"{name}/__init__.py"}):
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        if spec is not None and spec.origin:
            spec.loader = _Loader(fullname, spec.origin)
        return spec


def pytest_configure(config: pytest.Config) -> None:
    hypothesis.settings.load_profile("survey")


if FILE:
    builtins.__saw__, builtins.__side__ = saw, side  # type: ignore[attr-defined]
    sys.meta_path.insert(0, _Finder())

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(item: pytest.Item) -> Iterator[Any]:
        reached.clear()
        _outcomes.clear()
        begun = time.monotonic()
        done = yield
        _write(item.nodeid, time.monotonic() - begun, _outcomes == {"passed"})
        return done

    def pytest_collection_finish(session: pytest.Session) -> None:
        """What is reached while modules are imported is reached by every test."""
        _write("", 0.0, True)

    _outcomes: set[str] = set()

    def pytest_runtest_logreport(report: pytest.TestReport) -> None:
        _outcomes.add(report.outcome)

    def _write(test: str, seconds: float, passed: bool) -> None:
        line = {"test": test, "seconds": round(seconds, 2), "passed": passed, "reached": sorted(reached)}
        with Path(str(FILE)).open("a", encoding="utf-8") as out:
            out.write(json.dumps(line) + "\n")
