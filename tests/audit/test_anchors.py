"""What a window processed, and what of it can be replayed now, on a real ledger and a real broker."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audit import anchors, capture
from audit.anchors import Reach, Replay, WindowAccount
from audit.close import window_of
from audit.core.anchors import StandIns
from audit.go_on import go_on
from ingest.core.merkle import merkle_root
from ingest.kafka import BusMessage, TransactionalProducer
from stack import Stack
from tests.audit.test_close import grow, passed
from tests.audit.test_gate import broker_away
from tests.flow.world import Flow, thing
from tests.patience import stretched

MakeFlow = Callable[..., Flow]


def processed(flow: Flow, run_name: str = "r1") -> WindowAccount:
    return anchors.processed(window_of(flow.name, run_name))


def replay(flow: Flow, run_name: str = "r1") -> Replay:
    """As a process that has asked Kafka nothing before."""
    capture._recent.clear()
    capture._probed.clear()
    return anchors.replay(processed(flow, run_name), timeout=5.0)


def inbox(found: Replay) -> dict[str, tuple[Reach, int | None, int | None]]:
    """By label: how much, from which offset, how many offsets are gone."""
    kept = [each.anchor for each in found.sources if each.anchor.source.role == "inbox"]
    return {anchor.source.label: (anchor.reach, anchor.first, anchor.gone) for anchor in kept}


def stand_ins(found: Replay) -> dict[str, StandIns | None]:
    return {each.anchor.source.label: each.stand_ins for each in found.sources if each.anchor.source.role == "inbox"}


def why(found: Replay, label: str = "inbox/0") -> tuple[str, ...]:
    (only,) = [each.anchor.why for each in found.sources if each.anchor.source.label == label]
    return only


# ---- what was processed ---------------------------------------------------------------------------------------------


def test_what_a_window_processed_is_the_ledgers_to_say(flow: Flow) -> None:
    """With Kafka away, as at any later time: ranges, decisions, digests, who and when, the contract and the basis."""
    flow.open()
    flow.produce([thing(1), thing(2), thing(1)])
    flow.work()
    flow.produce([thing(3), b"not json"])
    flow.work()
    flow.cut()
    flow.work()
    with broker_away():
        found = processed(flow)
    (account,) = found.inbox
    assert (account.label, account.start, account.cut, account.read_to) == ("inbox/0", 0, 5, 5)
    assert (account.records, account.admitted, account.duplicates, account.quarantined) == (5, 3, 1, 1)
    assert (account.unread, account.unaccounted, account.gaps.number) == (0, 0, 0)
    batches = flow.rows("SELECT digest FROM batch WHERE win = %(win)s ORDER BY from_offset", win=found.win)
    assert len(batches) == account.batches >= 2
    assert account.root == merkle_root(bytes(row.digest) for row in batches).hex()
    (run,) = flow.rows(
        "SELECT r.opened_at, w.opened_at AS window_opened_at, w.cut_at, encode(c.digest, 'hex') AS digest, c.version"
        " FROM run r JOIN run_window w ON w.run_id = r.id JOIN contract c ON c.id = w.contract_id WHERE w.id = %(win)s",
        win=found.win,
    )
    assert found.cut is not None
    assert (found.opened.by, found.opened.at) == ("test", run.window_opened_at)
    assert (found.cut.by, found.cut.at) == ("test", run.cut_at)
    assert (found.contract_version, found.contract_digest) == (run.version, run.digest)
    assert [each.number for each in found.generations] == [1]
    assert found.generations[0].why == "the window opened"


def test_each_source_has_its_own_batches_and_no_other_windows(make_flow: MakeFlow) -> None:
    flow = make_flow(partitions=2)
    flow.open()
    flow.produce([thing(1), thing(2)], partition=0)
    flow.produce([thing(3)], partition=1)
    flow.work()
    flow.cut()
    flow.work()
    assert flow.judge().verdict.state == "PASS"
    flow.open("r2")
    flow.produce([thing(4)], run="r2", partition=1)
    flow.work()
    first, second = processed(flow), processed(flow, "r2")
    assert [(x.label, x.start, x.cut, x.records) for x in first.inbox] == [("inbox/0", 0, 2, 2), ("inbox/1", 0, 1, 1)]
    assert [(x.label, x.start, x.cut, x.read_to, x.records) for x in second.inbox] == [
        ("inbox/0", 2, None, 2, 0),
        ("inbox/1", 1, None, 2, 1),
    ]
    assert second.inbox[0].root == merkle_root([]).hex()
    assert second.cut is None
    assert inbox(replay(flow, "r2")) == {"inbox/0": (Reach.EMPTY, None, 0), "inbox/1": (Reach.ALL, 1, 0)}


def test_a_gap_is_shown_with_what_proves_it(flow: Flow) -> None:
    flow.open()
    sender = TransactionalProducer(flow.cluster, f"{flow.name}.sender", delivery_timeout=10)
    sender.init()
    sender.send(flow.inbox, [BusMessage(0, b"k", thing(1), [])])
    flow.produce([thing(2)])
    flow.work()
    claimed = processed(flow).inbox[0].gaps
    assert (claimed.number, claimed.offsets, claimed.claimed, claimed.proven) == (1, 1, 1, 0)
    assert (claimed.first[0].state, claimed.first[0].proof) == ("CLAIMED", None)
    flow.cut()
    flow.work()
    assert flow.judge().verdict.state == "PASS"
    proven = processed(flow).inbox[0]
    assert (proven.gaps.claimed, proven.gaps.proven, proven.unaccounted) == (0, 1, 0)
    (gap,) = proven.gaps.first
    assert (gap.start, gap.end, gap.state, gap.proof["reader"]) == (1, 2, "PROVEN", "second")  # type: ignore[index]
    assert gap.proven_at is not None and gap.proven_at > gap.claimed_at
    flow.admin.delete_records(flow.inbox, {0: 2})
    assert stand_ins(replay(flow)) == {"inbox/0": StandIns(1, 1, 0)}


def test_windows_that_follow_one_another_say_who_cut_and_who_opened_them(flow: Flow) -> None:
    """Whoever cuts and goes on has opened the next one by it, in one transaction."""
    flow.open()
    flow.produce([thing(1), thing(2)])
    flow.work()
    assert go_on(flow.name, "r1", "ana").next_window == 2
    flow.produce([thing(3)])
    flow.work()
    go_on(flow.name, "r1", "ben")
    first, second, third = (anchors.processed(window_of(flow.name, "r1", number)) for number in (1, 2, 3))
    assert [found.opened.by for found in (first, second, third)] == ["test", "ana", "ben"]
    assert [found.cut and found.cut.by for found in (first, second, third)] == ["ana", "ben", None]
    assert first.cut is not None and second.opened.at >= first.cut.at
    ranges = [(x.start, x.cut, x.records) for found in (first, second, third) for x in found.inbox]
    assert ranges == [(0, 2, 2), (2, 3, 1), (3, None, 0)]
    assert first.inbox[0].root != second.inbox[0].root


# ---- what is safe to replay -----------------------------------------------------------------------------------------


def test_a_window_that_is_all_there(flow: Flow) -> None:
    passed(flow)
    found = replay(flow)
    assert {each.anchor.reach for each in found.sources} <= {Reach.ALL, Reach.EMPTY}
    assert inbox(found) == {"inbox/0": (Reach.ALL, 0, 0)}
    assert stand_ins(found) == {"inbox/0": None}
    assert found.asked_at is not None and found.asked_at <= found.at
    assert found.sentence == "All of the window can be replayed: 1 source, every offset is there."
    assert found.differences == ()


@pytest.mark.parametrize(
    ("deleted", "kept", "receipts"),
    [
        (2, (Reach.FROM, 2, 2), StandIns(2, 0, 0)),
        (4, (Reach.FROM, 4, 4), StandIns(4, 0, 0)),
        (5, (Reach.NOTHING, None, 5), StandIns(5, 0, 0)),
        (7, (Reach.NOTHING, None, 5), StandIns(5, 0, 0)),
    ],
)
def test_what_retention_took_is_named_and_receipts_stand_in(
    flow: Flow, deleted: int, kept: tuple[Reach, int | None, int], receipts: StandIns
) -> None:
    """Inside of a batch, at its end, at the cut and beyond it: later records are another window's."""
    flow.open()
    flow.produce([thing(1), thing(2), thing(3), thing(1)])
    flow.work()
    flow.produce([thing(5)])
    flow.work()
    flow.cut()
    flow.work()
    assert flow.judge().verdict.state == "PASS"
    flow.open("r2")
    flow.produce([thing(6), thing(7), thing(8)], run="r2")
    flow.work()
    flow.admin.delete_records(flow.inbox, {0: deleted})
    found = replay(flow)
    assert inbox(found) == {"inbox/0": kept}
    assert stand_ins(found) == {"inbox/0": receipts}
    assert why(found) == (f"the log of inbox/0 starts at {deleted} now",)
    later = {5: (Reach.ALL, 5, 0), 7: (Reach.FROM, 7, 2)}.get(deleted, (Reach.ALL, 5, 0))
    assert inbox(replay(flow, "r2")) == {"inbox/0": later}


def test_what_was_deleted_unread_has_nothing_that_stands_in(make_flow: MakeFlow) -> None:
    flow = make_flow()
    flow.open()
    flow.produce([thing(1), thing(2), thing(3), thing(4)])
    flow.admin.delete_records(flow.inbox, {0: 3})
    flow.work()
    found = processed(flow).inbox[0]
    assert (found.records, found.gaps.deleted, found.gaps.proven) == (1, 3, 0)
    at = replay(flow)
    assert inbox(at) == {"inbox/0": (Reach.FROM, 3, 3)}
    assert stand_ins(at) == {"inbox/0": StandIns(0, 0, 3)}


def test_a_partition_that_was_added_can_be_replayed_too(flow: Flow) -> None:
    flow.open()
    flow.produce([thing(1)])
    flow.work()
    grow(flow, 2)
    flow.cut()
    flow.work()
    flow.produce([thing(2)], partition=1)
    found = processed(flow)
    assert replay(flow).differences == ()
    assert [(x.label, x.start, x.cut) for x in found.inbox] == [("inbox/0", 0, 1), ("inbox/1", 0, 0)]
    assert [each.number for each in found.generations] == [1, 2]
    assert inbox(replay(flow)) == {"inbox/0": (Reach.ALL, 0, 0), "inbox/1": (Reach.EMPTY, None, 0)}
    grow(flow, 3)
    assert replay(flow).differences == (f"{flow.inbox}/2 was added since",)


def test_a_topic_that_was_created_again_holds_nothing_of_the_window(flow: Flow) -> None:
    """With as many records as before, and whether or not a sample has retired it already; for good with Kafka away."""
    passed(flow)
    flow.admin.delete_topic(flow.inbox)
    flow.admin.create_topic(flow.inbox, 1)
    flow.produce([thing(f"r1-{n}") for n in range(5)])
    found = replay(flow)
    assert inbox(found) == {"inbox/0": (Reach.NOTHING, None, 5)}
    assert why(found) == (f"{flow.inbox} was deleted and created again",)
    assert found.differences == (f"{flow.inbox} was deleted and created again",)
    assert stand_ins(found) == {"inbox/0": StandIns(5, 0, 0)}
    flow.sample()
    with broker_away():
        found = replay(flow)
    assert inbox(found) == {"inbox/0": (Reach.NOTHING, None, 5)}
    assert why(found)[0].startswith("inbox/0 is retired: ")
    assert stand_ins(found) == {"inbox/0": StandIns(5, 0, 0)}
    assert processed(flow).inbox[0].records == 5


def test_a_topic_that_is_gone(flow: Flow) -> None:
    passed(flow)
    flow.admin.delete_topic(flow.inbox)
    found = replay(flow)
    assert (inbox(found), why(found)) == ({"inbox/0": (Reach.NOTHING, None, 5)}, (f"{flow.inbox} is gone",))


def test_a_bus_that_was_created_again_is_named_beside_an_inbox_that_is_whole(flow: Flow) -> None:
    passed(flow)
    flow.admin.delete_topic(flow.bus)
    flow.admin.create_topic(flow.bus, flow.bus_partitions)
    found = replay(flow)
    assert inbox(found) == {"inbox/0": (Reach.ALL, 0, 0)}
    bus = [each for each in found.sources if each.anchor.source.role == "bus"]
    assert {each.anchor.reach for each in bus} <= {Reach.NOTHING, Reach.EMPTY}
    assert Reach.NOTHING in {each.anchor.reach for each in bus}
    assert {each.stand_ins for each in bus} == {None}


def test_kafka_away_is_unmeasured_never_all_and_never_nothing(flow: Flow) -> None:
    passed(flow)
    with broker_away():
        found, account = replay(flow), processed(flow)
    assert {each.anchor.reach for each in found.sources} <= {Reach.UNMEASURED, Reach.EMPTY}
    (anchor,) = [each.anchor for each in found.sources if each.anchor.source.role == "inbox"]
    assert anchor.reach is Reach.UNMEASURED
    assert found.differences is None
    assert found.asked_at is None and found.why and anchor.why == (found.why,)
    assert (anchor.measured_by, anchor.gone) == ("sample", 0)  # nothing was gone then; nobody says that nothing is now
    assert anchor.measured_at is not None and anchor.measured_at < found.at
    assert found.sentence == "What is safe to replay of inbox/0 is unmeasured."
    assert (account.inbox[0].records, account.inbox[0].cut) == (5, 5)


def test_a_broker_that_hangs_is_unmeasured_in_a_moment_and_measured_when_it_is_back(flow: Flow, live: Stack) -> None:
    passed(flow)
    assert inbox(replay(flow)) == {"inbox/0": (Reach.ALL, 0, 0)}
    live.freeze("kafka")
    try:
        begun = time.monotonic()
        capture._recent.clear()
        hung = anchors.replay(processed(flow))
        took = time.monotonic() - begun
    finally:
        live.thaw("kafka")
    assert inbox(hung) == {"inbox/0": (Reach.UNMEASURED, None, 0)}
    assert took < stretched(6.0)
    flow.work_until(lambda: inbox(replay(flow)) == {"inbox/0": (Reach.ALL, 0, 0)}, "admission")


def test_kafka_away_and_all_of_it_gone_before(flow: Flow) -> None:
    """Nobody need ask Kafka: what lies before a log's start does not come back."""
    passed(flow)
    flow.admin.delete_records(flow.inbox, {0: 5})
    flow.sample()
    with broker_away():
        found = replay(flow)
    assert inbox(found) == {"inbox/0": (Reach.NOTHING, None, 5)}
    assert stand_ins(found) == {"inbox/0": StandIns(5, 0, 0)}


def test_kafka_away_after_retention_what_was_gone_stays_gone(flow: Flow) -> None:
    passed(flow)
    flow.admin.delete_records(flow.inbox, {0: 3})
    flow.sample()
    with broker_away():
        flow.sample()  # a sample without an answer, younger than the one that had one
        found = replay(flow)
    assert inbox(found) == {"inbox/0": (Reach.UNMEASURED, None, 3)}
    assert stand_ins(found) == {"inbox/0": StandIns(3, 0, 0)}


def test_kafka_away_and_never_sampled_nobody_knows_of_anything(flow: Flow) -> None:
    passed(flow)
    found = processed(flow)
    silent = replace(found, accounts=tuple(replace(account, sampled=None) for account in found.accounts))
    with broker_away():
        capture._recent.clear()
        at = anchors.replay(silent)
    assert inbox(at) == {"inbox/0": (Reach.UNMEASURED, None, None)}
    assert stand_ins(at) == {"inbox/0": None}


def test_a_look_from_before_the_cut_is_not_held_against_it(flow: Flow) -> None:
    """It would end before what was read since, and look like a log that was truncated."""
    flow.open()
    flow.produce([thing(1)])
    flow.work()
    capture._recent.clear()
    before = anchors.replay(processed(flow), timeout=5.0)
    flow.produce([thing(2), thing(3)])
    flow.work()
    flow.cut()
    found = anchors.replay(processed(flow), timeout=5.0)
    assert (inbox(before), inbox(found)) == ({"inbox/0": (Reach.ALL, 0, 0)}, {"inbox/0": (Reach.ALL, 0, 0)})


def test_many_sources_cost_what_one_with_two_costs(make_flow: MakeFlow, monkeypatch: pytest.MonkeyPatch) -> None:
    def statements(partitions: int) -> tuple[int, int]:
        flow = make_flow(partitions=partitions)
        flow.open()
        for partition in range(partitions):
            flow.produce([thing(f"{partition}-{n}") for n in range(2)], partition=partition)
        flow.work(seconds=40)
        flow.admin.delete_records(flow.inbox, dict.fromkeys(range(partitions), 1))
        replay(flow)  # contracts are compiled once a process
        capture._recent.clear()
        with CaptureQueriesContext(connection) as queries:
            found = anchors.replay(processed(flow), timeout=5.0)
        kept = inbox(found)
        assert len(kept) == partitions
        assert set(kept.values()) == {(Reach.FROM, 1, 1)}
        assert set(stand_ins(found).values()) == {StandIns(1, 0, 0)}
        return len(queries), partitions

    (few, _), (many, _) = statements(2), statements(16)
    assert few == many <= 18


def test_a_window_that_is_not_there(flow: Flow) -> None:
    from ingest.core.errors import NotFound

    with pytest.raises(NotFound):
        anchors.processed(2**31 - 1)  # type: ignore[arg-type]
