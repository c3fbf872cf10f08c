"""Sixteen runs share a table."""

from __future__ import annotations

import pytest

from ingest.core.leaf import table_partition


@pytest.mark.parametrize(("run", "leaf"), [(1, "event_p0"), (15, "event_p0"), (16, "event_p1"), (160, "event_p10")])
def test_the_table_of_a_run(run: int, leaf: str) -> None:
    assert table_partition("event", run) == leaf
