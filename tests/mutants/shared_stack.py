"""Takes the place of tests/conftest.py in a copy of the tree: the parts run already, and their URLs are told."""

import json
import os
from collections.abc import Iterator

import pytest
from django.conf import settings


class Shared:
    """What tests ask of the stack that another session started."""

    def env(self) -> dict[str, str]:
        told: dict[str, str] = json.loads(os.environ["PASSGATE_MUTANTS_STACK"])
        return told


STACK = Shared()
os.environ.update(STACK.env(), DJANGO_SETTINGS_MODULE="console.settings")
settings.DATABASES  # noqa: B018 - loads the settings here, so that pytest-django sets Django up with them


@pytest.fixture(scope="session")
def stack() -> Shared:
    return STACK


@pytest.fixture(scope="session")
def own_services() -> None:
    """As in tests/conftest.py."""


@pytest.fixture(scope="session")
def django_db_setup(stack: Shared) -> None:
    """The database as it is."""


@pytest.fixture
def live(stack: Shared, django_db_blocker: object) -> Iterator[Shared]:
    with django_db_blocker.unblock():  # type: ignore[attr-defined]
        yield stack
