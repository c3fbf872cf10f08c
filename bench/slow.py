"""A slow PostgreSQL: its processes stand still for most of every tenth of a second, as on a disk far too slow."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from types import TracebackType
from typing import Self

import psutil

STANDS, RUNS = 0.08, 0.02


class Slowed:
    """with Slowed(pid of the postmaster): ..."""

    def __init__(self, postmaster: int) -> None:
        self._postmaster = postmaster
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _beat(self) -> None:
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
