"""Worker processes and streams that crash tests share: what a session needs is made once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from tests.failpoints.processes import Workers

if TYPE_CHECKING:  # a conftest is read before Django is set up
    from stack import Stack
    from tests.failpoints.ground import Ground
    from tests.failpoints.pool import Grounds


@pytest.fixture(scope="session")
def workers(stack: Stack) -> Iterator[Workers]:
    made = Workers()
    yield made
    made.close()


@pytest.fixture(scope="session")
def other_workers(stack: Stack) -> Iterator[Workers]:
    made = Workers()
    yield made
    made.close()


@pytest.fixture(scope="session")
def _grounds(stack: Stack, workers: Workers) -> Grounds:
    from tests.failpoints.pool import Grounds

    return Grounds(stack, workers)


@pytest.fixture
def ground(live: Stack, _grounds: Grounds) -> Callable[..., Ground]:
    """The stream with these settings, shared by the tests that run one after another."""
    return _grounds.get
