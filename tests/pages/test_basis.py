"""`…/basis`: what was processed, what is safe to replay now, and the basis, as a person reads it."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator

import pytest
from django.test import Client

from audit import capture
from audit.go_on import go_on
from console.reads import anchors as reads
from tests.audit.test_gate import broker_away
from tests.cli.settled import passed
from tests.fixtures import flow, make_flow, quick_slices
from tests.flow.world import Flow, thing

__all__ = ["flow", "make_flow", "quick_slices"]
pytestmark = pytest.mark.usefixtures("live")


@pytest.fixture(autouse=True)
def asked_nothing_before(live: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As a process that has just started, on a machine that may be busy with other things."""
    monkeypatch.setattr(reads, "PATIENCE", 20.0)
    for kept in (reads._kept, capture._recent, capture._probed):
        kept.clear()
    yield


def shown(client: Client, flow: Flow, query: str = "") -> str:
    """The page's text, as one line."""
    answer = client.get(f"/runs/{flow.name}/r1/basis{query}")
    assert answer.status_code == 200
    return " ".join(re.sub(r"<[^>]+>", " ", answer.content.decode()).split())


def test_both_answers_and_the_basis_are_on_one_page(viewer: Client, flow: Flow) -> None:
    passed(flow)
    text = shown(viewer, flow)
    assert "All of the window can be replayed: 1 source, every offset is there." in text
    assert re.search(r"opened \S+ \S+ opened by test cut \S+ \S+ cut by test contract v1", text)
    assert re.search(r"inbox/0 \[0, 5 ?\) 5 5 0 0 0 [0-9a-f]{64} over \d+ batch digests?, the newest \d+ s ago", text)
    assert re.search(r"What is safe to replay now measured [\d.]+ s ago", text)
    assert re.search(r"now in nothing what Kafka and Postgres say", text)
    assert "the bus has no receipts" in text


def test_what_is_gone_and_what_stands_in_for_it(viewer: Client, flow: Flow) -> None:
    passed(flow)
    flow.admin.delete_records(flow.inbox, {0: 2})
    text = shown(viewer, flow)
    assert "Part of the window can be replayed: inbox/0 from 2." in text
    assert re.search(r"inbox/0 from 2 \[0, 5\) 2 2 0 0 the log of inbox/0 starts at 2 now", text)


def test_a_topic_created_again_is_named_in_both_places(viewer: Client, flow: Flow) -> None:
    passed(flow)
    flow.admin.delete_topic(flow.inbox)
    flow.admin.create_topic(flow.inbox, 1)
    text = shown(viewer, flow)
    assert "Nothing of the window can be replayed." in text
    assert text.count(f"{flow.inbox} was deleted and created again") == 2


def test_with_kafka_away_nothing_is_all_and_nothing_is_gone(viewer: Client, flow: Flow) -> None:
    passed(flow)
    with broker_away():
        text = shown(viewer, flow)
    assert "What is safe to replay of inbox/0 is unmeasured." in text
    assert text.count("Kafka did not answer") == 1  # the reason for all of them stands once
    assert re.search(r"inbox/0 unmeasured \[0, 5\) at least 0 ", text)
    assert re.search(r"ago by a sample", text)
    assert re.search(r"now unmeasured what Kafka and Postgres say not measured", text)
    assert re.search(r"inbox/0 \[0, 5 ?\) 5 5 0 0 0 ", text)  # the ledger's answer needs no Kafka


def test_a_kafka_that_takes_its_time_does_not_hold_the_page(
    viewer: Client, flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At first it is unmeasured, and says so; once there was an answer, that is shown with its age."""
    passed(flow)
    let_go = threading.Event()
    real = reads.replay
    monkeypatch.setattr(reads, "PATIENCE", 0.2)
    monkeypatch.setattr(reads, "replay", lambda window: let_go.wait(60) and real(window))
    begun = time.monotonic()
    text = shown(viewer, flow)
    assert time.monotonic() - begun < 20
    assert reads.NOT_YET in text and "inbox/0 is unmeasured" in text
    (question,) = reads._asker._under_way.values()
    let_go.set()
    question.answer.result(60)
    let_go.clear()
    assert "All of the window can be replayed" in shown(viewer, flow)
    let_go.set()


def test_the_window_that_is_looked_at_is_the_one_that_is_named(viewer: Client, flow: Flow) -> None:
    flow.open()
    flow.produce([thing(1), thing(2)])
    flow.work()
    go_on(flow.name, "r1", "ana")
    flow.produce([thing(3)])
    flow.work()
    assert re.search(
        r"opened by ana cut not yet: what was processed so far .* inbox/0 \[2, …\) read to 3 1 1", shown(viewer, flow)
    )
    assert re.search(r"cut by ana .* inbox/0 \[0, 2 ?\) 2 2 0 0 0", shown(viewer, flow, "?window=1"))
    assert viewer.get(f"/runs/{flow.name}/r1/basis?window=9").status_code == 404


def test_a_window_is_found_however_many_follow_it(viewer: Client, flow: Flow) -> None:
    flow.open()
    go_on(flow.name, "r1", "ana")
    go_on(flow.name, "r1", "ben")
    assert "cut by ana" in shown(viewer, flow, "?window=1")
    assert "opened by ben" in shown(viewer, flow)
    assert viewer.get(f"/runs/{flow.name}/r1/windows/2/").status_code == 200
    assert viewer.get(f"/runs/{flow.name}/r1/basis?window=4").status_code == 404
