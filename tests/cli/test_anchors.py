"""`passgate run anchors`: what was processed, and what can be replayed, as a person reads it."""

from __future__ import annotations

from collections.abc import Callable

from audit import capture
from tests.audit.test_gate import broker_away
from tests.cli.settled import passed
from tests.cli.typed import Typed
from tests.flow.world import Flow

Passgate = Callable[..., Typed]


def test_both_answers_are_on_one_page(passgate: Passgate, flow: Flow) -> None:
    run = passed(flow)
    flow.admin.delete_records(flow.inbox, {0: 2})
    shown = passgate(f"run anchors {run}")
    assert shown.code == 0
    first, second = shown.out.splitlines()[:2]
    assert first.startswith(f"{run} window 1 · CUT · contract v1 (") and first.endswith(" · basis generation 1")
    assert second.startswith("Opened ") and second.count(" by test.") == 2
    assert "Part of the window can be replayed: inbox/0 from 2. Kafka was asked " in shown.out
    rows = [line.split() for line in shown.out.splitlines() if line.startswith("inbox/0")]
    assert rows[0][:8] == ["inbox/0", "0", "5", "5", "5", "0", "0", "0"]
    assert rows[1][:7] == ["inbox/0", "from", "2", "2", "2", "0", "0"]
    assert "the log of inbox/0 starts at 2 now" in shown.out


def test_programs_get_what_the_api_answers_with(passgate: Passgate, flow: Flow) -> None:
    run = passed(flow)
    found = passgate(f"run anchors {run} --window 1 --json").json
    assert found["processed"]["sources"][0]["records"] == 5
    assert found["replay"]["sources"][0]["reach"] == "ALL"
    assert passgate(f"run anchors {run} --window 2").code == 3


def test_with_kafka_away_nothing_is_called_whole_or_gone(passgate: Passgate, flow: Flow) -> None:
    run = passed(flow)
    with broker_away():
        capture._recent.clear()
        shown = passgate(f"run anchors {run}")
    assert shown.code == 0
    assert "What is safe to replay of inbox/0 is unmeasured. Kafka did not answer: found " in shown.out
    rows = [line.split() for line in shown.out.splitlines() if line.startswith("inbox/0")]
    assert rows[0][3] == "5"
    assert rows[1][1] == "unmeasured"
