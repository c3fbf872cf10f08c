"""A lease on the real table: who gets it, who keeps it, and what of other rows it leaves alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from ingest.core.errors import LeaseError
from ingest.core.lease import Lease
from ingest.db import write
from ingest.lanes import lease as leases
from tests.flow.world import Flow


@contextmanager
def another() -> Iterator[None]:
    """Somebody else asks."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(leases, "owner", lambda: "another:1:abc")
        yield


def until(source: int, text: str) -> None:
    with write() as cur:
        cur.execute(f"UPDATE position SET until = {text} WHERE lane = 'admission' AND source_id = %s", (source,))


def rows(flow: Flow) -> dict[tuple[str, int], Any]:
    """Every position of the stream, by lane and source."""
    found = flow.rows(
        "SELECT p.* FROM position p JOIN source c ON c.id = p.source_id JOIN stream s ON s.id = c.stream_id"
        " WHERE s.name = %(name)s"
    )
    return {(row.lane, row.source_id): row for row in found}


@pytest.fixture
def source(flow: Flow) -> int:
    flow.open()
    return flow.sources("inbox")[0]


def taken(source: int) -> Lease:
    lease = leases.take("admission", source)
    assert lease is not None
    return lease


def test_a_lease_is_had_by_one_and_the_fence_rises_with_every_taking(flow: Flow, source: int) -> None:
    first, again = taken(source), taken(source)
    assert again.fence == first.fence + 1
    with another():
        assert leases.take("admission", source) is None
    until(source, "clock_timestamp()")
    with another():
        assert taken(source).fence == again.fence + 1
    assert leases.take("admission", source) is None


def test_a_lease_from_before_the_clock_stepped_back_is_over(flow: Flow, source: int) -> None:
    taken(source)
    until(source, "clock_timestamp() + interval '59 s'")
    with another():
        assert leases.take("admission", source) is None
    until(source, "clock_timestamp() + interval '70 s'")
    with another():
        assert leases.take("admission", source) is not None


def test_only_its_owner_renews_a_lease_and_only_while_it_lasts(flow: Flow, source: int) -> None:
    old, mine = taken(source), taken(source)
    leases.renew(mine)
    with pytest.raises(LeaseError):
        leases.renew(old)
    until(source, "clock_timestamp()")
    with pytest.raises(LeaseError):
        leases.renew(mine)


def test_only_its_owner_lets_go_of_a_lease(flow: Flow, source: int) -> None:
    old, mine = taken(source), taken(source)
    leases.release(old)
    with another():
        assert leases.take("admission", source) is None
    leases.release(mine)
    with another():
        assert leases.take("admission", source) is not None


def test_whoever_takes_renews_or_lets_go_leaves_every_other_row_alone(make_flow: Callable[..., Flow]) -> None:
    """Those of the same owner, under the very same fence, of the same lane and of others."""
    flow = make_flow(partitions=2)
    flow.open()
    source = flow.sources("inbox")[0]
    held = {key: leases.take(*key) for key in rows(flow)}
    assert len(held) > 2 and len({lease.fence for lease in held.values() if lease}) == 1
    mine = held["admission", source]
    assert mine is not None
    before = rows(flow)
    for act in (lambda: leases.renew(mine), lambda: leases.release(mine), lambda: taken(source)):
        act()
        after = rows(flow)
        assert [key for key in before if before[key] != after[key]] == [("admission", source)]
        before = after


def test_a_row_that_somebodys_transaction_holds_is_not_waited_for(flow: Flow, source: int) -> None:

    with psycopg.connect(os.environ["DATABASE_URL"], options="-c role=passgate_app") as other:
        other.execute("SELECT FROM position WHERE lane = 'admission' AND source_id = %s FOR UPDATE", (source,))
        assert leases.take("admission", source) is None
    assert leases.take("admission", source) is not None
