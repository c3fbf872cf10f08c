"""Memory of every process of the stack over time: whether anything grows while events pass.

A process that was there for half of the time or more is judged against itself: the median of the last fifth of its time
against that of the second. The first fifth is for warming up. Shorter lives, and those of one job, are counted, with
the most that one held.
"""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import psutil

from trials.bench.beside import BackgroundLoad
from trials.bench.ground import MeasureFailed
from trials.bench.meter import memory_of

EVERY = 0.25
POINTS = 60
MIB = 2**20
LEAST = 16 * MIB
"""What a process holds below this counts as this much: half a MiB more is half again for one that holds one."""
COMES_AND_GOES = "postgres"
"""Backends end with their connections, and autovacuum's with their work. Of every other group a process stays."""
ONE_JOB = "autovacuum worker"
"""Goes through tables one after the other and ends; while PostgreSQL is slowed it may be there all the time. It holds
what the table it is at needs, bounded by PostgreSQL's settings: neither its second fifth nor its last says anything."""
Sample = Mapping[int, int]
T = TypeVar("T")


class Watch(BackgroundLoad):
    """with Watch({"broker": [pid]}) as watch: ...; then watch.document()"""

    def __init__(self, groups: Mapping[str, Sequence[int]], every: float = EVERY) -> None:
        super().__init__()
        self._groups = groups
        self._every = every
        self._times: list[float] = []
        self._samples: dict[str, list[Sample]] = {name: [] for name in groups}
        self._names: dict[int, str] = {}

    def _work(self) -> None:
        began = time.monotonic()
        last = False
        while not last:
            last = self._over.is_set()  # the last look is at what is there when all is through
            self._times.append(time.monotonic() - began)
            for name, leaders in self._groups.items():
                seen: dict[int, int] = {}
                for leader in leaders:
                    seen |= memory_of(leader)
                self._name(seen, leaders)
                self._samples[name].append(seen)
            self._over.wait(self._every)

    def _name(self, seen: Sample, leaders: Sequence[int]) -> None:
        for pid in seen.keys() - self._names.keys():
            self._names[pid] = title(pid, "leader" if pid in leaders else "child")

    def document(self) -> dict[str, Any]:
        """`ratio` is the worst process's; each has its course, and each group its worst.

        Raises:
            MeasureFailed: a process ended on the way, so that nobody knows what it would hold now.
        """
        self._nobody_left()
        groups: dict[str, Any] = {}
        processes: dict[str, dict[str, Any]] = {}
        for group, samples in self._samples.items():
            found = {pid: [sample.get(pid) for sample in samples] for pid in sorted({p for s in samples for p in s})}
            lived = {pid: [size for size in sizes if size is not None] for pid, sizes in found.items()}
            judged = {
                pid: fifths(sizes) | {"course": thinned(found[pid])}
                for pid, sizes in lived.items()
                if len(sizes) >= len(samples) / 2 and not self._names[pid].startswith(ONE_JOB)
            }
            worst = max(judged, key=lambda pid: judged[pid]["ratio"])
            processes[group] = {self._names[pid]: found for pid, found in judged.items()}
            passing = [max(sizes) for pid, sizes in lived.items() if pid not in judged]
            groups[group] = fifths([sum(sample.values()) for sample in samples]) | {
                "worst": self._names[worst], "worst_ratio": judged[worst]["ratio"],
                "passing": {"processes": len(passing), "most_mib": round(max(passing, default=0) / MIB, 1)},
            }  # fmt: skip
        worst_of = max(groups, key=lambda group: groups[group]["worst_ratio"])
        return {
            "seconds": round(self._times[-1], 1), "ratio": groups[worst_of]["worst_ratio"],
            "worst": f"{worst_of}: {groups[worst_of]['worst']}", "said": _said(groups), "groups": groups,
            "times": [round(at, 1) for at in thinned_times(self._times)], "processes": processes,
        }  # fmt: skip

    def _nobody_left(self) -> None:
        for group, samples in self._samples.items():
            gone = {pid for sample in samples for pid in sample} - samples[-1].keys()
            if gone and group != COMES_AND_GOES:
                names = ", ".join(sorted(self._names[pid] for pid in gone))
                raise MeasureFailed(f"of {group} ended on the way, so that its memory says nothing: {names}")


def fifths(sizes: Sequence[int]) -> dict[str, Any]:
    """Medians of the second and the last fifth, in MiB, and how the last stands to the second."""
    fifth = max(1, len(sizes) // 5)
    second = statistics.median(sizes[fifth : 2 * fifth] or sizes)
    last = statistics.median(sizes[-fifth:])
    return {
        "second_mib": round(second / MIB, 1), "last_mib": round(last / MIB, 1),
        "most_mib": round(max(sizes) / MIB, 1),
        "ratio": round(max(last, LEAST) / max(second, LEAST), 3), "samples": len(sizes),
    }  # fmt: skip


def thinned(sizes: Sequence[int | None]) -> list[float | None]:
    """At most sixty points: the median of each part, in MiB; None where it was not there."""
    parts = [[size for size in part if size is not None] for part in _parts(sizes)]
    return [round(statistics.median(part) / MIB, 1) if part else None for part in parts]


def thinned_times(times: Sequence[float]) -> list[float]:
    """When each point's part began."""
    return [part[0] for part in _parts(times)]


def _parts(values: Sequence[T]) -> list[Sequence[T]]:
    size = -(-len(values) // POINTS)
    return [values[at : at + size] for at in range(0, len(values), size)]


def title(pid: int, role: str) -> str:
    """What tells a process from the others: PostgreSQL's say what they are, the rest are leader or child."""
    try:
        words = " ".join(psutil.Process(pid).cmdline())
    except psutil.Error:
        words = ""
    found = re.match(r"postgres: (?:.*: )?(\S.*?)(?: \S+\(\d+\).*| \[local\].*)?$", words.strip())
    return f"{found[1] if found else role} {pid}"


def _said(groups: Mapping[str, Any]) -> str:
    each = (f"{name} {found['worst_ratio']:.2f}" for name, found in groups.items())
    return f"worst process of each kind: {', '.join(each)}"
