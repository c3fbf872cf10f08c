"""What fsck could not look at is said, by name, and is never "nothing found"."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from audit import capture
from audit.fsck import examine, reread
from ingest.core.errors import BrokerError
from ingest.kafka import Admin, BrokerUnavailable, LogEnds
from tests.audit.test_close import passed
from tests.audit.test_fsck import cheat
from tests.cli.typed import typed
from tests.flow.world import Flow, thing

Answer = Callable[..., Any]


def unseen(flow: Flow) -> str:
    report = examine(flow.name)
    assert report.findings == ()
    return "\n".join(str(x) for x in report.unseen)


def test_all_is_looked_at_where_everybody_answers(flow: Flow) -> None:
    passed(flow)
    assert unseen(flow) == ""
    assert typed(f"fsck {flow.name}").code == 0


@pytest.mark.parametrize("silent", ["earliest", "lso"])
def test_a_log_whose_ends_nobody_answered(flow: Flow, silent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A receipt is changed, and Kafka does not say where its log begins or ends: that is not "nothing found"."""
    passed(flow)
    real = Admin.ends

    def ends(self: Admin, *asked: Any) -> dict[int, LogEnds]:
        return {p: replace(end, **{silent: None}) for p, end in real(self, *asked).items()}

    monkeypatch.setattr(Admin, "ends", ends)
    assert f"{flow.inbox}/0 was not looked at: Kafka did not say where its log begins and ends" in unseen(flow)
    answer = typed(f"fsck {flow.name}")
    assert answer.code == 3
    assert "Nothing found; " in answer.out
    document = typed(f"fsck {flow.name} --json").json
    assert document["findings"] == []
    assert {"check", "subject", "why"} == set(document["not_looked_at"][0])


def test_a_broker_that_is_away(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    passed(flow)

    class Away:
        def __getattr__(self, name: str) -> Answer:
            def away(*_: object, **__: object) -> None:
                raise BrokerUnavailable(expected="an answer", found="none")

            return away

    monkeypatch.setattr(reread, "admin", Away)
    monkeypatch.setattr(capture, "admin", lambda *_: Away())
    said = unseen(flow)
    assert f"{flow.bus}/0 was not looked at: it could not be read again" in said
    assert f"BASIS of {flow.name}/r1#1 was not looked at: Kafka was not measured" in said


def test_a_log_that_goes_silent_while_it_is_read(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    passed(flow)

    def silent(*_: object) -> Any:
        raise BrokerError(found="nothing for 20 s")

    monkeypatch.setattr("ingest.kafka.LogWalk.pieces", silent)
    assert f"{flow.inbox}/0 was not looked at: it could not be read again" in unseen(flow)


def test_a_log_whose_start_has_moved_on(flow: Flow) -> None:
    flow.open()
    flow.produce([thing(n) for n in range(5)])
    flow.work()
    flow.cut()
    flow.work()
    assert flow.judge().verdict.state == "PASS"
    flow.admin.delete_records(flow.inbox, {0: 3})
    assert f"{flow.inbox}/0 [0, 3) was not looked at: the log's start has moved past it" in unseen(flow)


def test_a_topic_that_was_created_again(flow: Flow) -> None:
    passed(flow)
    flow.admin.delete_topic(flow.inbox)
    flow.admin.create_topic(flow.inbox, 1)
    said = unseen(flow)
    assert f"{flow.inbox}/0 was not looked at: its topic has the id" in said
    assert f"BASIS of {flow.name}/r1#1 was not looked at: {flow.inbox} was deleted and created again" in said


def test_an_aborted_record_is_no_record_and_a_committed_one_is(flow: Flow) -> None:
    """The other reader is given what was aborted, too, and knows it by a second look at what is committed."""
    flow.open()
    sender = flow_sender(flow)
    sender.begin_transaction()
    sender.produce(flow.inbox, thing("aborted"), b"k", 0)
    sender.flush(10)
    sender.abort_transaction(10)
    flow.produce([thing(1)])
    flow.work()
    flow.cut()
    flow.work()
    assert flow.judge().verdict.state == "PASS"
    assert unseen(flow) == ""
    with cheat(flow) as connection:  # a receipt of what was aborted
        connection.execute(
            'INSERT INTO receipt (source_id, "offset", batch_id, decision, reason, flags, payload_digest)'
            " SELECT source_id, 0, batch_id, 3, 1, 0, payload_digest FROM receipt WHERE source_id = %s",
            (flow.sources("inbox")[0],),
        )  # fmt: skip
        (found,) = examine(flow.name, names=("records_have_receipts",)).findings
        connection.execute('DELETE FROM receipt WHERE source_id = %s AND "offset" = 0', (flow.sources("inbox")[0],))
    assert (found.subject, found.found) == (f"{flow.inbox}/0@0", "a receipt without record")


def flow_sender(flow: Flow) -> Any:
    from ingest.kafka import TransactionalProducer

    sender = TransactionalProducer(flow.cluster, f"{flow.name}.aborts", delivery_timeout=10)
    sender.init()
    return sender._producer
