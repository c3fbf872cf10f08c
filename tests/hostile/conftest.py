"""Every case of the table sent once a session, at both doors, each with a good event behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # a conftest is read before Django is set up
    from pytest_django import DjangoDbBlocker

    from stack import Stack
    from tests.hostile.sent import Door


@pytest.fixture(scope="session")
def sent(stack: Stack, django_db_blocker: DjangoDbBlocker) -> dict[str, Door]:
    """By door: kafka, http."""
    from tests.hostile.sent import send_everything

    with django_db_blocker.unblock(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("ingest.worker.IDLE_SECONDS", 0.6)
        return send_everything()
