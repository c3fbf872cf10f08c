"""`passgate lanes`: trouble first, with its reason and the act that ends it."""

from __future__ import annotations

from collections.abc import Callable

from django.db import transaction

from console.reads import lanes as reads
from ingest.db import write
from tests.cli.typed import Typed
from tests.flow.world import Flow, thing

Passgate = Callable[..., Typed]


def stop(flow: Flow, lane: str, code: str, detail: str) -> None:
    with write() as cur:
        cur.execute(
            "UPDATE position SET stopped_code = %s, stopped_detail = %s, stopped_at = clock_timestamp()"
            " WHERE lane = %s AND source_id = ANY(%s)",
            (code, detail, lane, flow.sources()),
        )


def test_a_stopped_lane_comes_first_and_says_why_and_what_ends_it(passgate: Passgate, flow: Flow) -> None:
    flow.open()
    flow.produce([thing(1)])
    flow.work()
    well = passgate(f"lanes {flow.name}")
    assert (well.code, well.err) == (0, "")
    assert "All 4 lanes are well" in well.out
    stop(flow, "publish", "bus_compacts", "the bus topic compacts: expected cleanup.policy=delete; next: set it")
    told = passgate(f"lanes {flow.name}")
    assert told.code == 1
    assert told.out.splitlines()[1].split()[:4] == [flow.name, "publish", f"{flow.inbox}/0", "stopped"]
    assert "bus_compacts: the bus topic compacts" in told.out
    assert "Next: set cleanup.policy=delete on the bus." in told.out
    assert "Of 4 lanes, 1 stopped." in told.out
    found = passgate(f"lanes {flow.name} --json").json
    first = found["items"][0]
    assert (found["lanes"], first["state"], first["stop"]["code"]) == (4, "STOPPED", "bus_compacts")
    assert first["next"] == "set cleanup.policy=delete on the bus"
    assert [each["state"] for each in found["items"][1:]] == ["CAUGHT UP"] * 3
    assert found["items"][1]["lag"] == 0
    stop(flow, "publish", "waits_for_reconcile", "waits for a person: reconcile: found attempt 7 UNKNOWN")
    waits = passgate(f"lanes {flow.name}")
    assert waits.code == 0  # it waits for a person, which its run says; nothing is broken
    assert "waits for a person: reconcile" in waits.out and "Next: reconcile the publish." in waits.out


def test_a_stream_that_is_not_there(passgate: Passgate) -> None:
    told = passgate("lanes nobody")
    assert (told.code, "[not_found]" in told.err) == (3, True)


def test_trouble_is_counted_over_all_and_pages_go_on_by_key(live: object) -> None:
    """Three of a thousand that stopped are the first three, whatever the names and numbers of the others."""
    from tests.flow.many import lanes_of_a_kind

    with transaction.atomic():  # rolled back: workers of other tests would look at so many lanes in vain
        stream, sources = lanes_of_a_kind(700)
        with write() as cur:
            cur.execute(
                "UPDATE position SET stopped_code = 'topic_gone', stopped_detail = 'gone' WHERE source_id = ANY(%s)",
                (sources[-3:],),
            )
        assert reads.counts(stream)["STOPPED"] == 3
        assert sum(reads.counts(stream).values()) == 700
        first = reads.lines(stream=stream, size=100)
        assert [line.source_id for line in first[:4]] == [*sources[-3:], sources[0]]
        seen, after = list(first), first[-1].key
        while page := reads.lines(stream=stream, after=after, size=100):
            seen += page
            after = page[-1].key
        assert sorted(line.source_id for line in seen) == sorted(sources)
        assert len(reads.lines(stream=stream, states=reads.TROUBLE)) == 3
        transaction.set_rollback(True)


def test_a_key_that_nobody_gave_begins_anew(flow: Flow) -> None:
    flow.open()
    for odd in ("", "x", "1.2", "9.1.admission", "1.99999999999999999999.publish"):
        assert len(reads.lines(stream=flow.name, after=odd)) == 4
