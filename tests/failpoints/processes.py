"""Worker processes as a test sees them: started for a job, armed or not, and what became of them."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
from typing import Any

KILLED = -signal.SIGKILL


class Workers:
    """One server of worker processes (worker.py): a job at a time. Two of them work at once where a test needs that."""

    def __init__(self) -> None:
        env = {**os.environ, "PYTHONPATH": ".", "PASSGATE_LOG_LEVEL": "ERROR"}
        command = [sys.executable, "-m", "tests.failpoints.worker"]
        self._server = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._heard = b""
        self._job = 0
        self.hear("ready", 60)

    def start(self, do: str, failpoint: str = "", **job: Any) -> int:
        """Starts a job's process and returns its pid. What an earlier test left behind is ended first."""
        self._clear()
        assert self._server.stdin is not None
        self._server.stdin.write(json.dumps({"do": do, "failpoint": failpoint, **job}).encode() + b"\n")
        self._server.stdin.flush()
        self._job = int(self.hear("pid"))
        return self._job

    def run(self, do: str, failpoint: str = "", **job: Any) -> int:
        """Runs a job to its end; returns its exit code, KILLED where a failpoint ended it."""
        self.start(do, failpoint, **job)
        return self.ended()

    def stopped(self, seconds: float = 30) -> int:
        """Waits until a failpoint has stopped the job's process; returns its pid."""
        return int(self.hear("stopped", seconds))

    def wake(self) -> None:
        os.kill(self._job, signal.SIGCONT)

    def ended(self, seconds: float = 60) -> int:
        """The job's exit code. One that does not end in time is killed, so that the next job can be done."""
        try:
            return int(self.hear("ended", seconds))
        except AssertionError:
            os.kill(self._job, signal.SIGKILL)
            self.hear("ended")
            raise
        finally:
            self._job = 0

    def hear(self, what: str, seconds: float = 30) -> Any:
        """The next thing the server says, which has to be `what`."""
        words = self._next(seconds)
        assert what in words, f"{what} was waited for, and {words} came"
        return words[what]

    def _next(self, seconds: float) -> dict[str, Any]:
        assert self._server.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._server.stdout, selectors.EVENT_READ)
            while b"\n" not in self._heard:
                assert selector.select(seconds), f"the server of workers said nothing within {seconds:.0f} s"
                said = os.read(self._server.stdout.fileno(), 4096)
                assert said, "the server of workers ended"
                self._heard += said
        line, _, self._heard = self._heard.partition(b"\n")
        words: dict[str, Any] = json.loads(line)
        return words

    def _clear(self) -> None:
        if self._job:
            os.kill(self._job, signal.SIGKILL)
            self._job = 0
            while "ended" not in self._next(30):
                pass

    def close(self) -> None:
        """Ends the server, and the job that may still run or be stopped."""
        self._clear()
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait(10)
