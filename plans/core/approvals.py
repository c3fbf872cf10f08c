"""Approvals: how many a plan binds, which it has, and when more are asked for by now. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from plans.core.people import Actor


@dataclass(frozen=True)
class Approval:
    """One person's yes to a plan's digest."""

    actor: Actor
    at: datetime
    why: str = ""


@dataclass(frozen=True)
class Approvals:
    """`needed`: how many a plan binds. `given`: those that it has, in order, each by another person."""

    needed: int = 1
    given: tuple[Approval, ...] = ()

    @property
    def left(self) -> int:
        return max(self.needed - len(self.given), 0)

    @property
    def says(self) -> str:
        return of_how_many(self.needed, len(self.given))

    def by(self, person: str) -> Approval | None:
        """The one that this person has given."""
        return next((each for each in self.given if each.actor.person == person), None)


def of_how_many(needed: int, given: int) -> str:
    """ "2 approvals are needed, 1 given"; "" where one is enough."""
    return f"{needed} approvals are needed, {given} given" if needed > 1 else ""


def approvals_in(binds: Mapping[str, Any]) -> int:
    """How many approvals a plan binds."""
    return int(binds.get("approvals", 1))


def more_asked(binds: Mapping[str, Any], needed: int) -> list[str]:
    """What has changed where more are needed by now; a plan that binds more than that keeps what it binds."""
    bound = approvals_in(binds)
    return [f"plans.approvals: {bound} → {needed}"] if needed > bound else []
