"""A slow PostgreSQL: its processes stand still for most of every tenth of a second, as on a disk far too slow."""

from __future__ import annotations

import contextlib
import os
import signal

import psutil

from trials.bench.beside import BackgroundLoad

STANDS, RUNS = 0.08, 0.02


class SlowedProcess(BackgroundLoad):
    """with Slowed(pid of the postmaster): ..."""

    def __init__(self, postmaster: int) -> None:
        super().__init__()
        self._postmaster = postmaster

    def _work(self) -> None:
        while not self._over.is_set():
            pids = self._pids()
            _signal(pids, signal.SIGSTOP)
            self._over.wait(STANDS)
            _signal(pids, signal.SIGCONT)
            self._over.wait(RUNS)
        _signal(self._pids(), signal.SIGCONT)

    def _pids(self) -> list[int]:
        with contextlib.suppress(psutil.NoSuchProcess):
            return [child.pid for child in psutil.Process(self._postmaster).children()]
        return []


def _signal(pids: list[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
