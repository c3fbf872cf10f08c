"""Worker processes and streams that crash tests share: what a session needs is made once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.failpoints.processes import Workers

if TYPE_CHECKING:  # a conftest is read before Django is set up
    from console.stack import Stack
    from tests.failpoints.ground import Ground


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
def _grounds() -> dict[tuple[Any, ...], Ground]:
    return {}


@pytest.fixture
def ground(live: Stack, workers: Workers, _grounds: dict[tuple[Any, ...], Ground]) -> Callable[..., Ground]:
    """The stream with these settings; made at the first asking. One that a test left unfinished is not used again."""
    from tests.failpoints.ground import Ground

    def get(**settings: Any) -> Ground:
        key = tuple(sorted(settings.items()))
        there = _grounds.get(key)
        if there is None or (there.run_id and there.verdicts()[-1] != "PASS"):
            _grounds[key] = there = Ground(live, workers, **settings)
        return there

    return get
