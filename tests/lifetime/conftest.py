"""What lasts: real Celery workers over restarts, idle times, full disks and clocks that step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # a conftest is read before Django is set up
    from pytest_django import DjangoDbBlocker

    from stack import Stack
    from tests.flow.world import Flow

NAMES = ("lanes", "control", "watch", "beat")


@pytest.fixture(scope="module")
def serving(stack: Stack, django_db_blocker: DjangoDbBlocker) -> Iterator[Stack]:
    """The stack with Celery workers and beat, for a whole module."""
    with django_db_blocker.unblock():
        for name in NAMES:
            stack.start_part(name)
        yield stack
        for name in reversed(NAMES):
            stack.stop_part(name)


@pytest.fixture
def flow(live: Stack) -> Iterator[Flow]:
    """A stream of the test's own, checked by fsck when it is over. No other's gate is open beside its own."""
    from tests.flow.world import MADE, Flow, leave

    leave(MADE)
    made = Flow()
    yield made
    made.check()
