"""Wall time, and beside it the CPU seconds of each group of processes: the next bottleneck shows there."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Self

import psutil

CLIENT = "client"


def cpu_of(pid: int) -> float:
    """CPU seconds of a process and its descendants, those that ended and were waited for included."""
    try:
        process = psutil.Process(pid)
        members = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    total = 0.0
    for member in members:
        try:
            spent = member.cpu_times()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        # macOS keeps no times of children
        total += spent.user + spent.system + getattr(spent, "children_user", 0) + getattr(spent, "children_system", 0)
    return total


def memory_of(pid: int) -> dict[int, int]:
    """Resident bytes of its own, by pid, of a process and its descendants.

    Without pages of files and of shared memory, where the system tells them apart: a backend's rise until it has
    touched all of shared_buffers, which is there once.
    """
    seconds_by_pid: dict[int, int] = {}
    try:
        process = psutil.Process(pid)
        members = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return seconds_by_pid
    for member in members:
        try:
            held = member.memory_info()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        seconds_by_pid[member.pid] = held.rss - getattr(held, "shared", 0)
    return seconds_by_pid


class Meter:
    """with Meter(pids) as meter: ...; then meter.seconds and meter.cpu."""

    def __init__(self, groups: Mapping[str, Iterable[int]]) -> None:
        self._groups = {name: list(pids) for name, pids in groups.items()}
        self.seconds = 0.0
        self.cpu: dict[str, float] = {}

    def __enter__(self) -> Self:
        self._before = self._look()
        self._began = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.seconds = time.monotonic() - self._began
        after = self._look()
        self.cpu = {name: round(after[name] - before, 2) for name, before in self._before.items()}

    def document(self, records: int, **more: Any) -> dict[str, Any]:
        """What every measure of a rate answers."""
        rate = records / self.seconds if self.seconds else 0.0
        return {"seconds": round(self.seconds, 3), "records": records, "rate": round(rate, 1), "cpu": self.cpu, **more}

    def _look(self) -> dict[str, float]:
        own = os.times()
        found = {name: sum(map(cpu_of, pids)) for name, pids in self._groups.items()}
        return {CLIENT: own.user + own.system, **found}
