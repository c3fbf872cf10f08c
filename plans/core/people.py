"""Who acts: an account by its name, and the person behind it. Two accounts of one person are one pair of eyes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Protocol

from plans.core.plan import APPROVING, ASKING, Kind


@dataclass(frozen=True)
class Actor:
    """`name`: the account, as the audit log names it. `person`: who is behind it; equal for accounts of one person."""

    name: str
    person: str


class People(Protocol):
    """What verbs ask of the console: who an account belongs to now, and what it may do now."""

    def person(self, name: str) -> str | None:
        """The person behind the account `name`; None: there is no such account."""

    def refusal(self, name: str, act: str) -> str:
        """Why the account may not do `act`, as a sentence; "" that it may. What cannot be looked up is no yes."""


def same_person(people: People, requester: Actor, approver: Actor) -> bool:
    """By what was written down when the plan was asked for, and by what is known of that account now."""
    return approver.person in (requester.person, people.person(requester.name))


def approval_fault(people: People, requester: Actor, approver: Actor) -> str:
    """Why an approval holds no more, now that the plan is to run; "" that it does."""
    if people.person(approver.name) is None:
        return f"{approver.name}, who approved it, has no account any more"
    why = people.refusal(approver.name, APPROVING)
    if why:
        return f"{approver.name} may approve no more"
    now = Actor(approver.name, people.person(approver.name) or approver.person)
    if same_person(people, requester, now) or same_person(people, requester, approver):
        return f"{requester.name}, who asked for it, and {approver.name}, who approved it, are one person"
    return ""


def one_person(people: People, one: Actor, other: Actor) -> bool:
    """Whether two accounts are of one person: by what was written down when they acted, or by what is known now."""
    return not _persons(people, one).isdisjoint(_persons(people, other))


def _persons(people: People, actor: Actor) -> set[str]:
    return {person for person in (actor.person, people.person(actor.name)) if person is not None}


def approvals_fault(people: People, requester: Actor, approvers: Sequence[Actor]) -> str:
    """Why several approvals hold no more; "" that each does, and that they are of as many persons."""
    for approver in approvers:
        if fault := approval_fault(people, requester, approver):
            return fault
    for one, other in combinations(approvers, 2):
        if one_person(people, one, other):
            return f"{one.name} and {other.name}, who approved it, are one person"
    return ""


def alone_fault(people: People, approver: Actor, kind: Kind) -> str:
    """The same of a plan that its requester started alone: whoever did may still ask for one."""
    if people.person(approver.name) is None:
        return f"{approver.name}, who started it, has no account any more"
    return f"{approver.name} may ask for it no more" if people.refusal(approver.name, ASKING[kind]) else ""
