"""A stack of the benchmark's own, in a temporary folder, gone afterwards whatever happened."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bench.child import GROUPS, PIDS
from console.place import PROJECT
from console.stack import STORES, Stack
from console.stack.services import django_environment

PREFIX = "passgate-bench-"


class MeasureFailed(Exception):
    """A measure ended without an answer; its last words are the text."""


class Ground:
    """with Ground(say) as ground: ground.call("bench.admission:measure", workers=2)"""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX))
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
        """Runs a function of the benchmark in a process of its own on this stack; its answer."""
        pids = {row["part"]: row["pid"] for row in self.stack.status() if row["pid"] and row["part"] in GROUPS}
        environment = django_environment(self.stack.env()) | {PIDS: json.dumps(pids)}
        log = self.folder / "child.log"
        with log.open("wb") as errors:
            child = subprocess.Popen(
                [sys.executable, "-m", "bench.child", where, json.dumps(arguments)],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, env=environment, cwd=PROJECT,
                start_new_session=True,
            )  # fmt: skip
            try:
                said, _ = child.communicate()
            finally:
                _end(child)
        if child.returncode != 0:
            raise MeasureFailed(f"{where}: {log.read_text(errors='replace').strip()[-2000:]}")
        return json.loads(said.splitlines()[-1])

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

    def groups(self) -> dict[str, list[int]]:
        """The leaders of the parts that run, by group."""
        found = {row["part"]: row["pid"] for row in self.stack.status() if row["pid"] and row["part"] in GROUPS}
        return {GROUPS[part]: [pid] for part, pid in found.items()}

    def calm(self) -> None:
        """Between measures: what PostgreSQL still owes is written now, so that nobody pays for an earlier one."""
        import psycopg

        with psycopg.connect(self.stack.env()["PASSGATE_ADMIN_URL"], autocommit=True) as connection:
            connection.execute("CHECKPOINT")

    def _remove(self) -> None:
        self.stack.remove()
        shutil.rmtree(self.folder, ignore_errors=True)


def _end(child: subprocess.Popen[bytes]) -> None:
    """The child and whatever it started: they are a session of their own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
