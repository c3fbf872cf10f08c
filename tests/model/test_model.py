"""Ten thousand schedules of lanes, people, crashes and late messages; I1 to I14 after every step.

`PASSGATE_MODEL_SCHEDULES=100000 python manage.py test tests/model` runs as many, other ones each time; without it the
same 10,000 run every time. A failing schedule is shrunk; its rules, and the effects they had, are the message.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.machine import Passgate

OTHERS = "PASSGATE_MODEL_SCHEDULES" in os.environ
SCHEDULES = int(os.environ.get("PASSGATE_MODEL_SCHEDULES", "10000"))
#: Hypothesis remembers what it has drawn, and grows slower by it; a part that fails says so after a tenth of the time.
A_PART = 1000
PARTS = [min(A_PART, SCHEDULES - done) for done in range(0, SCHEDULES, A_PART)]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("part", "schedules"), list(enumerate(PARTS)), ids=[str(part) for part in range(len(PARTS))])
def test_every_schedule_keeps_the_invariants(part: int, schedules: int) -> None:
    machine = type("Part", (Passgate,), {})
    run_state_machine_as_test(
        machine if OTHERS else seed(part)(machine),
        settings=settings(
            max_examples=schedules,
            stateful_step_count=20,
            deadline=None,
            database=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
