"""A verdict: how long it takes, and the peak memory of the process that makes it, which does nothing else."""

from __future__ import annotations

import resource
import sys
import time
from datetime import timedelta
from typing import Any

from trials.bench.child import parts
from trials.bench.meter import Meter
from trials.bench.streams import RUN, counts, found, look


def cut(stream: str) -> dict[str, Any]:
    """Cuts the run's window where its positions are."""
    from audit.cut import cut_run

    began = time.monotonic()
    cut_run(stream, RUN, "bench")
    return {"seconds": round(time.monotonic() - began, 2)}


def sample(stream: str) -> dict[str, Any]:
    """A verdict takes no old answer of the broker."""
    look(found(stream))
    return {}


def close(stream: str) -> dict[str, Any]:
    """`passgate run close`, in a process of its own."""
    from audit.close import close_run

    run = found(stream)
    records = counts(run)["records"]
    before = peak_mib()
    with Meter(parts()) as meter:
        stored = close_run(stream, RUN, "bench", wait=timedelta(seconds=60))
    failed = {str(check.name): check.cause for check in stored.verdict.checks if check.state != "HOLDS"}
    return meter.document(
        records, peak_mib=peak_mib(), idle_mib=before, verdict=str(stored.verdict.state), not_holding=failed
    )


def peak_mib() -> float:
    """The most that this process ever held."""
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(held / (2**20 if sys.platform == "darwin" else 2**10), 1)
