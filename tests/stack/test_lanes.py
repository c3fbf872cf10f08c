"""Each test is in one lane, by what it uses; sessions divide a lane so that each test runs once; faults come last."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from console.cli import test as command
from stack.place import PROJECT
from tests import lanes
from tests.unit_mark import UNIT

CONFTEST = """
import pytest

@pytest.fixture(scope="session")
def stack(): print("the stack is started"); yield; print("the stack is stopped")

@pytest.fixture
def services(stack): pass

@pytest.fixture(scope="module")
def own(): print("own"); yield; print("own is over")
"""
INI = "[pytest]\nmarkers =\n  unit: x\n  slow: x\naddopts = --import-mode=importlib\n"
TESTS = {
    "core/test_pure.py": """
import pytest

def test_pure(): pass
@pytest.mark.slow
def test_pure_but_slow(): pass
""",
    "flow/test_flow.py": """
import pytest

def test_plain(stack, own): pass
def test_plain_too(stack, own): pass
@pytest.mark.parametrize("word", ["a b", "[x]::y"])
def test_of_words(stack, word): pass
@pytest.mark.slow
def test_slow(stack): pass
def test_of_workers(services): pass
""",
    "lifetime/test_kills.py": """
def test_kills(stack): pass
def test_needs_nothing(): pass
""",
}
OF_LANE = {
    "unit": {"test_pure", "test_needs_nothing"},
    "integration": {"test_plain", "test_plain_too", "test_of_words[a b]", "test_of_words[[x]::y]", "test_of_workers"},
    "trials": {"test_pure_but_slow", "test_slow", "test_kills"},
}
ALL = set[str]().union(*OF_LANE.values())


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nmarkers =\n  unit: x\n  slow: x\naddopts = --import-mode=importlib\n"
    )
    for name, text in {"conftest.py": CONFTEST, **TESTS}.items():
        file = tmp_path / "tests" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return tmp_path


def started(project: Path, *words: str) -> subprocess.Popen[str]:
    """Without plugins that these tests do not need: each of them costs a start half a second."""
    options = ("-p", "tests.unit_mark", "-p", "tests.lanes", "-p", "no:cacheprovider", "-q", "-s", *words)
    environment = os.environ | {"PYTHONPATH": str(PROJECT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", *options], cwd=project, env=environment, stdout=subprocess.PIPE, text=True
    )


def names(output: str) -> set[str]:
    return {line.split("::", 1)[1] for line in output.splitlines() if line.startswith("tests/")}


# ---- lanes


def test_each_test_is_in_one_lane(project: Path) -> None:
    every = {lane: started(project, "--collect-only", "--lane", lane) for lane in lanes.LANES}
    assert {lane: names(process.communicate()[0]) for lane, process in every.items()} == OF_LANE


def test_lanes_can_be_added(project: Path) -> None:
    both = started(project, "--collect-only", "--lane", "integration", "--lane", "trials")
    assert names(both.communicate()[0]) == OF_LANE["integration"] | OF_LANE["trials"]


def test_the_command_and_the_plugin_know_the_same_lanes() -> None:
    assert command.LANES == lanes.LANES


def test_a_folder_of_trials_is_there() -> None:
    assert {name for name in lanes.TRIALS if not any((PROJECT / "tests" / name).glob("test_*.py"))} == set()


def test_no_test_of_this_session_is_in_a_lane_that_is_not_its_own(request: pytest.FixtureRequest) -> None:
    for item in request.session.items:
        lane, slow = lanes.lane_of(item), item.get_closest_marker("slow") is not None
        assert (lane == lanes.UNIT_LANE) == (item.get_closest_marker(UNIT) is not None and not slow), item.nodeid
        assert not (lane == lanes.INTEGRATION and (slow or lanes.folder_of(item) in lanes.TRIALS)), item.nodeid


# ---- sessions that divide them


def test_two_sessions_run_each_test_once(project: Path, tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    both = [started(project, f"--share={folder}") for _ in range(2)]
    said = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    report = command.what_was_told(folder, 2)
    assert report.faults == []
    ran = {lane: {test.split("::", 1)[1] for test in seconds} for lane, seconds in report.seconds.items()}
    assert ran == OF_LANE
    for text in said:  # what a file's tests share ends with the file, what a session's tests share with the session
        assert text.count("the stack is started") == text.count("the stack is stopped") <= 1
        assert text.count("own is over") == text.count("own\n") <= 1
    assert "".join(said).count("own is over") == 1


def test_workers_come_first_and_then_what_is_slow(project: Path, tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    assert started(project, f"--share={folder}").wait() == 0
    (file,) = folder.glob("ran.*")
    ran = [json.loads(line)["test"].split("::", 1)[1] for line in file.read_text().splitlines()]
    assert ran[0] == "test_of_workers"
    assert ran.index("test_slow") < ran.index("test_kills")


def test_a_failed_test_leaves_none_out(project: Path, tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    (project / "tests/core/test_pure.py").write_text("def test_wrong(): assert False\ndef test_pure(): pass\n")
    assert started(project, f"--share={folder}").wait() == 1
    report = command.what_was_told(folder, 1)
    assert report.faults == [] and "tests/core/test_pure.py::test_pure" in report.seconds["unit"]


def test_what_cannot_be_collected_ends_a_session(project: Path, tmp_path: Path) -> None:
    (project / "tests/core/test_pure.py").write_text("import no_such_module\n")
    assert started(project, f"--share={tmp_path}").wait() == 2
    assert "of which 0 collected" in command.what_was_told(tmp_path, 1).faults[0]


ROWS = [{"test": f"tests/a.py::t{number}", "lane": "unit", "seconds": 1.5} for number in range(3)]


@pytest.mark.parametrize(
    ("ran", "collected", "said"),
    [
        (ROWS, ["0 1 2", "0 1 2"], []),
        (ROWS[:2], ["0 1 2", "0 1 2"], ["tests/a.py::t2: no session ran it"]),
        ([*ROWS, ROWS[0]], ["0 1 2", "0 1 2"], ["tests/a.py::t0: it ran 2 times"]),
        (ROWS, ["0 1 2", "0 1"], ["2 sessions, of which 2 collected tests, and not all the same"]),
        (ROWS, ["0 1 2"], ["2 sessions, of which 1 collected tests, and not all the same"]),
    ],
)
def test_what_did_not_run_once_is_a_fault(
    ran: list[Any], collected: list[str], said: list[str], tmp_path: Path
) -> None:
    for number, text in enumerate(collected):
        every = "\n".join(f"tests/a.py::t{word}" for word in text.split())
        (tmp_path / f"collected.{number}").write_text(every)
    (tmp_path / "ran.1").write_text("".join(json.dumps(row) + "\n" for row in ran))
    assert command.what_was_told(tmp_path, 2).faults == said


# ---- the whole command

Output = pytest.CaptureFixture[str]


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[list[str]]]:
    """The whole command where lanes end with these codes, and checks with theirs: which lanes were begun together."""

    def begin(*lanes: str, checks: int = 0, expected: int = 0, **codes: int) -> list[list[str]]:
        seen: list[list[str]] = []

        def sessions(lanes: list[str], *_: object) -> tuple[int, command.LaneReport]:
            seen.append(list(lanes))
            code = max(codes.get(lane, 0) for lane in lanes)
            faults = ["tests/it.py::test_wrong"] if code else []
            return code, command.LaneReport({lane: {f"tests/{lane}.py::test": 61.0} for lane in lanes}, faults)

        @contextmanager
        def beside(*_: object) -> Iterator[Callable[[], int]]:
            yield lambda: checks

        monkeypatch.setattr(command, "_sessions", sessions)
        monkeypatch.setattr(command, "_beside", beside)
        assert command._whole(lanes or command.LANES, {}) == expected
        return seen

    return begin


def test_unit_tests_come_first_and_then_all_others(begun: Callable[..., Any], capsys: Output) -> None:
    assert begun() == [["unit"], ["integration", "trials"]]
    said = capsys.readouterr().out
    assert "== trials: 1 tests, 1.0 minutes" in said
    assert said.splitlines()[-1].startswith("== integration and trials: good")


@pytest.mark.parametrize(
    ("fails", "last"),
    [({"unit": 1}, "FAILED tests/it.py::test_wrong\n"), ({"checks": 1}, "FAILED checks: see above\n")],
)
def test_where_these_fail_nothing_else_is_begun(
    begun: Callable[..., Any], fails: dict[str, int], last: str, capsys: Output
) -> None:
    assert begun(**fails, expected=1) == [["unit"]]
    assert capsys.readouterr().out.endswith(f"== not begun: integration, trials\n{last}")


def test_lanes_are_chosen(begun: Callable[..., Any]) -> None:
    assert begun("trials") == [["trials"]]
    assert begun("unit") == [["unit"]]


def test_what_failed_stands_at_the_end(begun: Callable[..., Any], capsys: Output) -> None:
    begun(trials=1, expected=1)
    assert capsys.readouterr().out.endswith("FAILED tests/it.py::test_wrong\n")
