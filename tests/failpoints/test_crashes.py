"""S27: a process that dies at any point loses nothing, doubles nothing, and its run passes. S4, S16 and S22 beside it.

For every failpoint in the code: a real worker process armed with it dies there by SIGKILL; a worker goes on to the end;
then fsck is clean, inbox and bus as read again equal ledger and effects, and the run gets its PASS. How each point is
reached is told in stories.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from ingest.permits import end_permit, take_permit
from tests.failpoints import steps
from tests.failpoints.plan_stories import adopter_dies
from tests.failpoints.pool import Pool
from tests.failpoints.stories import ADOPTING, BEAT, ends_well, stories, tried

if TYPE_CHECKING:
    from pytest_django import DjangoDbBlocker

    from stack import Stack
    from tests.failpoints.ground import Ground

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
STORIES = dict(stories())


def test_every_failpoint_is_tried() -> None:
    assert sorted(tried()) == sorted(steps.failpoints())


@pytest.mark.parametrize("point", BEAT)
def test_the_dispatcher_dies(ground: Callable[..., Ground], point: str) -> None:
    stream = ground()
    stream.new_run()
    stream.flow.sample()
    while (permit := take_permit()) is not None:  # those of earlier tests: none is out
        end_permit(permit)
    do = point.split(".")[0]
    stream.dies(do, point)
    stream.does(do)
    stream.does("permit")
    ends_well(stream)


@pytest.mark.parametrize("point", ADOPTING)
def test_who_adopts_an_older_copy_dies(ground: Callable[..., Ground], point: str) -> None:
    adopter_dies(point, ground)


@pytest.fixture(scope="module")
def pool(stack: Stack, django_db_blocker: DjangoDbBlocker, request: pytest.FixtureRequest) -> Iterator[Pool]:
    """All stories that were selected, under way from the first test that asks how its own went."""
    asked = {i.callspec.params.get("story") for i in request.session.items if hasattr(i, "callspec")}
    with django_db_blocker.unblock():
        made = Pool(stack, [(name, story) for name, story in STORIES.items() if name in asked])
        yield made
        made.close()


@pytest.mark.parametrize("story", STORIES)
def test_a_process_that_dies_there_loses_and_doubles_nothing(pool: Pool, story: str) -> None:
    pool.outcome(story)
