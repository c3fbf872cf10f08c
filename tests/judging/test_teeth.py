"""The machine notices: with one guard taken away, from Python or from PostgreSQL, schedules break what it keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule, run_state_machine_as_test

from audit import capture as look
from audit import close, enforce
from audit.close import close_run
from audit.core import gate as core
from stack import Stack
from tests.judging.machine import CLOSING, LEASE, ROLE, SAMPLE_MAX_AGE, WHO, InvariantBroken, JudgingMachine
from tests.judging.world import FLIGHTS, WEATHER, Ground, clocks, make_ground, make_weather

Patch = pytest.MonkeyPatch
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

BOUND = """CREATE OR REPLACE FUNCTION context_bound(built integer) RETURNS timestamptz
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$ {} $$"""
FOR_EVER = BOUND.format("SELECT 'infinity'::timestamptz")
AS_IT_IS = BOUND.format(
    "SELECT coalesce(min(CASE WHEN fallen IS NULL THEN open_until ELSE '-infinity' END), 'infinity')"
    " FROM window_context WHERE win = built"
)


def lease_from_the_writing(patch: Patch) -> None:
    extended = enforce._extended

    def late(values: Mapping[str, Any]) -> set[int]:
        return extended({**values, "measured": [look.now()] * len(values["wins"])})

    patch.setattr(enforce, "_extended", late)


def contexts_unseen(patch: Patch) -> None:
    patch.setattr(enforce, "_contexts", lambda wins: {})


def http_refuses(patch: Patch) -> None:
    patch.setattr(core, "_standing", lambda window, now: (core.Code.SHUT, "whatever the rows say"))


def nothing_extended(patch: Patch) -> None:
    patch.setattr(enforce, "_extend", lambda rows, captured: set())


def earlier_verdicts_unseen(patch: Patch) -> None:
    for name in ("newest_verdict", "failed"):
        patch.setattr(close.sql, name, f"SELECT FROM ({getattr(close.sql, name)}) x WHERE false")


def as_it_is(patch: Patch) -> None:
    """Python is left alone."""


class Joined(JudgingMachine):
    """What is joined has passed, too, before anything happens; and of its context nothing is heard more often."""

    @initialize()
    def flights_pass(self) -> None:
        self._verb("closes flights", lambda: close_run(self.ground.flights.name, "r1", "cleo"), "", [])

    @rule()
    def weather_is_not_heard_of(self) -> None:
        self._happen([("hush", WEATHER), ("wait", LEASE + 1)])


class Stopped(Joined):
    """An enforcer that is stopped between its look and its writing, while a topic that it looked at is made anew."""

    @rule(stream=WHO, role=ROLE, seconds=st.sampled_from((1.0, 11.0, 16.0)))
    def re_checks_slowly(self, stream: str, role: str, seconds: float) -> None:
        happens = [("recreate", (stream, role)), ("wait", seconds)]
        self._verb("re-checks gates", enforce.enforce_due, "enforce.after_capture", happens)


class Slow(JudgingMachine):
    """A closer that is stopped before it stores, while the topic that it looked at is made anew."""

    @rule(role=ROLE, at=st.sampled_from(CLOSING[2:]))
    def closes_slowly(self, role: str, at: str) -> None:
        happens = [("recreate", (FLIGHTS, role)), ("wait", SAMPLE_MAX_AGE + 1)]
        self._verb("closes flights", lambda: close_run(self.ground.flights.name, "r1", "cleo"), at, happens)


STANDS = (
    "DO $do$ BEGIN EXECUTE replace(pg_get_functiondef('verdict_of_its_window'::regproc), $x${}$x$, $x${}$x$); END $do$"
)
SAID = ("PERFORM refuse('verdict_stands', ", "PERFORM concat('verdict_stands', ")
FOLLOWS = (STANDS.format(*SAID), STANDS.format(*SAID[::-1]))
FRESH = "ALTER TABLE verdict {} TRIGGER verdict_facts_fresh"
TRIGGER = "ALTER TABLE contradiction {} TRIGGER contradiction_shuts"
PLAIN = JudgingMachine
FLAWS: list[tuple[str, type[JudgingMachine], Callable[[Patch], None], tuple[str, str], str]] = [
    ("a lease counts from its writing", Stopped, lease_from_the_writing, ("", ""), "J1"),
    ("a contradiction shuts nothing", PLAIN, as_it_is, (TRIGGER.format("DISABLE"), TRIGGER.format("ENABLE")), "J2"),
    ("contexts are not looked at", Joined, contexts_unseen, (FOR_EVER, AS_IT_IS), "J3"),
    ("a verdict follows any other", PLAIN, earlier_verdicts_unseen, FOLLOWS, "J4"),
    ("facts of any age are stored", Slow, as_it_is, (FRESH.format("DISABLE"), FRESH.format("ENABLE")), "J5"),
    ("HTTP knows better than the rows", PLAIN, http_refuses, ("", ""), "J6"),
    ("no lease is renewed", PLAIN, nothing_extended, ("", ""), "J7"),
]
_made: list[Ground] = []


@pytest.mark.parametrize(
    ("machine", "spoils", "sql", "broken"),
    [flaw[1:] for flaw in FLAWS],
    ids=[flaw[0].replace(" ", "-") for flaw in FLAWS],
)
def test_a_guard_taken_away_is_noticed(
    live: Stack, monkeypatch: Patch, machine: type[JudgingMachine], spoils: Callable[[Patch], None],
    sql: tuple[str, str], broken: str,
) -> None:  # fmt: skip
    if not _made:
        _made.append(make_ground(live, make_weather(live)))
    flawed = type("Flawed", (machine,), {"ground": _made[0]})
    with clocks(live), spoiled(live, *sql):
        spoils(monkeypatch)
        with pytest.raises(InvariantBroken) as noticed:
            run_state_machine_as_test(
                flawed,
                settings=settings(
                    max_examples=150,
                    stateful_step_count=8,
                    deadline=None,
                    database=None,
                    derandomize=True,
                    phases=(Phase.generate,),
                    report_multiple_bugs=False,
                    suppress_health_check=list(HealthCheck),
                ),
            )
    assert f": {broken}: " in str(noticed.value).splitlines()[-1], str(noticed.value)


@contextmanager
def spoiled(stack: Stack, breaks: str, mends: str) -> Iterator[None]:
    """As the owner of the schema could, for everybody, and mended again."""
    if not breaks:
        yield
        return
    with psycopg.connect(stack.env()["PASSGATE_ADMIN_URL"], autocommit=True) as owner:
        owner.execute(breaks.encode())
        try:
            yield
        finally:
            owner.execute(mends.encode())
