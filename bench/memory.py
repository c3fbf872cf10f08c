"""Memory of every process of the stack, four times a second: whether anything grows while events pass."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Any

from bench.beside import Beside
from bench.meter import memory_of

EVERY = 0.25
Sample = Mapping[int, int]
MIB = 2**20


class Watch(Beside):
    """with Watch({"broker": [pid]}) as watch: ...; then watch.document()"""

    def __init__(self, groups: Mapping[str, Sequence[int]]) -> None:
        super().__init__()
        self._groups = groups
        self._samples: dict[str, list[Sample]] = {name: [] for name in groups}
        self.seconds = 0.0

    def _work(self) -> None:
        began = time.monotonic()
        while True:
            for name, pids in self._groups.items():
                seen: dict[int, int] = {}
                for pid in pids:
                    seen |= memory_of(pid)
                self._samples[name].append(seen)
            if self._over.wait(EVERY):
                self.seconds = time.monotonic() - began
                return

    def document(self) -> dict[str, Any]:
        """`ratio` is the worst group's last third against its first; every process stands beside it."""
        groups = {name: thirds([sum(sample.values()) for sample in found]) for name, found in self._samples.items()}
        processes = {name: _each(found) for name, found in self._samples.items()}
        worst = max(groups, key=lambda name: groups[name]["ratio"])
        return {
            "seconds": round(self.seconds, 1), "ratio": groups[worst]["ratio"], "worst": worst, "groups": groups,
            "processes": processes,
        }  # fmt: skip


def thirds(sizes: Sequence[int]) -> dict[str, float]:
    """Medians of the first and the last third, in MiB, and how the last stands to the first."""
    third = max(1, len(sizes) // 3)
    first, last = statistics.median(sizes[:third]), statistics.median(sizes[-third:])
    ratio = last / first if first else 1.0
    return {
        "first_mib": round(first / MIB, 1), "last_mib": round(last / MIB, 1), "most_mib": round(max(sizes) / MIB, 1),
        "ratio": round(ratio, 3), "samples": len(sizes),
    }  # fmt: skip


def _each(samples: Sequence[Sample]) -> dict[str, dict[str, float]]:
    """The same of each process that was there nearly all the time."""
    pids = {pid for sample in samples for pid in sample}
    found = {pid: [sample[pid] for sample in samples if pid in sample] for pid in pids}
    return {str(pid): thirds(sizes) for pid, sizes in found.items() if len(sizes) > 0.9 * len(samples)}
