"""People who ask for plans and approve them, and a kind of plan that only counts: for rules that all kinds share."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, ClassVar

import psycopg
import pytest

from console.people import Accounts, actor_named
from ingest.core.errors import PassgateError
from ingest.core.ids import StreamId
from ingest.db import Cursor, read, write
from ingest.models import Stream
from plans import kinds
from plans.answer import approve
from plans.core.binding import NO_LIMITS, Limits, Subject
from plans.core.people import Actor
from plans.core.plan import Kind, Outcome, State
from plans.kinds.base import Bindings, ItemOutcome, PlanKind, Prediction, Step
from plans.run import run_plan
from plans.submit import submit
from tests.api.caller import person


class Crowd:
    """`asker` may ask for everything, `approver` approves; both are real accounts with an e-mail address each."""

    def __init__(self) -> None:
        self.people = Accounts()
        self.asker = self.somebody("operator", "data engineer")
        self.approver = self.somebody("approver")

    def somebody(self, *roles: str, email: str | None = None) -> Actor:
        user = person(*roles)
        user.email = f"{uuid.uuid4().hex}@example.org" if email is None else email
        user.save()
        return actor_named(user.username)


class Trouble(PassgateError):
    """What a step meets."""


class CountingPlan(PlanKind):
    """Ends each item as its first letter says: a, d, q. One called "boom" raises. `drift` is what has changed."""

    kind: ClassVar[Kind] = Kind.ERASE
    asks: ClassVar[tuple[str, ...]] = ("stream",)
    batch: ClassVar[int] = 3
    drift: ClassVar[list[str]] = []
    expire: ClassVar[timedelta] = timedelta(hours=24)

    def bind(self, asked: Mapping[str, Any]) -> Bindings:
        stream = Stream.objects.get(name=asked["stream"])
        return Bindings(
            kind=self.kind, stream=StreamId(stream.pk), run=None, win=None, subject=Subject(stream.name), asked={},
            facts={}, items=tuple(asked["items"]), expire=self.expire, origin=tuple(asked.get("origin", ())),
        )  # fmt: skip

    def foresee(self, bound: Bindings) -> Prediction:
        outcomes = [ENDS[item[0]] for item in bound.items]
        return Prediction({outcome: outcomes.count(outcome) for outcome in set(outcomes)})

    def changed(self, cur: Cursor, step: Step) -> list[str]:
        return list(self.drift)

    def do(self, cur: Cursor, step: Step) -> Sequence[ItemOutcome]:
        if any(item.subject == "boom" for item in step.items):
            raise Trouble(found="boom")
        return [ItemOutcome(item.ordinal, ENDS[item.subject[0]], f"of {item.subject}") for item in step.items]


ENDS = {"a": Outcome.ADMITTED, "d": Outcome.DUPLICATE, "q": Outcome.QUARANTINED, "b": Outcome.DONE}


def counting(monkeypatch: pytest.MonkeyPatch, **attributes: Any) -> CountingPlan:
    """Lets this kind be asked for, for one test."""
    made = type("CountingPlan", (CountingPlan,), {"drift": [], **attributes})()
    monkeypatch.setattr(kinds, "KINDS", {**kinds.KINDS, Kind.ERASE: made})
    return made  # type: ignore[no-any-return]


def a_stream() -> str:
    """A stream with nothing on it: what plans of the counting kind are about."""
    name = f"p{uuid.uuid4().hex[:10]}"
    with write() as cur:
        cur.execute("INSERT INTO stream (name) VALUES (%s)", (name,))
    return name


def counted(crowd: Crowd, items: Sequence[str], limits: Limits = NO_LIMITS, **more: Any) -> int:
    """A plan of the counting kind, SUBMITTED."""
    asked = {"stream": more.pop("stream", None) or a_stream(), "items": items, **more}
    return submit(Kind.ERASE, asked, crowd.asker, "a test", crowd.people, limits)


def plan_row(number: int) -> Any:
    with read() as cur:
        return cur.execute("SELECT * FROM plan WHERE id = %s", (number,)).fetchone()


def say_yes(crowd: Crowd, number: int) -> None:
    approve(number, bytes(plan_row(number).digest), crowd.approver, crowd.people)


def run_to(crowd: Crowd, number: int, wanted: State) -> None:
    """Runs it here and now, until it does nothing more by itself."""
    run_plan(number, crowd.people, lambda: True)
    assert plan_row(number).state == wanted, plan_row(number)


def history(number: int) -> list[tuple[str | None, str]]:
    with read() as cur:
        rows = cur.execute(
            "SELECT from_state, to_state FROM plan_event WHERE plan_id = %s ORDER BY id", (number,)
        ).fetchall()
    return [(row.from_state, row.to_state) for row in rows]


def items(number: int) -> list[tuple[str, str | None]]:
    with read() as cur:
        rows = cur.execute(
            "SELECT subject, outcome FROM plan_item WHERE plan_id = %s ORDER BY ordinal", (number,)
        ).fetchall()
    return [(row.subject, row.outcome) for row in rows]


def acts(number: int) -> list[tuple[str, str]]:
    """The rows of the audit log about a plan: act and who."""
    with read() as cur:
        rows = cur.execute(
            "SELECT act, actor FROM audit_log WHERE detail ->> 'plan' = %s ORDER BY id", (str(number),)
        ).fetchall()
    return [(row.act, row.actor) for row in rows]


@contextmanager
def statements_counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Every statement meanwhile, through Django or beside it."""
    seen: list[str] = []
    with monkeypatch.context() as patch:
        before = psycopg.Cursor.execute

        def execute(cur: Any, query: Any, *args: Any, **more: Any) -> Any:
            seen.append(str(query))
            return before(cur, query, *args, **more)

        patch.setattr(psycopg.Cursor, "execute", execute)
        yield seen


@contextmanager
def as_owner() -> Iterator[Any]:
    """A cursor that may set what nobody may: a plan's time is over, as if it had waited. Committed."""
    from tests.conftest import STACK

    with psycopg.connect(STACK.env()["PASSGATE_ADMIN_URL"]) as connection:
        connection.execute("SET session_replication_role = replica")
        yield connection


def let_expire(number: int) -> None:
    with as_owner() as connection:
        connection.execute(
            "UPDATE plan SET expires_at = clock_timestamp() - interval '1 second',"
            " requested_at = requested_at - interval '2 days' WHERE id = %s",
            (number,),
        )


def numbers_are_large() -> None:
    """As after an adoption, which counts on by a million and more: a number of a plan is a name, without separators."""
    with as_owner() as connection:
        for sequence in ("plan_id_seq", "quarantine_item_id_seq"):
            connection.execute("SELECT setval(%(name)s, greatest(nextval(%(name)s), 10000))", {"name": sequence})
