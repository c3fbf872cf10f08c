"""Plays the faults in turn. One that is over only when leases have ended is concluded after the others."""

from __future__ import annotations

from collections.abc import Callable

from ingest.core.errors import PassgateError
from ingest.kafka import Cluster
from stack import Stack
from trials.demo.telling import Teller
from trials.drill import report
from trials.drill.faults import Fault, chosen
from trials.drill.judgement import Observation, Problem, ProblemKind, problems
from trials.drill.scenario import Ground, Stage

End = Callable[[], report.Result]


def play_all(stack: Stack, teller: Teller, quick: bool) -> list[report.Result]:
    """Every fault's outcome, in the order they were played."""
    ground = Ground(stack, Cluster.of(stack.env()["KAFKA_BOOTSTRAP_SERVERS"]), teller)
    ends = [play_one(ground, fault) for fault in chosen(quick)]
    return [end() for end in ends]


def play_one(ground: Ground, fault: Fault) -> End:
    """Plays it; the answer concludes it, or has done so. What cannot go on is a problem of its own, and others do."""
    ground.teller.chapter(fault.name)
    try:
        stage = Stage(ground, fault.name)
        injected = fault.play(stage)
    except PassgateError as error:
        stuck = _stuck(ground, fault, error)
        return lambda: stuck
    ground.teller.say(injected or "THE FAULT COULD NOT BE PLAYED")
    if fault.waits:
        ground.teller.say("lanes go on when leases have ended; meanwhile, what else there is")
        return lambda: _conclude(stage, fault, injected)
    result = _conclude(stage, fault, injected)
    return lambda: result


def _conclude(stage: Stage, fault: Fault, injected: str) -> report.Result:
    if fault.waits:
        stage.ground.teller.chapter(f"{fault.name}, in the end")
    try:
        seen = stage.conclude(fault.expected, injected)
    except PassgateError as error:
        return _stuck(stage.ground, fault, error)
    found = problems(fault.expected, seen)
    for line in report.lines(seen, found):
        stage.ground.teller.answer(line)
    return seen, found


def _stuck(ground: Ground, fault: Fault, error: PassgateError) -> report.Result:
    seen = Observation(fault.name, "", frozenset(), {}, strange=0, effects=0, verdicts=(), sentence="")
    ground.teller.answer(f"WRONG {error}")
    return seen, (Problem(ProblemKind.NOT_PLAYED, f"{error} [{error.code}]"),)
