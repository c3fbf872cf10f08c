"""The schedules of tests/judging/machine.py: the same ones each time, or others with PASSGATE_MODEL_SCHEDULES."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from stack import Stack
from tests.failpoints import steps
from tests.judging.machine import CLOSING, ENFORCING, JudgingMachine
from tests.judging.world import clocks, make_ground, make_weather

ASKED = os.environ.get("PASSGATE_JUDGING_SCHEDULES", "")
SCHEDULES = int(ASKED or 150)


@pytest.mark.slow
@pytest.mark.timeout(1_200)
def test_no_schedule_opens_what_was_not_shown_to_stand(live: Stack) -> None:
    JudgingMachine.ground = make_ground(live, make_weather(live))
    wanted = settings(
        max_examples=SCHEDULES,
        stateful_step_count=8,
        deadline=None,
        database=None,
        derandomize=not ASKED,
        print_blob=True,
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    with clocks(live):
        run_state_machine_as_test(JudgingMachine, settings=wanted)


def test_processes_are_stopped_where_there_are_points() -> None:
    """At a name that is none, a schedule stops nobody and says nothing of it."""
    assert {*CLOSING, *ENFORCING} - {"kafka.asked"} <= set(steps.failpoints())
