"""A run that looks back: what the run before admitted is a DUPLICATE here, and whoever follows it finds it there."""

from __future__ import annotations

from typing import Any

import pytest

from audit.close import close_run
from audit.core import verdict as v
from audit.fsck import fsck
from audit.go_on import go_on
from audit.open import EarlierRunAtWork, OtherIdentities
from console.reads.receipts import whole
from ingest.core.reason import Flag
from tests.audit.test_fsck import cheat
from tests.flow.world import CLOUDEVENTS, CONTRACT, Flow, thing

BACK = CONTRACT.replace("[run]", "[run]\nlooks_back = 1")


@pytest.fixture
def back(make_flow: Any) -> Flow:
    flow: Flow = make_flow(contract=BACK, quarantine_open_max=9)
    return flow


def flagged(flow: Flow) -> list[bool]:
    rows = flow.rows(
        "SELECT t.flags FROM receipt t JOIN source c ON c.id = t.source_id JOIN stream s ON s.id = c.stream_id"
        ' WHERE s.name = %(name)s ORDER BY t."offset"'
    )
    return [bool(row.flags & Flag.LOOKED_BACK) for row in rows]


def test_an_event_of_the_run_before_is_a_duplicate(back: Flow) -> None:
    back.open("r1")
    back.produce([thing(1), thing(2)])
    back.work()
    go_on(back.name, "r1", "test", next_run="r2")
    back.produce([thing(2), thing(3), b' {"id": 1, "type": "thing"}', thing(1, more="another payload"), thing(3)])
    back.work()
    assert back.decisions("r2") == ["DUPLICATE", "ADMITTED", "DUPLICATE", "QUARANTINED", "DUPLICATE"]
    assert flagged(back) == [False, False, True, False, True, True, False]
    back.cut("r2")
    back.work()
    back.sample()
    for run in ("r1", "r2"):
        assert close_run(back.name, run, "test").verdict.state is v.State.PASS


def test_it_looks_back_on_one_run_and_not_on_those_before(back: Flow) -> None:
    for number, run in enumerate(("r1", "r2", "r3"), 1):
        if number == 1:
            back.open(run)
        back.produce([thing("again") if run != "r2" else thing("between")])
        back.work()
        if number < 3:
            go_on(back.name, run, "test", next_run=f"r{number + 1}")
    assert back.decisions("r3") == ["ADMITTED"]
    back.cut("r3")


def test_without_it_a_run_knows_nothing_of_others(flow: Flow) -> None:
    flow.open("r1")
    flow.produce([thing(1)])
    flow.work()
    go_on(flow.name, "r1", "test", next_run="r2")
    flow.produce([thing(1)])
    flow.work()
    assert flow.decisions("r2") == ["ADMITTED"]
    assert flagged(flow) == [False, False]


def test_a_receipt_that_looked_back_leads_to_the_first(back: Flow) -> None:
    back.open("r1")
    back.produce([thing(1)])
    back.work()
    go_on(back.name, "r1", "test", next_run="r2")
    back.produce([thing(1), thing(1, more="another payload")])
    back.work()
    source = back.sources("inbox")[0]
    for offset in (1, 2):
        found = whole(source, offset)
        assert found is not None
        assert found.event is not None
        assert (found.event.source_id, found.event.offset) == (source, 0)
        assert found.place is not None


def test_a_run_that_looks_back_begins_when_the_one_before_is_read(back: Flow) -> None:
    back.open("r1")
    back.produce([thing(1)])
    back.cut("r1")
    with pytest.raises(EarlierRunAtWork):
        back.open("r2")
    back.work()
    back.open("r2")
    back.produce([thing(1)])
    back.work()
    assert back.decisions("r2") == ["DUPLICATE"]


def test_it_needs_the_same_identities(back: Flow) -> None:
    back.open("r1")
    back.contract = BACK.replace('id = ["/id"]', 'id = ["/id", "/part"]')
    back.load()
    done = go_on(back.name, "r1", "test", next_run="r2")
    assert done.notes == (
        "contract v1 holds on: v2 identifies events otherwise, which takes a new run that does not look back",
    )
    back.cut("r2")
    with pytest.raises(OtherIdentities):
        back.open("r3")
    back.contract = back.contract.replace("looks_back = 1", "looks_back = 0")
    back.load()
    back.open("r3")


def test_cloudevents_look_back_in_their_one_form(make_flow: Any) -> None:
    flow = make_flow(contract=CLOUDEVENTS + "[run]\nlooks_back = 1\n[close]\nquarantine_open_max = 9\n")
    flow.open("r1")
    event = b'{"specversion":"1.0","type":"t","source":"s","id":"1","data":{"a":1}}'
    kind: list[tuple[str, str | bytes | None]] = [("content-type", b"application/cloudevents+json")]
    flow.produce([event], headers=kind)
    flow.work()
    go_on(flow.name, "r1", "test", next_run="r2")
    flow.produce([event, event.replace(b'"a":1', b'"a": 1')], headers=kind)
    flow.work()
    assert flow.decisions("r2") == ["DUPLICATE", "DUPLICATE"]


def test_fsck_finds_a_receipt_that_looked_back_on_nothing(back: Flow) -> None:
    """The suite checks every stream when its test is over: here it is checked that this can fail."""
    back.open("r1")
    back.produce([thing(1)])
    back.work()
    go_on(back.name, "r1", "test", next_run="r2")
    back.produce([thing(1)])
    back.work()
    source = back.sources("inbox")[0]
    change = 'UPDATE receipt SET flags = flags # 512 WHERE source_id = %s AND "offset" = 1'
    with cheat(back) as connection:
        connection.execute(change, (source,))
        try:
            checks = {found.check for found in fsck(stream=back.name)}
        finally:
            connection.execute(change, (source,))
    assert {"receipts_have_rows", "records_understood"} <= checks
