"""People of every role, and one stream with something of everything on it, made once a session."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import pytest
from django.test import Client

# This file is read before Django is set up: what needs models is imported where it is used.
if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from pytest_django import DjangoDbBlocker

    from console.permissions import Role
    from stack import Stack

# Playwright's synchronous API keeps an event loop in this thread; nothing of Django's runs in it.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")

PASSWORD = "a long password for tests"


@dataclass(frozen=True)
class Stage:
    """A run with something of everything, and where it is. `attempt` is unknown; `items` are open."""

    stream: str
    run: str
    attempt: int
    items: tuple[int, ...]
    source: int
    plan: int = 0  # to waive QUARANTINE of another stream's run, waiting

    @property
    def path(self) -> str:
        return f"/runs/{self.stream}/{self.run}/"


@cache
def hashed(password: str) -> str:
    """As it is stored: made slowly by intent, half a second of a processor, so once a session."""
    from django.contrib.auth.hashers import make_password

    return make_password(password)


def user(name: str, *roles: Role) -> User:
    """A person with these roles."""
    from django.contrib.auth.models import Group, User

    from console import permissions

    permissions.make_groups()
    found, _ = User.objects.get_or_create(username=name)
    found.password = hashed(PASSWORD)
    found.save()
    found.groups.set(Group.objects.filter(name__in=[role.value for role in roles]))
    return found


@pytest.fixture(scope="session")
def stage(stack: Stack, django_db_blocker: DjangoDbBlocker) -> Stage:
    """Made by the real flow, once."""
    from ingest.models import QuarantineItem, Source
    from tests.flow.world import Flow
    from tests.pages import scene

    with django_db_blocker.unblock():
        flow = Flow(automatic="false")
        scene.busy(flow)
        attempt = scene.leave_unknown(flow)
        items = QuarantineItem.objects.filter(win__run__stream__name=flow.name, state="OPEN").order_by("id")
        source = Source.objects.get(stream__name=flow.name, role="inbox")
        found = tuple(items.values_list("id", flat=True))
        return Stage(flow.name, "r1", attempt, found, source.id, scene.waiting_plan(Flow(automatic="false")))


def signed_in(name: str, *roles: Role) -> Client:
    """A browser without JavaScript, signed in, that checks CSRF as a real one is checked."""
    client = Client(enforce_csrf_checks=True)
    client.force_login(user(name, *roles))
    return client


@pytest.fixture
def operator(live: Stack) -> Client:
    from console.permissions import Role

    return signed_in("olga", Role.OPERATOR)


@pytest.fixture
def viewer(live: Stack) -> Client:
    from console.permissions import Role

    return signed_in("vera", Role.VIEWER)


@pytest.fixture
def nobody(live: Stack) -> Iterator[Client]:
    """Signed in, without any role."""
    yield signed_in("nora")
