"""`passgate test`: all checks and all tests in three lanes, and at the end what failed; --fast: the first lane.

Checks and the lane `unit` come first. Where one of them fails nothing else is begun: that is known after two minutes.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import click

from console.cli.check import OF_A_RUNNING_STACK
from stack.place import PROJECT

SLOWS_DOWN = ("PYTHONDONTWRITEBYTECODE",)
"""Tests start hundreds of processes: with this each of them would compile the project anew."""

LANES = UNIT, *REST = ("unit", "integration", "trials")
"""Which tests these are is said by tests/lanes.py."""
FAST = ("-q", "--hypothesis-profile", "fast")
"""The lane `unit` with fewer examples for each property."""
CACHE = PROJECT / ".pytest_cache"
CORES = os.cpu_count() or 1
#: Sessions divide a lane's tests among them (tests/lanes.py). Unit tests want a core each. Most others wait for a
#: broker or a clock: each session has a stack of its own, and two on every core keep it busy.
UNIT_SESSIONS, REST_SESSIONS = CORES, min(2 * CORES, 8)
SLOWEST = 25


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": ["--passgate-help"]})
@click.option("--fast", is_flag=True, help="Only the lane `unit`, with fewer examples and without the checks.")
@click.option("--lane", "lanes", type=click.Choice(LANES), multiple=True, help="Only this lane; more than once.")
@click.argument("pytest_arguments", nargs=-1, type=click.UNPROCESSED)
def test(fast: bool, lanes: tuple[str, ...], pytest_arguments: tuple[str, ...]) -> None:
    """Run all checks and tests, lane after lane; with arguments, pytest alone with these."""
    environment = {key: value for key, value in os.environ.items() if key not in OF_A_RUNNING_STACK + SLOWS_DOWN}
    if fast:
        lanes = (UNIT,)
    if pytest_arguments:
        words = [*_PYTEST, *of_lanes(lanes), *(FAST if fast else ()), *pytest_arguments]
        sys.exit(subprocess.run(words, cwd=PROJECT, env=environment).returncode)
    sys.exit(_fast(environment) if fast else _whole(lanes or LANES, environment))


_PYTEST = (sys.executable, "-m", "pytest", "-p", "tests.lanes")


def of_lanes(lanes: Sequence[str]) -> list[str]:
    """Words for pytest: the tests of these lanes; of none named, all."""
    return [word for lane in lanes for word in ("--lane", lane)]


@dataclass
class LaneReport:
    """What sessions told of the tests that they divided: seconds of each by lane, and of what all is not well."""

    seconds: dict[str, dict[str, float]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        """Each lane's tests and minutes, and what took longest."""
        for lane, seconds in sorted(self.seconds.items(), key=lambda entry: LANES.index(entry[0])):
            yield f"== {lane}: {len(seconds)} tests, {sum(seconds.values()) / 60:.1f} minutes of all sessions together"
        every = {test: took for seconds in self.seconds.values() for test, took in seconds.items()}
        yield f"== the slowest {SLOWEST}:"
        for test, took in sorted(every.items(), key=lambda entry: -entry[1])[:SLOWEST]:
            yield f"{took:8.2f} s {test}"


def _fast(environment: Mapping[str, str]) -> int:
    began = time.monotonic()
    code, report = _sessions([UNIT], UNIT_SESSIONS, FAST, environment)
    return _closing(code, report, "fast tests", began)


def _whole(lanes: Sequence[str], environment: Mapping[str, str]) -> int:
    """Checks run beside the unit tests; the other lanes only where these were good."""
    began, code = time.monotonic(), 0
    rest = [lane for lane in lanes if lane != UNIT]
    if UNIT in lanes:
        with _beside((sys.executable, "-m", "console.cli.main", "check"), environment) as checks:
            code, report = _sessions([UNIT], UNIT_SESSIONS, (), environment)
            if checks():
                report.faults.append("checks: see above")
                code = code or 1
        code = _closing(code, report, "checks and unit tests", began, rest)
    if rest and code == 0:
        began = time.monotonic()
        code = _closing(*_sessions(rest, REST_SESSIONS, (), environment), " and ".join(rest), began)
    return code


def _closing(code: int, report: LaneReport, what: str, began: float, after: Sequence[str] = ()) -> int:
    """The end of the output is what people see first: there stands what failed, by name."""
    for line in report.lines():
        click.echo(line)
    minutes, seconds = divmod(round(time.monotonic() - began), 60)
    click.echo(f"== {what}: {'FAILED' if code else 'good'} ({minutes} min {seconds} s)")
    if code and after:
        click.echo(f"== not begun: {', '.join(after)}")
    for fault in report.faults:
        click.echo(f"FAILED {fault}")
    return code


def _worst(codes: Sequence[int]) -> int:
    return next((code if code > 0 else 128 - code for code in codes if code), 0)


# ---- sessions -------------------------------------------------------------------------------------------------------


def _sessions(
    lanes: Sequence[str], count: int, options: Sequence[str], environment: Mapping[str, str]
) -> tuple[int, LaneReport]:
    """Sessions that divide the lanes' tests. The first says what it does as it goes, and what the others said stands
    behind it. Returns the worst exit code.
    """
    with tempfile.TemporaryDirectory(prefix="passgate-lanes-") as folder, ExitStack() as kept:
        shared = (*of_lanes(lanes), f"--share={folder}", *options)
        sessions = [_session(number, shared) for number in range(1, count + 1)]
        others = [kept.enter_context(_beside(words, environment)) for words in sessions[1:]]
        first = subprocess.run(sessions[0], cwd=PROJECT, env=environment).returncode
        codes = [first, *(said() for said in others)]
        report = what_was_told(Path(folder), count)
    report.faults += _remember_failures()
    code = _worst(codes)
    return code or int(bool(report.faults)), report


def what_was_told(folder: Path, count: int) -> LaneReport:
    """Holds what ran against what was collected: a test that ran in no session, or in two, is a fault."""
    report, ran = LaneReport(), Counter[str]()
    for file in folder.glob("ran.*"):
        for line in file.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            ran[row["test"]] += 1
            report.seconds.setdefault(row["lane"], {})[row["test"]] = row["seconds"]
    collected = [set(file.read_text(encoding="utf-8").splitlines()) for file in folder.glob("collected.*")]
    every = set[str]().union(*collected)
    if len(collected) != count or any(of_one != every for of_one in collected):
        report.faults.append(f"{count} sessions, of which {len(collected)} collected tests, and not all the same")
    missing = sorted(every - ran.keys())
    report.faults += [f"{test}: no session ran it" for test in missing[:SLOWEST]]
    report.faults += [f"{len(missing)} tests ran in no session"] * (len(missing) > SLOWEST)
    report.faults += [f"{test}: it ran {times} times" for test, times in ran.items() if times > 1]
    return report


@contextmanager
def _beside(words: Sequence[str], environment: Mapping[str, str]) -> Iterator[Callable[[], int]]:
    """A command that runs while another one is watched. What it yields waits for its end, tells all that it said, and
    returns its exit code.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
        process = subprocess.Popen(words, cwd=PROJECT, env=environment, stdout=output, stderr=subprocess.STDOUT)

        def said() -> int:
            code = process.wait()
            output.seek(0)
            click.echo(output.read())
            return code

        try:
            yield said
        finally:
            process.terminate()
            process.wait()


def _session(number: int, options: Sequence[str]) -> list[str]:
    return [*_PYTEST, *options, "-o", f"cache_dir={CACHE.name}/session-{number}"]


def _remember_failures() -> list[str]:
    """For --last-failed: all sessions' in one place. Returns their names."""
    failures: dict[str, bool] = {}
    for kept in CACHE.glob("session-*/v/cache/lastfailed"):
        failures |= json.loads(kept.read_text(encoding="utf-8"))
        kept.unlink()
    place = CACHE / "v" / "cache" / "lastfailed"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps(failures, indent=2), encoding="utf-8")
    return sorted(failures)
