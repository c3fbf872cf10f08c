"""What CI runs: which Pythons it finds, what a second run is for, and that a skipped test names what it wants."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any

import pytest

from tests.patience import MOST, stretched

ROOT = Path(__file__).parents[2]


def loaded() -> Any:
    loader = SourceFileLoader("pythons", str(ROOT / ".ci" / "pythons"))
    spec = spec_from_loader("pythons", loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


def program(folder: Path, name: str, said: str) -> Path:
    """A stand-in for an interpreter that says what it is."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    file.write_text(f"#!/bin/sh\nif [ -n '{said}' ]; then echo '{said}'; else exit 1; fi\n")
    file.chmod(0o755)
    return file


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    return tmp_path


def test_every_python_from_3_11_on_is_found_once(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pythons = loaded()
    monkeypatch.setattr(pythons, "SYSTEM", (str(machine / "usr/bin"),))
    system = program(machine / "usr/bin", "python3.11", "3 11 2 cpython True 3.11.2 (main, Debian)")
    (machine / "usr/bin/python3").symlink_to(system)
    managed = machine / ".pyenv/versions"
    program(managed / "3.12.1/bin", "python3.12", "3 12 1 cpython True 3.12.1 (main)")
    program(managed / "3.10.13/bin", "python3.10", "3 10 13 cpython True 3.10.13 (main)")
    program(managed / "3.11.2/bin", "python3.11", "3 11 2 cpython True 3.11.2 (another build)")
    program(managed / "pypy/bin", "python3", "3 11 9 pypy True 3.11.9")
    program(machine / ".local/share/uv/python/cpython-3.14/bin", "python3.14", "3 14 0 cpython True 3.14.0 (main)")
    program(machine / "path", "python3", "3 12 1 cpython False a virtual environment of it")
    program(machine / "path", "python3.13", "3 13 0 cpython True 3.13.0 (main)")
    program(machine / "path", "python3.12", "")  # a stand-in of a version manager that has no such version
    program(machine / "path", "python3-config", "3 15 0 cpython True no interpreter")
    found = pythons.pythons()
    assert [python.name for python in found] == ["3.11.2", "3.12.1", "3.13.0", "3.14.0"]
    assert found[0].program.resolve() == system


def test_this_python_is_among_them() -> None:
    assert ".".join(map(str, sys.version_info[:3])) in [python.name for python in loaded().pythons()]


def test_a_python_that_cannot_be_set_up_fails_and_says_why(machine: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pythons = loaded()
    broken = pythons.Python((3, 99, 0), program(machine / "path", "python3.99", ""), "")
    assert pythons.tried(pythons.jobs([broken], "", with_demo=False)) == [
        ("3.99.0: unit tests NOT TRIED, it cannot be set up: no word why", False)
    ]


@pytest.fixture
def trying(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[tuple[str, bool]]]:
    """Unit tests and demos that end so, one run after the other, with Pythons that all can be set up."""
    pythons = loaded()
    two = [pythons.Python((3, 11, 2), Path("/old"), ""), pythons.Python((3, 13, 0), Path("/new"), "")]
    monkeypatch.setattr(pythons, "set_up", lambda python: python.program)

    def tried(units: list[tuple[int, str]], demo: list[tuple[int, str]]) -> list[tuple[str, bool]]:
        runs = {"units": iter(units), "demo": iter(demo)}
        for name in runs:
            monkeypatch.setattr(pythons, name, lambda program, name=name: next(runs[name]))
        ends: list[tuple[str, bool]] = pythons.tried(pythons.jobs(two, "3.11.2", with_demo=True))
        return ends

    return tried


def test_the_demo_runs_with_the_oldest_and_unit_tests_with_all_others(trying: Callable[..., Any]) -> None:
    assert trying([(0, "")], [(0, "")]) == [("3.11.2: demo good (0 s)", True), ("3.13.0: unit tests good (0 s)", True)]


def test_what_a_second_run_mends_is_good_and_what_it_does_not_is_named(
    trying: Callable[..., Any], capfd: pytest.CaptureFixture[str]
) -> None:
    wrong = "FAILED tests/core/test_it.py::test_wrong - assert 1 == 2\n1 failed"
    assert trying([(1, wrong), (1, wrong)], [(1, "late"), (0, "")]) == [
        ("3.11.2: demo good, but needed a second run (0 s)", True),
        ("3.13.0: unit tests FAILED (0 s)\n      FAILED tests/core/test_it.py::test_wrong", False),
    ]
    assert capfd.readouterr().out.count("assert 1 == 2") == 2  # both runs are shown


# ---- lanes, and the second run

FAKE = """#!/usr/bin/env bash
# manage.py test, as a story tells it: what failed and the exit code of each run.
if [ "$1" = -c ]; then exec {python} "$@"; fi
if [ "$1" = .ci/pythons ]; then cat pythons; exit 1; fi
if [ "$1" != manage.py ]; then exit 0; fi
shift 2
echo "tests: $*"
run=$(cat runs 2>/dev/null || echo 0); run=$((run + 1)); echo "$run" > runs
mkdir -p .pytest_cache/v/cache
cp "failed.$run" .pytest_cache/v/cache/lastfailed 2>/dev/null || true
exit "$(cat "code.$run")"
"""


UNIT, REST = "tests: --lane=unit\n", "tests: --lane=integration --lane=trials\n"
AGAIN = "tests: --last-failed --last-failed-no-failures=none\n"


def ci(folder: Path, *runs: tuple[int, list[str]], pythons: str = "") -> subprocess.CompletedProcess[str]:
    """.ci/run --suite with test runs that end so: (exit code, names of tests that failed). `pythons`: what trying every
    Python says and then fails, without --suite. All that is said goes into a file, as in most CI.
    """
    (folder / ".ci").mkdir()
    (folder / ".ci" / "run").write_text((ROOT / ".ci" / "run").read_text())
    tools = folder / "tools"
    tools.mkdir()
    for name in ("python3", "chromium"):
        (tools / name).write_text(FAKE.format(python=sys.executable))
        (tools / name).chmod(0o755)
    for number, (code, failed) in enumerate(runs, 1):
        (folder / f"code.{number}").write_text(str(code))
        (folder / f"failed.{number}").write_text(json.dumps(dict.fromkeys(failed, True)))
    environment = os.environ | {"PATH": f"{tools}:{os.environ['PATH']}"}
    (folder / "pythons").write_text(pythons)
    command = ["bash", str(folder / ".ci" / "run"), *([] if pythons else ["--suite"])]
    with (folder / "output").open("w") as output:
        done = subprocess.run(command, env=environment, stdout=output, stderr=subprocess.STDOUT, text=True, timeout=120)
    return subprocess.CompletedProcess(command, done.returncode, (folder / "output").read_text())


def ran(done: subprocess.CompletedProcess[str]) -> str:
    return "".join(line for line in done.stdout.splitlines(keepends=True) if line.startswith("tests: "))


GOOD: tuple[int, list[str]] = (0, [])


def test_a_good_run_runs_each_lane_once_and_the_unit_tests_first(tmp_path: Path) -> None:
    done = ci(tmp_path, GOOD, GOOD)
    assert (done.returncode, done.stdout) == (0, UNIT + REST)


def test_what_needed_a_second_run_is_printed(tmp_path: Path) -> None:
    done = ci(tmp_path, GOOD, (1, ["tests/a.py::late", "tests/b.py::later"]), GOOD)
    assert (done.returncode, ran(done)) == (0, UNIT + REST + AGAIN), done.stdout
    assert done.stdout.endswith("== good, but 2 needed a second run:\ntests/a.py::late\ntests/b.py::later\n")


def test_what_fails_twice_fails_and_is_named_at_the_end(tmp_path: Path) -> None:
    done = ci(tmp_path, GOOD, (1, ["tests/a.py::wrong"]), (1, ["tests/a.py::wrong"]))
    assert (done.returncode, ran(done)) == (1, UNIT + REST + AGAIN)
    assert done.stdout.endswith("failed:\ntests/a.py::wrong\n")


def test_a_unit_test_that_fails_twice_ends_it_before_all_others(tmp_path: Path) -> None:
    done = ci(tmp_path, (1, ["tests/a.py::wrong"]), (1, ["tests/a.py::wrong"]))
    assert (done.returncode, ran(done)) == (1, UNIT + AGAIN)
    assert done.stdout.endswith("failed:\ntests/a.py::wrong\n")


def test_a_unit_test_that_was_late_does_not_end_it_and_is_counted(tmp_path: Path) -> None:
    done = ci(tmp_path, (1, ["tests/a.py::late"]), GOOD, (1, [f"tests/b.py::t{number}" for number in range(4)]))
    assert (done.returncode, ran(done)) == (1, UNIT + AGAIN + REST)
    late = "".join(f"tests/b.py::t{number}\n" for number in range(4))
    assert done.stdout.endswith(f"failed:\ntests/a.py::late\n{late}")


def test_more_than_four_that_fail_fail_at_once(tmp_path: Path) -> None:
    done = ci(tmp_path, GOOD, (1, [f"tests/a.py::t{number}" for number in range(5)]), GOOD)
    assert (done.returncode, ran(done)) == (1, UNIT + REST)
    assert "5 tests failed, and no more than 4 may need a second run" in done.stdout


def test_a_failed_check_without_a_failed_test_fails(tmp_path: Path) -> None:
    assert ci(tmp_path, (1, []), (5, [])).returncode == 5


def test_a_test_process_that_was_killed_is_run_again_and_that_is_said(tmp_path: Path) -> None:
    done = ci(tmp_path, GOOD, (137, []), GOOD)
    assert (done.returncode, ran(done)) == (0, UNIT + REST + REST)
    assert done.stdout.endswith("needed a second run:\neverything: the test process had ended with 137\n")


def test_a_python_that_is_not_good_ends_it_and_is_named_at_the_end(tmp_path: Path) -> None:
    summary = "== with every Python:\n   3.11.2: demo FAILED\n"
    done = ci(tmp_path, GOOD, pythons=f"much more\n{summary}")
    assert (done.returncode, ran(done)) == (1, UNIT)
    assert done.stdout.endswith(f"{UNIT}much more\n{summary}== not good with every Python:\n{summary}")


# ---- skips, and time


def test_a_skipped_test_names_what_it_wants() -> None:
    unsaid = []
    for file in sorted((ROOT / "tests").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and (why := reason(node)) is not None and not why.startswith("wants "):
                unsaid.append(f"{file.relative_to(ROOT)}:{node.lineno}: {why}")
    assert unsaid == []


def reason(node: ast.Call) -> str | None:
    """Why a call skips, as far as it stands there; None of one that does not skip."""
    name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
    if name == "skipif":
        given = [word.value for word in node.keywords if word.arg == "reason"]
    elif name == "skip":
        given = [*node.args, *(word.value for word in node.keywords)]
    else:
        return None
    if given and isinstance(given[0], ast.Name):
        return "wants " if given[0].id == "NO_BROWSER" else given[0].id
    if given and isinstance(given[0], ast.JoinedStr):
        given = [given[0].values[0]]
    return str(given[0].value) if given and isinstance(given[0], ast.Constant) else ""


@pytest.mark.parametrize(("load", "found"), [(0.0, 1.0), (1.0, 1.0), (3.0, 3.0), (50.0, MOST)])
def test_patience_grows_with_the_machines_load(load: float, found: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (load * (os.cpu_count() or 1), 0.0, 0.0))
    assert stretched(3.0) == pytest.approx(3.0 * found)
