"""fsck where something is missing, of another shape, or longer than what is kept: found or said, and never a crash."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from audit.close import window_of
from audit.core import verdict as v
from audit.core.finding import Report
from audit.core.snapshot import BASIS, SNAPSHOT
from audit.fsck import again as digested
from audit.fsck import chain, examine, passes, reread, truth
from audit.measure import lanes
from ingest.core.ledger_rows import packed_headers
from ingest.kafka import BusMessage, LogEnds, Record, TransactionalProducer
from ingest.streams import newest_contract
from tests.audit.test_close import grow, passed
from tests.audit.test_fsck import cheat
from tests.audit.test_gate import broker_away
from tests.flow import test_projections as p
from tests.flow.test_consume import again, published
from tests.flow.world import Flow, thing
from tests.patience import until

MakeFlow = Callable[..., Flow]


@contextmanager
def spoilt(flow: Flow, spoil: str, mend: str, *values: Any) -> Iterator[None]:
    """`%s` of either are the values, then the window."""
    win = window_of(flow.name, "r1")
    with cheat(flow) as connection:
        connection.execute(spoil, (*values, win))
        try:
            yield
        finally:
            connection.execute(mend, (win,))


def said(flow: Flow, *names: str, bus: bool = True) -> tuple[list[str], list[str]]:
    """(findings, what was not looked at), as text."""
    report: Report = examine(flow.name, bus, names)
    return [str(each) for each in report.findings], [str(each) for each in report.unseen]


# ---- what is asked --------------------------------------------------------------------------------------------------


def test_who_does_not_ask_for_kafka_is_not_told_of_it(flow: Flow) -> None:
    passed(flow)
    flow.admin.delete_topic(flow.inbox)
    flow.admin.create_topic(flow.inbox, 1)
    assert said(flow, "roots") == ([], [])
    assert said(flow, "roots", *reread.COMPARISONS, bus=False) == ([], [])
    assert len(said(flow, *reread.COMPARISONS)[1]) == 1


# ---- a PASS, judged again -------------------------------------------------------------------------------------------


def test_a_partition_that_came_after_the_cut_is_the_next_windows(flow: Flow) -> None:
    passed(flow)
    grow(flow, 2)
    assert said(flow, "passes") == ([], [])


@pytest.mark.parametrize("facts", [{"schema": "passgate.snapshot/9", "broker": 7}, {"schema": SNAPSHOT}])
def test_a_cut_of_a_shape_that_nobody_knows_is_not_read(flow: Flow, facts: dict[str, Any]) -> None:
    passed(flow)
    (row,) = flow.rows("SELECT facts FROM snapshot WHERE kind = 'END' AND win = %(w)s", w=window_of(flow.name, "r1"))
    change = "UPDATE snapshot SET facts = %s WHERE kind = 'END' AND win = %s"
    win = window_of(flow.name, "r1")
    with cheat(flow) as connection:
        connection.execute(change, (Jsonb(facts), win))
        try:
            assert said(flow, "passes")[0] == []
        finally:
            connection.execute(change, (Jsonb(row.facts), win))


def test_a_basis_of_a_shape_that_nobody_knows_is_not_looked_at(flow: Flow) -> None:
    passed(flow)
    shape = "UPDATE basis SET facts = jsonb_set(facts, '{{schema}}', '\"{}\"') WHERE win = %s"
    with spoilt(flow, shape.format("passgate.basis/9"), shape.format(BASIS)):
        found, unseen = said(flow, "passes")
    assert found == []
    assert any(text.startswith("BASIS of") for text in unseen), unseen


def test_a_source_that_the_basis_names_and_the_ledger_does_not_have(flow: Flow) -> None:
    passed(flow)
    keys = (window_of(flow.name, "r1"), flow.sources("bus")[1])
    where = "WHERE win = %s AND source_id = %s"
    with cheat(flow) as connection:
        row = connection.execute(
            f"DELETE FROM window_range {where} RETURNING start_offset, end_offset", keys
        ).fetchone()
        assert row is not None
        try:
            found, _ = said(flow, "passes")
        finally:
            add = "INSERT INTO window_range (win, source_id, start_offset, end_offset) VALUES (%s, %s, %s, %s)"
            connection.execute(add, (*keys, *row))
    assert any(f"its basis and the ledger differ in {flow.bus}/1" in text for text in found), found


def test_a_pass_whose_body_tells_no_counts_is_found(flow: Flow) -> None:
    """With the digest of what is left: by that alone it would look whole."""
    passed(flow)
    (row,) = flow.rows("SELECT id, body, digest FROM verdict WHERE win = %(win)s", win=window_of(flow.name, "r1"))
    less = {key: value for key, value in row.body.items() if key != "counts"}
    change = "UPDATE verdict SET body = %s, digest = %s WHERE id = %s"
    with cheat(flow) as connection:
        connection.execute(change, (Jsonb(less), v.digest(less), row.id))
        try:
            found, _ = said(flow, "passes")
        finally:
            connection.execute(change, (Jsonb(row.body), bytes(row.digest), row.id))
    assert len(found) == 1 and "it tells no counts, and there are 5 records, 5 admitted" in found[0], found


def test_two_passes_of_one_contract_are_judged_again_while_kafka_is_away(flow: Flow) -> None:
    passed(flow, "r1")
    passed(flow, "r2")
    with broker_away():
        found, unseen = said(flow, "passes")
    assert found == []
    assert {text.split(" of ")[1].split(" ")[0] for text in unseen} == {f"{flow.name}/r1#1", f"{flow.name}/r2#1"}


def test_kafka_is_asked_again_once_its_answer_is_half_as_old_as_it_may_be(make_flow: MakeFlow) -> None:
    flow = make_flow(close='sample_max_age = "1s"')
    flow.open()
    contract, answers = newest_contract(flow.name).contract, passes._Kafka()
    starts = lanes(window_of(flow.name, "r1"))
    first = answers.of(1, contract, starts)
    time.sleep(0.6)
    later = answers.of(1, contract, starts)
    assert first.broker is not None and later.broker is not None
    assert later.broker.measured_at > first.broker.measured_at


def test_a_pass_whose_context_fell_is_found(live: object) -> None:
    weather = Flow(contract=p.WEATHER)  # what they are afterwards is found by intent
    weather.open()
    weather.produce([p.report(1)])
    weather.work()
    weather.cut()
    weather.work()
    assert weather.judge().verdict.state == "PASS"
    flow = p.joined(weather)
    flow.open()
    flow.produce([p.flight(1, 1)])
    flow.work()
    flow.cut()
    flow.work_until(lambda: flow.count("effect") == 1)
    assert flow.judge().verdict.state == "PASS"
    with cheat(weather) as connection:
        connection.execute(
            "INSERT INTO verdict (run_id, number, win, revision, state, basis_generation, contract_digest, body,"
            " digest, decided_by) SELECT run_id, number + 1, win, revision, 'FAIL', basis_generation, contract_digest,"
            " body, digest, 'test' FROM verdict WHERE win = %s",
            (window_of(weather.name, "r1"),),
        )
    found, _ = said(flow, "passes")
    assert any("CONTEXT does not hold" in text and f"{weather.name}/r1#2 is FAIL" in text for text in found), found


# ---- the log of acts ------------------------------------------------------------------------------------------------


def test_a_head_that_names_an_earlier_row_is_said_as_that(live: object) -> None:
    walker = chain._Walker(None)
    walker.head = chain.Head(5, b"a" * 32)
    walker.end(SimpleNamespace(id=4, digest=b"b" * 32))
    assert [finding.found for finding in walker.found] == ["the last row, and the head names 4"]


# ---- digests --------------------------------------------------------------------------------------------------------


def test_what_has_no_digest_cannot_differ_from_it() -> None:
    assert digested._has_digest(b"value", None, None)
    assert digested._has_digest(None, None, b"digest")
    assert not digested._has_digest(b"value", None, b"digest")


# ---- records that are read again ------------------------------------------------------------------------------------


def test_a_log_without_an_end_is_compared_with_nothing() -> None:
    row = SimpleNamespace(topic="t.inbox", partition=0)
    names = frozenset(reread.COMPARISONS)
    sample = SimpleNamespace(hw=9, lso=9, log_start=0)
    assert list(reread._offsets(row, None, 5, LogEnds(0, None, None, 1), [sample], names)) == []
    found = list(reread._offsets(row, 6, 5, LogEnds(0, 4, 4, 1), [sample], names))
    assert [finding.check for finding in found] == ["kafka_commits", "kafka_ends", "kafka_samples"]


def record(key: bytes | None, headers: list[tuple[str, bytes | None]] | None) -> Record:
    return Record(0, None, key, b"", headers, None)


def test_of_what_is_longer_than_the_ledger_keeps_the_beginning_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    headers: list[tuple[str, bytes | None]] = [("from", b"a test")]
    packed = packed_headers(headers)
    assert packed is not None
    monkeypatch.setattr(reread, "KEPT_BYTES", 4)
    assert reread._KeptRecord(b"abcd", b"cut").differs(record(b"abcdef", headers)) == ""
    assert reread._KeptRecord(b"abXX", b"cut").differs(record(b"abcdef", headers)) == "key"
    assert reread._KeptRecord(b"abc", None).differs(record(b"abcd", None)) == "key"
    assert reread._KeptRecord(None, None).differs(record(b"abcd", None)) == "key"
    assert reread._KeptRecord(b"abcd", b"cut").differs(record(b"abcd", None)) == "headers"
    monkeypatch.setattr(reread, "KEPT_BYTES", len(packed))
    assert reread._KeptRecord(None, b"cut").differs(record(None, headers)) == "headers"
    assert reread._KeptRecord(None, packed).differs(record(None, headers)) == ""


def test_the_record_at_a_place_is_compared_though_a_copy_of_it_was_applied(flow: Flow) -> None:
    """The copy was read first: the effect is its, and the place is the other one's."""
    ((partition, placed),) = published(flow, 1)
    again(flow, [(1 - partition, placed)])
    worker = flow.worker("effects")
    worker.only = frozenset(flow.sources("bus")[1 - partition : 2 - partition])
    flow.sample()
    until(lambda: worker.slice(2.0) > 0)
    worker.close()
    flow.work("effects")
    assert said(flow, "events_on_the_bus") == ([], [])
    key = "UPDATE event SET key = {} WHERE win = %s"
    with spoilt(flow, key.format("'other'"), key.format("NULL")):
        found, _ = said(flow, "events_on_the_bus")
    assert len([text for text in found if "the ledger keeps another key" in text]) == 2, found


def test_a_payload_that_is_not_the_placed_records_is_found_though_its_digest_is_as_it_was(flow: Flow) -> None:
    passed(flow, events=1)
    payload = "UPDATE event SET payload = {} WHERE win = %s"
    longer, back = "payload || ' '::bytea", "substring(payload FROM 1 FOR length(payload) - 1)"
    with spoilt(flow, payload.format(longer), payload.format(back)):
        found, _ = said(flow, "events_on_the_bus")
    assert "the record is not the event that was placed there" in found[0]


def test_an_event_whose_bytes_are_none_is_found(flow: Flow) -> None:
    passed(flow, events=1)
    payload = "UPDATE event SET payload = {} WHERE win = %s"
    with spoilt(flow, payload.format("'no event' || payload"), payload.format("substring(payload FROM 9)")):
        found, _ = said(flow, "events")
    assert "it is not understood (NOT_JSON)" in found[0]


def test_receipts_and_items_of_records_that_are_not_there_are_said_once(flow: Flow) -> None:
    """What else is compared of a record needs the record: and a receipt's meaning its batch's contract."""
    flow.open()
    sender = TransactionalProducer(flow.cluster, f"{flow.name}.sender", delivery_timeout=10)
    sender.init()
    sender.send(flow.inbox, [BusMessage(0, b"k", thing(1), [])])
    sender.destroy()
    flow.produce([b"not json"])  # behind the marker, which no reader is given
    flow.work()
    source = flow.sources("inbox")[0]
    moved = 'UPDATE quarantine_item SET "offset" = {} WHERE win = %s'
    with spoilt(flow, moved.format(1), moved.format(2)):
        assert said(flow, "records_kept") == ([], [])
    (batch,) = flow.rows('SELECT batch_id FROM receipt WHERE source_id = %(s)s AND "offset" = 0', s=source)
    with cheat(flow) as connection:
        lost = 'UPDATE receipt SET batch_id = %s WHERE source_id = %s AND "offset" = 0'
        connection.execute(lost, (-1, source))
        try:
            assert said(flow, "records_understood", "records_have_receipts") == ([], [])
        finally:
            connection.execute(lost, (batch.batch_id, source))


# ---- what readers read ----------------------------------------------------------------------------------------------


def test_a_table_that_can_not_be_compared_is_said(monkeypatch: pytest.MonkeyPatch, live: object) -> None:
    flow = p.Flow(contract=p.WEATHER)
    flow.open()
    flow.produce([p.report(1)])
    flow.work()
    assert said(flow, "truth") == ([], [])
    unseen = f"truth.weather of {flow.name}/r1 was not looked at: it has no columns win and identity to compare by"
    with monkeypatch.context() as patch:
        patch.setattr(truth, "_comparable", lambda table: False)
        assert said(flow, "truth") == ([], [unseen])
    monkeypatch.setattr(truth, "_TABLE", truth.re.compile("another"))
    assert said(flow, "truth") == ([], [unseen])


def columns_of(names: Collection[str]) -> Callable[..., list[Any]]:
    return lambda *_: [SimpleNamespace(name=name) for name in names]


def test_window_and_identity_are_all_that_a_table_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    for names, enough in ((("win", "identity"), True), (("win", "identity", "temp"), True), (("win",), False)):
        monkeypatch.setattr(truth, "rows", columns_of(names))
        assert truth._comparable("truth.weather") is enough
