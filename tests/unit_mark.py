"""The mark `unit`, of tests that need no services: given while tests are collected, from the fixtures that each uses.

Nobody keeps a list, and nobody gives it by hand. A test that has it and starts a part of a stack all the same fails;
one that talks to the session's stack fails where that is not started, which is where these tests run alone
(`passgate test --fast`). What a test's child process starts is not seen: such a test asks for `own_services`.
"""

from __future__ import annotations

from typing import Any

import pytest

from stack import stack as stack_module

UNIT = "unit"
SERVICES = frozenset({"stack", "own_services"})
"""Who uses one of these fixtures, through whatever others, needs services."""
_now: list[pytest.Item] = []


def needs_services(item: pytest.Item) -> bool:
    """By its fixtures and theirs; pytest-django asks for the database of a marked test only when it runs."""
    used = SERVICES.intersection(getattr(item, "fixturenames", ()))
    return bool(used) or item.get_closest_marker("django_db") is not None


def pytest_itemcollected(item: pytest.Item) -> None:
    """Gives the mark; refuses one that somebody wrote."""
    if item.get_closest_marker(UNIT):
        raise pytest.UsageError(
            f"{item.nodeid}: the mark {UNIT} is given by the fixtures that a test uses, not by hand"
        )
    if not needs_services(item):
        item.add_marker(UNIT)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Any:
    _now[:] = [item]
    try:
        return (yield)
    finally:
        _now.clear()


def _refusing(start: Any) -> Any:
    def refuse_or_start(*given: Any, **more: Any) -> Any:
        if _now and _now[0].get_closest_marker(UNIT):
            pytest.fail(f"{_now[0].nodeid} starts a service: it must use the fixture `stack` or `own_services`")
        return start(*given, **more)

    return refuse_or_start


def pytest_configure(config: pytest.Config) -> None:
    stack_module.start = _refusing(stack_module.start)  # type: ignore[attr-defined]
