"""Which table holds a run's events and effects: sixteen runs share one (see ensure_run_partitions)."""

from __future__ import annotations

from functools import lru_cache

from ingest.core.ids import RunId

RUNS = 16


@lru_cache(maxsize=256)  # asked for every effect
def table_partition(table: str, run_id: RunId) -> str:
    """The partition of `table` that COPY and look-ups go to at once, without asking the partitioned table."""
    return f"{table}_p{run_id // RUNS}"
