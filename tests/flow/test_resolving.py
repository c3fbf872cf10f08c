"""Resolving many items: a group is resolved whole, and nothing is discarded past the contract's bound by mistake."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ingest import quarantine
from ingest.core.reason import Reason
from ingest.models import ItemState, QuarantineItem, Resolution
from ingest.quarantine import DiscardBeyondBound, Group, discards_of_group, resolve, resolve_group
from tests.flow.world import Flow, thing


def broken(flow: Flow, count: int) -> Group:
    """A run with one event and `count` records that nobody can understand, as a group that somebody was shown."""
    flow.open()
    flow.produce([thing(1), *(b"{" for _ in range(count))])
    flow.work("admission")
    items = QuarantineItem.objects.filter(win__run__stream__name=flow.name).order_by("id")
    last = items.last()
    assert last is not None
    return Group(last.run_id, Reason(last.reason), last.id)


def open_items(flow: Flow) -> list[int]:
    found = QuarantineItem.objects.filter(win__run__stream__name=flow.name, state=ItemState.OPEN)
    return list(found.order_by("id").values_list("id", flat=True))


def test_a_group_larger_than_one_transaction_is_resolved_whole(
    make_flow: Callable[..., Flow], monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = make_flow()
    group = broken(flow, 7)
    monkeypatch.setattr(quarantine, "MOST_ITEMS", 3)
    done = resolve_group(group, "ana", Resolution.DISCARDED, "a broken client")
    assert (done.items, open_items(flow)) == (7, [])
    rows = flow.rows(
        "SELECT detail FROM audit_log WHERE act = 'quarantine.resolve' AND subject = %(name)s || '/r1' ORDER BY id"
    )
    assert [row.detail["count"] for row in rows] == [3, 3, 1]


def test_what_came_after_the_group_was_shown_stays_open(make_flow: Callable[..., Flow]) -> None:
    flow = make_flow()
    group = broken(flow, 4)
    flow.produce([b"{"])
    flow.work("admission")
    assert resolve_group(group, "ana", Resolution.DISCARDED, "a broken client").items == 4
    assert len(open_items(flow)) == 1


@pytest.mark.parametrize("one_by_one", [True, False])
def test_a_discard_beyond_the_bound_is_refused_with_its_arithmetic(
    make_flow: Callable[..., Flow], one_by_one: bool
) -> None:
    flow = make_flow(close="discard_max = 3")
    group, items = broken(flow, 5), open_items(flow)
    resolve(items[:1], "ana", Resolution.DISCARDED, "the first")

    def discard(*beyond: str) -> Any:
        if one_by_one:
            return resolve(items[1:], "ana", Resolution.DISCARDED, "the rest", beyond)
        return resolve_group(group, "ana", Resolution.DISCARDED, "the rest", beyond)

    with pytest.raises(DiscardBeyondBound, match="3 allowed, 1 used, this makes 5") as refused:
        discard()
    assert refused.value.code == "discard_beyond_bound"
    with pytest.raises(DiscardBeyondBound):
        discard("another/run")
    assert open_items(flow) == items[1:]
    assert discard(f"{flow.name}/r1").items == 4
    assert open_items(flow) == []


def test_up_to_the_bound_nobody_is_asked(make_flow: Callable[..., Flow]) -> None:
    flow = make_flow(close="discard_max = 3")
    group = broken(flow, 3)
    assert [str(found) for found in discards_of_group(group)] == ["3 allowed, 0 used, this makes 3"]
    assert resolve_group(group, "ana", Resolution.DISCARDED, "noise").items == 3


def test_two_people_cannot_both_stay_below_one_bound(make_flow: Callable[..., Flow]) -> None:
    """The second waits for the first one's commit and counts what it discarded."""
    from threading import Thread

    from django.db import connection, transaction

    flow = make_flow(close="discard_max = 3")
    broken(flow, 4)
    items, outcome = open_items(flow), list[object]()

    def second() -> None:
        try:
            outcome.append(resolve(items[2:], "ben", Resolution.DISCARDED, "mine"))
        except DiscardBeyondBound as refused:
            outcome.append(refused)
        finally:
            connection.close()

    with transaction.atomic():
        resolve(items[:2], "ana", Resolution.DISCARDED, "mine")
        thread = Thread(target=second)
        thread.start()
        thread.join(1.0)
        waited = thread.is_alive()
    thread.join(30.0)
    assert waited
    assert [type(found) for found in outcome] == [DiscardBeyondBound]
    assert open_items(flow) == items[2:]
