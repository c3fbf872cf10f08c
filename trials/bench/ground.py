"""A stack of the benchmark's own, in a temporary folder, gone afterwards whatever happened."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from stack import STORES, Stack
from stack.errors import StackError
from stack.place import PROJECT
from stack.services import django_environment
from trials.bench.child import GROUPS, PIDS

PREFIX = "passgate-bench-"
FOLDER = re.compile(rf"{PREFIX}(\d+)-\w+")
LOOK = 0.5
WATCHED = GROUPS | {"valkey": "valkey", "beat": "beat"}
"""The parts whose memory is measured."""
POOLS = ("lanes", "control", "watch", "web")
"""Their children are theirs for life; PostgreSQL's come and go."""
LAST_WORDS = 2_000


class MeasureFailed(Exception):
    """A measure ended without an answer; its last words are the text."""


class Ground:
    """with Ground(say) as ground: ground.call("trials.bench.admission:measure", workers=2)"""

    def __init__(self, say: Callable[[str], None]) -> None:
        forget_the_dead(say)
        self.folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
        self.stack = Stack(self.folder / "data", progress=say)

    def __enter__(self) -> Self:
        try:
            self.stack.reserve()
            self.stack.start(only=STORES)
            self.stack.migrate()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    def call(self, where: str, **arguments: Any) -> Any:
        """Runs a function of the benchmark in a process of its own on this stack; its answer.

        Raises:
            MeasureFailed: it ended without one, or a part of the stack ended meanwhile.
        """
        environment = django_environment(self.stack.env(), {"PASSGATE_ADMIN_URL"})
        environment[PIDS] = json.dumps(self._pids(GROUPS))
        log = self.folder / "child.log"
        with log.open("wb") as errors:
            child = subprocess.Popen(
                [sys.executable, "-m", "trials.bench.child", where, json.dumps(arguments)],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, env=environment, cwd=PROJECT,
                start_new_session=True,
            )  # fmt: skip
            try:
                said = self._heard(child, where)
            finally:
                _end(child)
        if child.returncode != 0:
            raise MeasureFailed(f"{where}: {_tail(log)}")
        return json.loads(said.splitlines()[-1])

    def _heard(self, child: subprocess.Popen[bytes], where: str) -> bytes:
        """What the child said, once it has ended. Who waits for a lane whose worker died would wait for ever."""
        there = self._processes()
        while True:
            try:
                return child.communicate(timeout=LOOK)[0]
            except subprocess.TimeoutExpired:
                for part, processes in there.items():
                    if not all(_lives(process) for process in processes):
                        raise MeasureFailed(
                            f"{where}: a process of {part} ended: {_tail(self.stack.log(part))}"
                        ) from None

    def _processes(self) -> dict[str, list[psutil.Process]]:
        """Of each part that runs its leader, and the children that stay as long as it does."""
        found: dict[str, list[psutil.Process]] = {}
        for part, pid in self._pids(WATCHED).items():
            with contextlib.suppress(psutil.NoSuchProcess):
                leader = psutil.Process(pid)
                found[part] = [leader, *(leader.children() if part in POOLS else [])]
        return found

    @contextlib.contextmanager
    def services(self, *names: str) -> Iterator[None]:
        """These parts of the stack run meanwhile."""
        try:
            for name in names:
                self.stack.start_part(name)
            yield
        finally:
            for name in reversed(names):
                self.stack.stop_part(name)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Services stay up and do nothing meanwhile: of workers at rest only beat would ask something."""
        self.call("trials.bench.streams:rest")
        self.stack.freeze("beat")
        try:
            self.call("trials.bench.streams:rest")  # what it had asked for just before
            yield
        finally:
            self.stack.thaw("beat")

    def groups(self) -> dict[str, list[int]]:
        """The leaders of the parts that run, by group."""
        return {WATCHED[part]: [pid] for part, pid in self._pids(WATCHED).items()}

    def _pids(self, parts: Collection[str]) -> dict[str, int]:
        return {row["part"]: row["pid"] for row in self.stack.status() if row["pid"] and row["part"] in parts}

    def calm(self) -> None:
        """Between measures: what PostgreSQL still owes is written now, so that nobody pays for an earlier one."""
        self._administer("CHECKPOINT")

    def vacuum(self) -> float:
        """What autovacuum has not done yet; seconds."""
        return self._administer("VACUUM (ANALYZE)")

    def _administer(self, statement: str) -> float:
        """Outside of any transaction; seconds."""
        import psycopg

        with psycopg.connect(self.stack.env()["PASSGATE_ADMIN_URL"], autocommit=True) as connection:
            began = time.monotonic()
            connection.execute(statement.encode())
            return time.monotonic() - began

    def _remove(self) -> None:
        self.stack.remove()
        shutil.rmtree(self.folder, ignore_errors=True)


def _end(child: subprocess.Popen[bytes]) -> None:
    """The child and whatever it started: they are a session of their own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _lives(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _tail(log: Path) -> str:
    return log.read_text(errors="replace").strip()[-LAST_WORDS:]


def forget_the_dead(say: Callable[[str], None]) -> None:
    """Removes what benchmarks left that were killed: their process is no more, and nobody holds their data folder."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        found = FOLDER.fullmatch(folder.name)
        if found is None or psutil.pid_exists(int(found[1])) or folder.stat().st_uid != os.geteuid():
            continue
        stack = Stack(folder / "data")
        with contextlib.suppress(StackError, OSError):
            stack.reserve()  # refused while another process holds it
            stack.remove()
            shutil.rmtree(folder)
            say(f"removed what an earlier benchmark left: {folder}")
