"""The table of docs/kafka-facts.md#publishing, row by row: what may be on the bus, and so what the attempt is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.core.outcome import (
    CommitStep,
    Fault,
    Kind,
    Place,
    Report,
    SendReport,
    Step,
    after_commit_fault,
    confirm,
    judge,
)


def sent(*reports: Report, **changes: object) -> SendReport:
    given: dict[str, object] = {
        "events": len(reports),
        "handed_over": len(reports),
        "reports": reports,
        "committed": True,
    }
    return SendReport(**{**given, **changes})  # type: ignore[arg-type]


GOOD = (Report(0, 2, 41), Report(1, 0, 7))
MAYBE = [
    "_MSG_TIMED_OUT",
    "_TIMED_OUT",
    "REQUEST_TIMED_OUT",
    "_TRANSPORT",
    "_SSL",
    "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
    "_BAD_MSG",
    "_PURGE_INFLIGHT",
    "OUT_OF_ORDER_SEQUENCE_NUMBER",
    "UNKNOWN_PRODUCER_ID",
    "_PURGE_QUEUE",
    "NOT_ENOUGH_REPLICAS",
    "_UNKNOWN_TOPIC",
    "TOPIC_AUTHORIZATION_FAILED",
    "MSG_SIZE_TOO_LARGE",
    "POLICY_VIOLATION",
    "INVALID_RECORD",
    "NOT_LEADER_FOR_PARTITION",
    "KAFKA_STORAGE_ERROR",
    "INVALID_PRODUCER_EPOCH",
    "_FENCED",
]


def test_committed_with_every_place_is_acked() -> None:
    outcome = judge(sent(*reversed(GOOD)))
    assert outcome.kind is Kind.ACKED
    assert outcome.places == (Place(0, 2, 41), Place(1, 0, 7))


@pytest.mark.parametrize("name", MAYBE)
def test_every_failed_report_is_unknown_whatever_its_name_promises(name: str) -> None:
    outcome = judge(sent(GOOD[0], Report(1, 0, None, Fault(name, "said so")), committed=False))
    assert outcome.kind is Kind.UNKNOWN
    assert outcome.why.startswith(f"{name}: 1 delivery reports failed")
    assert outcome.places == ()


@pytest.mark.parametrize("step", [Step.BEGIN, Step.PRODUCE])
def test_only_a_refusal_before_the_first_hand_over_is_not_sent(step: Step) -> None:
    outcome = judge(SendReport(5, 0, raised=(step, Fault("BufferError", "queue full"))))
    assert outcome.kind is Kind.NOT_SENT
    assert outcome.why == f"BufferError: {step} raised: queue full"


def test_a_refusal_after_others_were_handed_over_is_unknown() -> None:
    outcome = judge(SendReport(5, 3, raised=(Step.PRODUCE, Fault("TypeError"))))
    assert outcome.kind is Kind.UNKNOWN


def test_no_delivery_report_is_unknown() -> None:
    outcome = judge(SendReport(5, 5, GOOD, undelivered=3))
    assert outcome.kind is Kind.UNKNOWN
    assert outcome.why.startswith("NO_REPORT: flush left 3")


def test_flush_that_raises_fenced_is_unknown_and_proves_no_other_owner() -> None:
    outcome = judge(SendReport(2, 2, raised=(Step.FLUSH, Fault("_FENCED", "another", fatal=True))))
    assert outcome.kind is Kind.UNKNOWN
    assert outcome.why.startswith("_FENCED")


@pytest.mark.parametrize(
    "fault",
    [
        Fault("_TIMED_OUT", retriable=True),
        Fault("_STATE", requires_abort=True),
        Fault("_FENCED", fatal=True),
    ],
)
def test_good_reports_without_a_commit_are_unknown(fault: Fault) -> None:
    outcome = judge(sent(*GOOD, committed=False, raised=(Step.COMMIT, fault)))
    assert outcome.kind is Kind.UNKNOWN


def test_good_reports_alone_are_not_proof() -> None:
    assert judge(sent(*GOOD, committed=False)).why.startswith("NOT_COMMITTED")


def test_a_report_without_offset_is_on_the_bus_at_a_place_to_be_found() -> None:
    outcome = judge(sent(GOOD[0], Report(1, 0, None)))
    assert outcome.kind is Kind.UNKNOWN
    assert outcome.why == "PLACE_UNKNOWN: committed, but 1 delivery reports carry no offset"


@pytest.mark.parametrize(
    ("fault", "left", "step"),
    [
        (Fault("_TIMED_OUT", retriable=True), 3.0, CommitStep.AGAIN),
        (Fault("_TIMED_OUT", retriable=True), 0.0, CommitStep.GIVE_UP),
        (Fault("_X", retriable=True, requires_abort=True), 3.0, CommitStep.GIVE_UP),
        (Fault("_X", retriable=True, fatal=True), 3.0, CommitStep.GIVE_UP),
        (Fault("_X"), 3.0, CommitStep.GIVE_UP),
    ],
)
def test_only_a_retriable_commit_is_called_again_and_only_in_time(fault: Fault, left: float, step: CommitStep) -> None:
    assert after_commit_fault(fault, left) is step


faults = st.one_of(st.none(), st.builds(Fault, st.sampled_from(MAYBE)))
reports = st.lists(st.tuples(st.integers(0, 3), st.one_of(st.none(), st.integers(0, 99)), faults), max_size=8)


@given(reports, st.integers(0, 2), st.booleans(), st.booleans())
def test_acked_needs_a_commit_and_a_place_for_every_event(
    raw: list[tuple[int, int | None, Fault | None]], undelivered: int, committed: bool, broke: bool
) -> None:
    said = [Report(i, p, o, f) for i, (p, o, f) in enumerate(raw)]
    raised = (Step.COMMIT, Fault("_TIMED_OUT")) if broke else None
    sending = SendReport(len(said) + undelivered, len(said) + undelivered, said, undelivered, raised, committed)
    outcome = judge(sending)
    clean = committed and not broke and not undelivered and all(r.fault is None and r.offset is not None for r in said)
    assert (outcome.kind is Kind.ACKED) == clean
    assert (outcome.kind is Kind.NOT_SENT) == (sending.handed_over == 0 and not committed)
    assert bool(outcome.why) == (outcome.kind is not Kind.ACKED)


@pytest.mark.parametrize(("found", "kind"), [("t1", Kind.ACKED), ("t2", Kind.UNKNOWN), (None, Kind.UNKNOWN)])
def test_acked_stands_only_on_the_topic_that_was_sent_to(found: str | None, kind: Kind) -> None:
    assert confirm(judge(sent(*GOOD)), "t1", found).kind is kind
    unknown = judge(sent(*GOOD, committed=False))
    assert confirm(unknown, "t1", found) is unknown


@pytest.mark.parametrize(("found", "said"), [("t2", "found t2 afterwards"), (None, "found no answer afterwards")])
def test_another_topic_after_the_commit_is_named(found: str | None, said: str) -> None:
    assert confirm(judge(sent(*GOOD)), "t1", found).why.endswith(said)
