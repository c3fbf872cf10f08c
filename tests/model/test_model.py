"""Ten thousand schedules of lanes, people, crashes and late messages; I1 to I14 after every step.

`PASSGATE_MODEL_SCHEDULES=100000 python manage.py test tests/model` runs as many, other ones each time; without it the
same 10,000 run every time. A failing schedule is shrunk; its rules, and the effects they had, are the message.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.machine import Passgate

SCHEDULES = int(os.environ.get("PASSGATE_MODEL_SCHEDULES", "10000"))


@pytest.mark.timeout(max(900, SCHEDULES // 10))
def test_every_schedule_keeps_the_invariants() -> None:
    run_state_machine_as_test(
        Passgate,
        settings=settings(
            max_examples=SCHEDULES,
            stateful_step_count=20,
            derandomize="PASSGATE_MODEL_SCHEDULES" not in os.environ,
            deadline=None,
            database=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
