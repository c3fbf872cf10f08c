"""The drill's judgement: a good outcome is good, and a doctored one is found and ends with exit code 1."""

from __future__ import annotations

from dataclasses import replace

import pytest

from trials.drill.faults import FAULTS, chosen
from trials.drill.judgement import Expectation, Observation, ProblemKind, exit_code, problems
from trials.drill.report import document, table

IDS = frozenset({"1", "2", "3"})
PASSED = Observation(
    name="worker-killed", injected="SIGKILL", sent=IDS, on_bus=dict.fromkeys(IDS, 1), strange=0, effects=3,
    verdicts=("PASS",), sentence="Window 1 is PASS.", open_after=True,
)  # fmt: skip
RESOLVED = Expectation(("BLOCKED", "PASS"), "items are open")
NEVER = Expectation(("BLOCKED",), "FOREIGN", foreign=1)
FAILED = Expectation(("FAIL",), "created again")


def kinds(expected: Expectation, seen: Observation) -> list[ProblemKind]:
    return [problem.kind for problem in problems(expected, seen)]


@pytest.mark.parametrize(
    ("expected", "seen"),
    [
        (Expectation(), PASSED),
        (Expectation(), replace(PASSED, verdicts=("BLOCKED", "PASS"))),  # lanes were still at work
        (RESOLVED, replace(PASSED, verdicts=("BLOCKED", "PASS"), sentence="2 items are open. PASS.")),
        (NEVER, replace(PASSED, verdicts=("BLOCKED",), sentence="1 FOREIGN", strange=1, open_after=False)),
        (FAILED, replace(PASSED, verdicts=("FAIL",), sentence="deleted and created again", open_after=False)),
    ],
)
def test_what_came_out_as_it_should_is_good(expected: Expectation, seen: Observation) -> None:
    found = problems(expected, seen)
    assert found == ()
    assert exit_code({seen.name: found}) == 0


@pytest.mark.parametrize(
    ("expected", "doctored", "kind"),
    [
        (Expectation(), replace(PASSED, on_bus={"1": 1, "2": 1}), ProblemKind.LOST),
        (Expectation(), replace(PASSED, effects=2), ProblemKind.LOST),
        (Expectation(), replace(PASSED, on_bus={"1": 1, "2": 2, "3": 1}), ProblemKind.DOUBLED),
        (Expectation(), replace(PASSED, on_bus={"1": 1, "2": 1, "3": 1, "4": 1}), ProblemKind.DOUBLED),
        (Expectation(), replace(PASSED, strange=1), ProblemKind.DOUBLED),
        (Expectation(), replace(PASSED, effects=4), ProblemKind.DOUBLED),
        (Expectation(), replace(PASSED, early=("inbox/0: Kafka has 9, durable are 7",)), ProblemKind.EARLY),
        (Expectation(), replace(PASSED, opened=True), ProblemKind.GREEN),
        (Expectation(), replace(PASSED, verdicts=("BLOCKED",), open_after=True), ProblemKind.GREEN),
        (NEVER, replace(PASSED, strange=1), ProblemKind.GREEN),
        (FAILED, PASSED, ProblemKind.GREEN),
        (RESOLVED, PASSED, ProblemKind.GREEN),  # a PASS while items were open
        (FAILED, replace(PASSED, verdicts=("FAIL", "PASS"), sentence="created again"), ProblemKind.GREEN),
        (Expectation(), replace(PASSED, verdicts=("FAIL",), open_after=False), ProblemKind.JUDGED),
        (Expectation(), replace(PASSED, verdicts=(), open_after=False), ProblemKind.JUDGED),
        (Expectation(), replace(PASSED, open_after=False), ProblemKind.JUDGED),
        (
            NEVER,
            replace(PASSED, verdicts=("BLOCKED",), sentence="lag", strange=1, open_after=False),
            ProblemKind.JUDGED,
        ),
        (Expectation(), replace(PASSED, fsck=("I1 attempt 1: 2 places",)), ProblemKind.FSCK),
        (Expectation(), replace(PASSED, injected=""), ProblemKind.NOT_PLAYED),
    ],
)
def test_what_is_doctored_is_found(expected: Expectation, doctored: Observation, kind: ProblemKind) -> None:
    found = problems(expected, doctored)
    assert kind in [problem.kind for problem in found]
    assert exit_code({"good": (), doctored.name: found}) == 1
    assert str(kind) in table([(doctored, found)])
    shown = document([(doctored, found)], 1)["faults"][0]
    assert str(kind) in [wrong["kind"] for wrong in shown["wrong"]]


def test_a_drill_that_played_nothing_is_not_good() -> None:
    assert exit_code({}) == 1


def test_what_is_quick_is_played_at_length_too() -> None:
    assert {fault.name for fault in chosen(quick=True)} < {fault.name for fault in chosen(quick=False)}
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
