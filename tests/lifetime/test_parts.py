"""S21 and S28 on real workers: each part killed, emptied or taken away during the flow, and all of them at once.

Whatever was killed is started again by the stack, as a machine's service manager would; nobody tells the workers.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis

from stack import Stack
from tests.lifetime.conftest import NAMES
from tests.lifetime.patience import Stretch, patiently

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
EVERYTHING = ("postgres", "kafka", "valkey", *NAMES)


def killed(*parts: str) -> Callable[[Stack], None]:
    def disturb(stack: Stack) -> None:
        for part in parts:
            stack.kill(part)
        for part in parts:
            stack.wait_up(part, 90)

    return disturb


def emptied(stack: Stack) -> None:
    """All permits under way are gone, and the workers' queues with them."""
    with redis.Redis.from_url(stack.env()["CELERY_BROKER_URL"]) as valkey:
        valkey.flushall()


@pytest.mark.parametrize(
    "disturb",
    [
        pytest.param(killed("postgres"), id="postgres"),
        pytest.param(killed("kafka"), id="kafka"),
        pytest.param(killed("valkey"), id="valkey"),
        pytest.param(emptied, id="valkey-emptied"),
        pytest.param(killed("lanes", "control", "watch"), id="workers"),
        pytest.param(killed(*EVERYTHING), id="everything"),
    ],
)
def test_a_part_killed_during_the_flow_loses_nothing(serving: Stack, disturb: Callable[[Stack], None]) -> None:
    run = Stretch()
    run.produce()
    run.wait_applied(1)
    run.produce()
    disturb(serving)
    patiently(run.produce)
    run.ends_whole()
