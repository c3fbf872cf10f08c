"""Plays the faults in turn. One that is over only when leases have ended is concluded after the others."""

from __future__ import annotations

from collections.abc import Callable

from console.demo.telling import Teller
from console.drill import report
from console.drill.faults import Fault, chosen
from console.drill.judgement import problems
from console.drill.play import Ground, Stage
from console.stack import Stack
from ingest.kafka import Cluster


def play_all(stack: Stack, teller: Teller, quick: bool) -> list[report.Result]:
    """Every fault's outcome, in the order they were played."""
    ground = Ground(stack, Cluster.of(stack.env()["KAFKA_BOOTSTRAP_SERVERS"]), teller)
    ends = [_play(ground, fault) for fault in chosen(quick)]
    return [end() for end in ends]


def _play(ground: Ground, fault: Fault) -> Callable[[], report.Result]:
    ground.teller.chapter(fault.name)
    stage = Stage(ground, fault.name)
    injected = fault.play(stage)
    ground.teller.say(injected or "THE FAULT COULD NOT BE PLAYED")
    if fault.waits:
        ground.teller.say("others go on with its lanes when its leases have ended; meanwhile:")
        return lambda: _conclude(stage, fault, injected)
    result = _conclude(stage, fault, injected)
    return lambda: result


def _conclude(stage: Stage, fault: Fault, injected: str) -> report.Result:
    if fault.waits:
        stage.ground.teller.chapter(f"{fault.name}, in the end")
    seen = stage.conclude(fault.expected, injected)
    found = problems(fault.expected, seen)
    for line in report.lines(seen, found):
        stage.ground.teller.answer(line)
    return seen, found
