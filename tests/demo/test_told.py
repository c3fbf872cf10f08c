"""What the demo's exit code stands on."""

from __future__ import annotations

from dataclasses import replace

from ingest.core.reason import Decision, Reason
from trials.demo.faults import Outgoing
from trials.demo.story import Joins, Plan
from trials.demo.summary import RunCounts, compare, lines
from trials.demo.told import Expectations

PLAN = Plan(
    "flights",
    "r",
    2,
    (
        Outgoing(b"k", b"1", Decision.ADMITTED),
        Outgoing(b"k", b"2", Decision.ADMITTED),
        Outgoing(b"k", b"1", Decision.DUPLICATE),
        Outgoing(b"k", b"?", Decision.QUARANTINED, Reason.NOT_JSON),
    ),
)
JOINS = Joins(1, 1, 0)
COUNTS = RunCounts(
    name="flights/r", state="CLOSED", read=4, admitted=2, duplicates=1, reserialised=0, quarantined=1,
    by_reason={Reason.NOT_JSON: 1}, published=2, applied=2, joins=JOINS, items_open=0, items_resolved=1,
    attempts={"ACKED": 1}, scans={}, seconds=3.0, verdicts=("#1 BLOCKED", "#2 PASS"),
)  # fmt: skip


def told(counts: RunCounts) -> Expectations:
    found = Expectations()
    compare([counts], {PLAN.name: PLAN}, {PLAN.name: JOINS}, found)
    return found


def test_all_as_told() -> None:
    assert told(COUNTS).differences == []
    assert told(COUNTS).exit_code == 0


def test_nothing_told_is_not_success() -> None:
    assert Expectations().exit_code == 1


def test_each_count_is_held_against_the_plan() -> None:
    wrong = {
        "read": 5, "admitted": 1, "duplicates": 0, "by_reason": {Reason.NUL: 1}, "published": 1, "applied": 3,
        "joins": Joins(2, 0, 0), "name": "flights/other",
    }  # fmt: skip
    for name, value in wrong.items():
        assert told(replace(COUNTS, **{name: value})).exit_code == 1, name


def test_what_is_still_blocked_need_not_be_published() -> None:
    assert told(replace(COUNTS, published=1, applied=1, verdicts=("#1 BLOCKED",))).exit_code == 0


def test_a_point_says_what_differs() -> None:
    found = Expectations()
    assert not found.point("rows", 27_004, 0)
    assert str(found.differences[0]) == "rows: 27,004 was told, 0 was found"


def test_the_summary_counts_by_reason() -> None:
    text = "\n".join(lines([COUNTS]))
    for words in ("flights/r", "#1 BLOCKED, #2 PASS", "NOT_JSON", "0 / 1", "1 ACKED"):
        assert words in text
