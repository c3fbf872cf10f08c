"""What becomes of a record is the same under every Python, locale, time zone, working directory and hash seed."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from re import _constants, _parser  # type: ignore[attr-defined]
from typing import Any

import msgspec
import pytest

from ingest.core.errors import RecordError
from ingest.core.pattern import portable
from ingest.core.reason import Reason
from ingest.core.strictjson import Fault, diagnose, read
from tests.core.ingest import fates

ROOT = Path(__file__).parents[3]
PACKAGES = ("stack", "console", "ingest", "audit", "plans", "trials", "tests")
#: Where .ci/pythons keeps an environment for each Python it finds.
PREPARED = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "passgate-ci"


def told(python: str, environment: dict[str, str], folder: Path, *options: str) -> list[str]:
    """The fates as another process writes them."""
    command = [python, *options, str(Path(fates.__file__))]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def pinned() -> list[str]:
    return fates.PINNED.read_text(encoding="ascii").splitlines()


@pytest.mark.parametrize(
    ("environment", "options"),
    [
        ({}, ()),
        ({"LC_ALL": "C", "TZ": "Pacific/Apia", "PYTHONHASHSEED": "1", "PYTHONUTF8": "0"}, ()),
        ({"LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8", "TZ": "Asia/Kathmandu", "PYTHONHASHSEED": "99"}, ()),
        ({"PYTHONINTMAXSTRDIGITS": "640", "LC_ALL": "POSIX"}, ("-O", "-X", "utf8=0")),
        ({"PYTHONINTMAXSTRDIGITS": "0", "PYTHONMALLOC": "debug"}, ("-X", "dev")),
    ],
    ids=["nothing", "C", "Turkish", "few digits", "any digits"],
)
def test_fates_depend_on_nothing_around(environment: dict[str, str], options: tuple[str, ...], tmp_path: Path) -> None:
    assert told(sys.executable, environment, tmp_path, *options) == pinned()


def prepared() -> list[Path]:
    """Programs of environments of other Pythons; this one's tests are run with each of them, too (.ci/pythons)."""
    # The stamp is written last: without one an environment is not whole.
    return sorted(stamp.parent / "bin" / "python" for stamp in PREPARED.glob("*/venv/passgate-stamp.json"))


@pytest.mark.slow
def test_fates_are_the_same_under_the_other_pythons_of_this_machine(tmp_path: Path) -> None:
    others = prepared()
    if not others:
        pytest.skip(f"wants other Pythons with Passgate's packages in {PREPARED}: .ci/pythons makes them")
    for python in others:
        assert told(str(python), {}, tmp_path) == pinned(), python


def test_every_case_has_a_fate_of_its_own_line() -> None:
    names = [line.split("\t")[0] for line in pinned()]
    assert len(names) == len(set(names)) > 350


# ---- patterns


def texts() -> Iterator[tuple[str, str | bytes]]:
    """Every text of every module that uses regular expressions, pieces of longer ones included, with its place."""
    for file in sorted(file for package in PACKAGES for file in (ROOT / package).rglob("*.py")):
        source = file.read_text(encoding="utf-8")
        if not re.search(r"^(import re|from re import)\b|Regex", source, re.MULTILINE):
            continue
        docs = {id(node.value) for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Expr)}
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes) and id(node) not in docs:
                yield f"{file.relative_to(ROOT)}:{node.lineno}", node.value


def leans_on_new_ways(pattern: str | bytes) -> bool:
    """Whether it has a possessive quantifier or an atomic group; a piece of a pattern is looked at as text."""
    try:
        return _has(_parser.parse(pattern))
    except (re.error, ValueError, OverflowError, RecursionError):
        text = pattern.decode("latin-1") if isinstance(pattern, bytes) else pattern
        return bool(re.search(r"[*+?}]\+|\(\?>", text))


def _has(parsed: Any) -> bool:
    if isinstance(parsed, list | tuple | _parser.SubPattern):
        items = list(parsed)
        new = (_constants.POSSESSIVE_REPEAT, _constants.ATOMIC_GROUP)
        return any(item in new for item in items if isinstance(item, type(new[0]))) or any(map(_has, items))
    return False


#: What is there to be refused.
MEANT = {"7++", "(?>7)", "a*+", "(?:a|b)++", "a{2}+", "x?+", "(?>a|b)", "[*+?}]\\+|\\(\\?>"}


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_no_pattern_is_possessive_or_atomic() -> None:
    found = list(texts())
    assert len(found) > 500
    assert [f"{place}: {text!r}" for place, text in found if text not in MEANT and leans_on_new_ways(text)] == []


@pytest.mark.parametrize("pattern", sorted(MEANT - {"[*+?}]\\+|\\(\\?>"}))
def test_the_walk_sees_them_and_a_contract_may_not_have_them(pattern: str) -> None:
    assert leans_on_new_ways(pattern)
    assert leans_on_new_ways(pattern.encode())
    with pytest.raises(RecordError):
        portable(pattern)


@pytest.mark.parametrize("pattern", ["a\\*+", "[*+]+", "[^]+*]+", "a+", "(a*)+", "(?i)a", "\\\\+", "[\\]+]+"])
def test_what_only_looks_like_them_is_taken(pattern: str) -> None:
    assert not leans_on_new_ways(pattern)
    assert portable(pattern) == f"(?a){pattern}"


@pytest.mark.parametrize("pattern", ["(?u)a", "(?L)a", "(?u:\\d)", "(?iu:a)", "(", "a{99999999999}"])
def test_a_pattern_that_brings_the_tables_back_or_is_none_is_refused(pattern: str) -> None:
    with pytest.raises(RecordError):
        portable(pattern)


# ---- no reason is read from words, and the words that are shown are known


@pytest.mark.parametrize("said", ["", "something else", "out of range (byte 3)", "trailing characters", "truncated"])
@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b'{"a":1', Reason.NOT_JSON),
        (b'{"a":1,}', Reason.NOT_JSON),
        (b'{"a":1}x', Reason.TRAILING),
        (b'{"a":1e400}', Reason.NUMBER_RANGE),
        (b'{"a":-Infinity}', Reason.NUMBER_RANGE),
        (b'{"a":' + b"7" * 5_000 + b"}", Reason.NUMBER_RANGE),
        (b'{"a":"\\ud800"}', Reason.SURROGATE),
        (b'{"a":"\\\\ud800', Reason.NOT_JSON),
    ],
    ids=repr,
)
def test_a_reason_does_not_hang_on_what_the_decoder_said(value: bytes, reason: Reason, said: str) -> None:
    assert diagnose(value, said).reason is reason


SAID = [
    (b'{"a":1,}', "JSON is malformed: trailing comma in object (byte 7)"),
    (b'{"a"', "Input data was truncated"),
    (b'{"a":1}x', "JSON is malformed: trailing characters (byte 8)"),
    (b'{"a":1e400}', "Number out of range - at `$[...]`"),
    (b'{"a":NaN}', "JSON is malformed: invalid character (byte 5)"),
    (b'{"a":"\\x"}', "JSON is malformed: invalid escape character in string (byte 8)"),
    (b'{"a":01}', "JSON is malformed: invalid number (byte 6)"),
    (b"{a:1}", "JSON is malformed: object keys must be strings (byte 1)"),
    (b'{"a" 1}', "JSON is malformed: expected ':' (byte 5)"),
    (b"[1 2]", "JSON is malformed: expected ',' or ']' (byte 3)"),
    (b'{"a":1 "b":2}', "JSON is malformed: expected ',' or '}' (byte 7)"),
]


@pytest.mark.parametrize(("value", "said"), SAID, ids=repr)
def test_the_sentence_and_the_place_are_as_the_pinned_decoder_says_them(value: bytes, said: str) -> None:
    """A detail is stored, and begins with these words: so the version is exact, and a new one is looked at here."""
    with pytest.raises(msgspec.DecodeError) as caught:
        msgspec.json.decode(value)
    assert str(caught.value) == said
    got = read(value, 32)
    assert isinstance(got, Fault)


@pytest.mark.parametrize("name", ["msgspec", "rfc8785", "jsonschema"])
def test_what_decides_about_records_has_one_version(name: str) -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    locked = re.search(rf"^{name}==(\S+)", (ROOT / "requirements.lock").read_text(encoding="utf-8"), re.MULTILINE)
    assert locked is not None
    assert f'"{name}=={locked[1]}"' in project
    assert version(name) == locked[1]
