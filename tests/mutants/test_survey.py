"""The survey's tool: it finds guards, its changes apply and change what happens, and its list names what is there."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.mutants import survey
from tests.mutants.guards import Change, changes
from tests.mutants.reaching import reached, saw, side, telling
from tests.mutants.trying import Place, Reach, Trials, Tried

PYTHON = """\
def may_read(age: int, bound: int, names: list[str], shut: bool) -> str:
    # «older» is older
    if age > bound and not shut:
        return "old"
    for name in [name for name in names if name != "nobody"]:
        if name == "stranger" or name == "«gast»" or shut:
            return name
    return "yes"
"""
CASES: list[tuple[int, int, list[str], bool]] = [
    (2, 1, [], False), (1, 1, [], False), (1, 1, [], True), (2, 1, [], True), (0, 1, ["nobody"], True),
    (0, 1, ["stranger"], False), (0, 1, ["«gast»"], False), (0, 1, ["friend"], True), (0, 1, ["friend"], False),
]  # fmt: skip
SQL = """\
-- name: take
-- One AND of a comment, and one of a BETWEEN.
UPDATE position SET owner = %(me)s
 WHERE lane = %(lane)s AND until <= clock_timestamp() AND fence BETWEEN 1 AND 9
   AND EXISTS (SELECT FROM source s JOIN stream t ON t.id = 1 AND t.live WHERE s.id = 7)

-- name: none
SELECT 'a AND b < c'
"""


def made_of(source: str | ast.Module) -> Callable[..., str]:
    made: dict[str, Any] = {"__saw__": saw, "__side__": side}
    exec(compile(source, "sample", "exec"), made)
    may_read: Callable[..., str] = made["may_read"]
    return may_read


def answers(text: str) -> list[str]:
    return [made_of(text)(*case) for case in CASES]


def test_it_finds_every_guard_of_a_function() -> None:
    assert {change.what for change in changes("ingest/sample.py", PYTHON)} == {
        "leaves: `age > bound and not shut` is False",
        "operand: `age > bound` is True",
        "operand: `not shut` is True",
        "bound: `>` is `>=` in `age > bound`",
        "not: `not shut`",
        'filter: `name != "nobody"` is True',
        'leaves: `name == "stranger" or name == "«gast»" or shut` is False',
        'operand: `name == "stranger"` is False',
        'operand: `name == "«gast»"` is False',
        "operand: `shut` is False",
    }
    assert {change.function for change in changes("ingest/sample.py", PYTHON)} == {"may_read"}


@pytest.mark.parametrize("change", changes("ingest/sample.py", PYTHON), ids=lambda change: change.what)
def test_a_guard_changed_changes_what_happens(change: Change) -> None:
    assert answers(change.applied(PYTHON)) != answers(PYTHON)


def test_equal_changes_in_one_function_have_keys_of_their_own() -> None:
    text = "def f(x):\n    if x:\n        return 1\n    if x:\n        return 2\n"
    assert [(change.what, change.turn) for change in changes("a.py", text)] == [
        ("leaves: `x` is False", 1), ("leaves: `x` is False", 2),
    ]  # fmt: skip


def test_a_name_that_a_guard_binds_is_bound_though_the_guard_says_nothing() -> None:
    text = "def f(x):\n    if (y := x) > 3:\n        return 0\n    return y\n"
    (never,) = [change for change in changes("a.py", text) if change.what.startswith("leaves")]
    made: dict[str, Any] = {}
    exec(never.applied(text), made)
    assert made["f"](5) == 5


@pytest.mark.parametrize(
    ("text", "matters"),
    [
        ("def f(x):\n    return x or {}\n", "2.16-2.18 evaluated"),
        ("def f(x):\n    return x or x > 1\n", "2.16-2.21 True"),
        ("def f(x):\n    return 1 if x or y else 2\n", "2.21-2.22 True"),
        ("def f(x):\n    return [y for y in x if y and not (y or z)]\n", "2.44-2.45 True"),
    ],
)
def test_a_value_that_is_given_on_matters_whatever_it_is(text: str, matters: str) -> None:
    *_, last = (change for change in changes("a.py", text) if change.what.startswith("operand"))
    assert last.reached == f"a.py:{matters}"


def test_it_finds_the_conditions_of_named_sql() -> None:
    found = changes("ingest/sample.sql", SQL)
    assert [change.what for change in found] == [
        "condition: `lane = %(lane)s` is true",
        "condition: `until <= clock_timestamp()` is true",
        "bound: `<=` is `<` in `%(lane)s AND until <= clock_timestamp ( )`",
        "condition: `fence BETWEEN 1 AND 9` is true",
        "condition: `EXISTS (SELECT FROM source s JOIN stream t ON t.id = 1 AND t.live WHERE s.id = 7)` is true",
        "condition: `t.live` is true",
        "condition: `s.id = 7` is true",
    ]
    assert {change.function for change in found} == {"take"}
    (live,) = [change for change in found if "`t.live`" in change.what]
    assert live.applied(SQL) == SQL.replace("t.live", "true")


@pytest.mark.parametrize(("path", "text"), [("ingest/sample.py", PYTHON), ("ingest/sample.sql", SQL)])
def test_each_change_is_a_diff_that_git_applies(tmp_path: Path, path: str, text: str) -> None:
    file = tmp_path / path
    file.parent.mkdir(parents=True)
    for change in changes(path, text):
        file.write_text(text, encoding="utf-8")
        subprocess.run(["git", "apply", "-"], input=change.diff(text), text=True, cwd=tmp_path, check=True)
        assert file.read_text(encoding="utf-8") == change.applied(text)


def test_every_change_of_the_files_it_is_for_has_a_key_of_its_own() -> None:
    found = survey.every_change()
    assert len({change.key for change in found}) == len(found) > 2_000


@pytest.mark.parametrize("path", [path for path in survey.FILES if path.endswith(".py")])
def test_what_it_changes_is_python(path: str) -> None:
    """One change of each kind."""
    text = (survey.ROOT / path).read_text(encoding="utf-8")
    for change in {change.what.split(":")[0]: change for change in changes(path, text)}.values():
        compile(change.applied(text), path, "exec")


@pytest.mark.parametrize("change", changes("ingest/sample.py", PYTHON), ids=lambda change: change.what)
def test_a_guard_tells_when_its_change_would_make_a_difference(change: Change) -> None:
    """Exactly: where it says nothing, the changed function answers as the other does."""
    reached.clear()
    plain, changed, told = (
        made_of(PYTHON),
        made_of(change.applied(PYTHON)),
        made_of(telling("ingest/sample.py", PYTHON)),
    )
    for case in CASES:
        reached.clear()
        assert told(*case) == plain(*case)
        assert changed(*case) == plain(*case) or change.reached in reached


def test_a_test_that_failed_without_a_change_is_not_asked(tmp_path: Path) -> None:
    file = tmp_path / "0.jsonl"
    file.write_text(
        '{"test": "", "seconds": 0, "passed": true, "reached": ["b.py:1"]}\n'
        '{"test": "t.py::slow[1]", "seconds": 2, "passed": true, "reached": ["a.py:1"]}\n'
        '{"test": "t.py::slow[2]", "seconds": 3, "passed": true, "reached": []}\n'
        '{"test": "t.py::quick", "seconds": 1, "passed": true, "reached": ["a.py:1"]}\n'
        '{"test": "t.py::red[1]", "seconds": 1, "passed": true, "reached": ["a.py:1"]}\n'
        '{"test": "t.py::red[2]", "seconds": 1, "passed": false, "reached": ["a.py:1"]}\n'
    )
    reach = Reach.read([file])
    assert reach.seconds == {"t.py::slow": 5.0, "t.py::quick": 1.0}
    assert reach.tests(Change("a.py", "f", "", 0, 0, "", "a.py:1")) == ["t.py::quick", "t.py::slow"]
    assert reach.tests(Change("b.py", "f", "", 0, 0, "", "b.py:1")) == ["t.py::quick", "t.py::slow"]
    assert reach.tests(Change("c.py", "f", "", 0, 0, "", "c.py:1")) == []


GATE = "tests/core/audit/test_gate.py::test_an_open_run_is_not_open_to_readers"


def test_a_change_is_tried_in_a_process_of_its_own() -> None:
    """Killed by the test that asks for the guard, and gone when the next is tried; in code that is imported, too."""
    found = {change.what: change for change in survey.every_change(["audit/core/gate.py"])}
    leaves = found["leaves: `worst.code is Code.OPEN and not closed` is False"]
    bound = found["bound: `<` is `<=` in `now < open_until`"]
    end = len((survey.ROOT / "audit/core/gate.py").read_text(encoding="utf-8"))
    imported = replace(leaves, function="", start=end, end=end, new="raise ImportError\n")
    reach = Reach({GATE: 1.0}, {change.reached: {GATE} for change in (leaves, bound)})
    with Place(["tests/core/audit/test_gate.py"]) as place:
        trials = Trials(place, reach)
        assert trials.of(leaves) == Tried("killed", GATE)
        assert trials.of(bound) == Tried("survived", "1 of 1 tests")
        assert trials.of(imported) == Tried("killed", "import")
        assert trials.of(replace(leaves, reached="none")) == Tried("unreached", "")


def test_the_list_is_read_as_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "survey.tsv"
    entries = [
        survey.Entry(("audit/close.py", "judge", "not: `not x`", 1), "killed", "tests/a.py::b"),
        survey.Entry(("audit/close.py", "judge", "not: `not x`", 2), "equivalent", "it is asked twice"),
    ]
    survey.write_list(entries, file)
    assert list(survey.read_list(file).values()) == entries


def test_an_entry_whose_guard_is_gone_is_stale() -> None:
    here, *_ = found = changes("ingest/sample.py", PYTHON)
    gone = survey.Entry(("ingest/sample.py", "may_read", "not: `not open`", 1), "killed", "tests/a.py::b")
    assert survey.stale([survey.Entry(here.key, "killed", ""), gone], found) == [gone]


RESULTS = {"killed", "survived", "unreached", "equivalent", "defended"}


def test_the_list_is_about_the_code_as_it_is() -> None:
    """A guard that was rewritten since is stale, and the tool names it; at one in ten it is time to try them again."""
    entries = list(survey.read_list().values())
    gone = survey.stale(entries, survey.every_change())
    assert len(gone) * 10 <= len(entries), [entry.key for entry in gone]
    assert {entry.result for entry in entries} <= RESULTS


def test_what_is_explained_says_why() -> None:
    explained = [entry for entry in survey.read_list().values() if entry.result in {"equivalent", "defended"}]
    assert all(len(entry.by) > 10 for entry in explained)
