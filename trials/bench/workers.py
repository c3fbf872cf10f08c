"""Worker processes with the lanes asked for: what a Celery child does, without Celery, so that one lane can be timed.

`python -m bench.workers '{"lanes": ["admission"], "sources": [1, 2]}'` says `ready`, works from the first line on stdin
until the second or the end of it.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from stack.place import PROJECT
from trials.bench.child import set_up
from trials.bench.ends import BenchEnded

SLICE = 5.0


class WorkerDied(BenchEnded):
    """A worker process ended by itself; what it said stands before this in the measure's log."""


class Workers:
    """with Workers(["admission"], [[1, 3], [2, 4]]) as workers: workers.go() ...; each takes its sources only."""

    def __init__(self, lanes: Sequence[str], shares: Sequence[Sequence[int]]) -> None:
        self._tasks = [{"lanes": list(lanes), "sources": list(share)} for share in shares if share]

    def __enter__(self) -> Self:
        self._processes = [
            subprocess.Popen(
                [sys.executable, "-m", "trials.bench.workers", json.dumps(task)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=PROJECT,
            )
            for task in self._tasks
        ]  # fmt: skip
        for process in self._processes:
            assert process.stdout is not None
            if process.stdout.readline().strip() != "ready":
                raise WorkerDied("a worker process did not start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            if error is not None:
                process.kill()
        for process in self._processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    @property
    def pids(self) -> list[int]:
        return [process.pid for process in self._processes]

    def go(self) -> None:
        for process in self._processes:
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError):  # `check` says so
                process.stdin.write("go\n")
                process.stdin.flush()

    def check(self) -> None:
        """Raises WorkerDied where one is no more: nobody else takes its sources."""
        for process in self._processes:
            if process.poll() is not None:
                raise WorkerDied(f"worker process {process.pid} ended: exit {process.returncode}")


def shares(sources: Sequence[int], workers: int) -> list[list[int]]:
    """Sources dealt out to so many workers."""
    return [list(sources[n::workers]) for n in range(workers)]


def main() -> None:
    task = json.loads(sys.argv[1])
    set_up()
    from ingest.worker import Worker, factories

    worker = Worker.make()
    worker.only = frozenset(task["sources"])
    worker.lanes = {name: made for name, made in factories().items() if name in task["lanes"]}
    print("ready", flush=True)
    sys.stdin.readline()
    over = threading.Event()
    threading.Thread(target=_set_at_next_line, args=(over,), daemon=True).start()
    try:
        while not over.is_set():
            worker.slice(SLICE)
    finally:
        worker.close()


def _set_at_next_line(over: threading.Event) -> None:
    sys.stdin.readline()
    over.set()


if __name__ == "__main__":
    main()
