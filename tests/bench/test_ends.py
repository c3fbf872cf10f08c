"""What died is noticed at once and named with its last words; what a killed benchmark left is removed."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from trials.bench.ground import PREFIX, Ground, MeasureFailed, forget_the_dead
from trials.bench.long import note_verdict
from trials.bench.notebook import BenchOptions, Notebook
from trials.bench.streams import wait_until
from trials.bench.workers import WorkerDied, Workers


class Pretended:
    """A stack with one part, which a test may end."""

    def __init__(self, pid: int, log: Path) -> None:
        self.pid = pid
        self._log = log

    def status(self) -> list[dict[str, Any]]:
        return [{"part": "lanes", "pid": self.pid}]

    def env(self) -> dict[str, str]:
        return {}

    def log(self, part: str) -> Path:
        return self._log

    def remove(self) -> None:
        pass


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "600"])
    yield process
    process.kill()
    process.wait()


def test_a_part_that_ended_fails_the_measure_with_its_last_words(
    sleeper: subprocess.Popen[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    log = tmp_path / "lanes.log"
    log.write_text("out of memory\n")
    ground = Ground(lambda text: None)
    ground.stack = Pretended(sleeper.pid, log)  # type: ignore[assignment]
    sleeper.kill()  # and not waited for: what is left of it is a zombie
    with pytest.raises(MeasureFailed, match="subprocess:call: a process of lanes ended: out of memory"):
        ground.call("subprocess:call", args=["sleep", "600"])


def test_a_worker_that_died_is_not_waited_for() -> None:
    with pytest.raises(WorkerDied, match="exit -9"):
        with Workers(["admission"], [[1], [2]]) as workers:
            os.kill(workers.pids[1], signal.SIGKILL)
            workers.go()
            wait_until(lambda: False, 60, "a day off", check=workers.check)
    assert not [pid for pid in workers.pids if psutil.pid_exists(pid)], "nor is the other one"


def test_what_a_killed_benchmark_left_is_removed_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    dead = subprocess.Popen(["true"])
    dead.wait()

    def folder(name: str) -> Path:
        made = tmp_path / f"{PREFIX}{name}"
        (made / "data").mkdir(parents=True)
        (made / "data" / ".lock").touch()
        (made / "child.log").touch()
        return made

    left, held = folder(f"{dead.pid}-left"), folder(f"{dead.pid}-held")
    kept = [held, folder(f"{os.getpid()}-mine"), folder("nopid"), folder(f"{dead.pid}x-other")]
    with (held / "data" / ".lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        forget_the_dead(lambda text: None)
    assert not left.exists()
    assert all(each.exists() for each in kept)
    forget_the_dead(lambda text: None)
    assert not held.exists()


def test_a_verdict_that_is_no_pass_says_why() -> None:
    book = Notebook(BenchOptions(), None, lambda text: None)
    blocked = {"COVERAGE": "Kafka was not measured for 40 s"}
    note_verdict(book, {"verdict": "BLOCKED", "seconds": 33.0, "not_holding": blocked}, "j10")
    assert book.rounds == {}
    assert book.failed == ["the verdict: BLOCKED after 33.0 s: COVERAGE: Kafka was not measured for 40 s"]
