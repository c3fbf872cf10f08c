"""Who may do what. A role is a Django group; an act names the roles that may do it; there is no third place to look.

A permission that cannot be looked up is a no: an unknown act, a database that does not answer and a
person without a role are all refused, and each refusal carries a reason that can stand on a page beside the disabled
button. `is_superuser` grants nothing here: whoever acts on the ledger does it under a role that the audit log can name.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import DatabaseError


class Role(enum.StrEnum):
    """What people are here for. The value is the group's name."""

    VIEWER = "viewer"  # looks
    OPERATOR = "operator"  # triages and runs
    APPROVER = "approver"  # gives the second signature
    AUDITOR = "auditor"  # takes the evidence away
    DATA_ENGINEER = "data engineer"  # connects streams and readers


class Act(enum.StrEnum):
    """Everything a person can be allowed or refused. The value is stable: the API, the audit log and the diagnosis'
    next act name an act by it."""

    LOOK = "look"
    SEE_PAYLOADS = "payloads"
    RESOLVE = "resolve"
    RECONCILE = "reconcile"
    OPERATE = "operate"
    OPEN_RUN = "open"
    CUT = "cut"
    CLOSE = "close"
    DECLARE_TOTALS = "totals"
    LOAD_CONTRACT = "load"
    SEND_EVENTS = "send"
    ASK_GATE = "gate"
    REPLAY = "replay"
    WAIVE = "waive"
    REFRESH_BASIS = "basis"
    DECIDE = "decide"
    PLAN = "plan"
    APPROVE = "approve"
    STEER = "steer"
    EXPORT = "export"


WORDS: Mapping[Act, str] = {
    Act.LOOK: "look",
    Act.SEE_PAYLOADS: "see payloads",
    Act.RESOLVE: "resolve quarantine items",
    Act.RECONCILE: "reconcile unknown publishes",
    Act.OPERATE: "operate the machine",
    Act.OPEN_RUN: "open a run",
    Act.CUT: "cut a run",
    Act.CLOSE: "close a run",
    Act.DECLARE_TOTALS: "declare control totals",
    Act.LOAD_CONTRACT: "load a contract",
    Act.SEND_EVENTS: "send events",
    Act.ASK_GATE: "ask the gate",
    Act.REPLAY: "ask for a replay",
    Act.WAIVE: "ask for a waiver",
    Act.REFRESH_BASIS: "ask for a basis refresh",
    Act.DECIDE: "ask for an undecidable publish to be decided",
    Act.PLAN: "ask for a plan",
    Act.APPROVE: "approve or decline a plan",
    Act.STEER: "pause, resume or cancel a plan",
    Act.EXPORT: "export evidence",
}

EVERYBODY = frozenset(Role)
_TRIAGE = frozenset({Role.OPERATOR, Role.APPROVER})
_RUNS = frozenset({Role.OPERATOR, Role.DATA_ENGINEER})

# Fixed in code, so that a review sees every change of who may do what.
ALLOWED: Mapping[Act, frozenset[Role]] = {
    Act.LOOK: EVERYBODY,
    Act.SEE_PAYLOADS: _TRIAGE,
    Act.RESOLVE: _TRIAGE,
    Act.RECONCILE: _TRIAGE,
    Act.OPERATE: frozenset({Role.OPERATOR}),
    Act.OPEN_RUN: _RUNS,
    Act.CUT: _RUNS,
    Act.CLOSE: frozenset({Role.OPERATOR}),
    Act.DECLARE_TOTALS: _RUNS,
    Act.LOAD_CONTRACT: frozenset({Role.DATA_ENGINEER}),
    Act.SEND_EVENTS: _RUNS,
    Act.ASK_GATE: EVERYBODY,
    Act.REPLAY: _RUNS,
    Act.WAIVE: frozenset({Role.OPERATOR}),
    Act.REFRESH_BASIS: frozenset({Role.OPERATOR}),
    Act.DECIDE: frozenset({Role.OPERATOR}),
    Act.PLAN: _RUNS,  # of some kind; which one, the kind's own act says
    Act.APPROVE: frozenset({Role.APPROVER}),
    Act.STEER: _RUNS | _TRIAGE,
    Act.EXPORT: frozenset({Role.AUDITOR, Role.APPROVER}),
}


@dataclass(frozen=True, slots=True)
class Answer:
    """A yes or a no. True in a condition when allowed; `reason` is a sentence and is empty only for a yes."""

    allowed: bool
    reason: str = ""
    code: str = ""

    def __bool__(self) -> bool:
        return self.allowed


YES = Answer(True)
SIGN_IN = Answer(False, "Sign in first.", "not_signed_in")
NOT_KNOWN = Answer(
    False, "Permissions could not be looked up, so everything is refused. Try again in a moment.", "permission_unknown"
)


def roles_of(user: Any) -> frozenset[Role]:
    """The roles of a user, looked up once per user object. Raises DatabaseError when they cannot be looked up."""
    if not getattr(user, "is_authenticated", False) or not user.is_active:
        return frozenset()
    known: frozenset[Role] | None = getattr(user, "_passgate_roles", None)
    if known is None:
        known = roles_named(user.groups.values_list("name", flat=True))
        user._passgate_roles = known
    return known


def roles_named(names: Iterable[str]) -> frozenset[Role]:
    """The roles among group names; groups that are no role grant nothing."""
    values = {role.value: role for role in Role}
    return frozenset(values[name] for name in names if name in values)


def may(user: Any, act: Act | str) -> Answer:
    """Whether this user may do this act. Never raises: what cannot be looked up is a no."""
    if not getattr(user, "is_authenticated", False):
        return SIGN_IN
    try:
        return allows(roles_of(user), act)
    except DatabaseError:
        return NOT_KNOWN


def allows(roles: frozenset[Role], act: Act | str) -> Answer:
    """Whether these roles may do this act. An act that is not listed is a no for everybody."""
    try:
        known = Act(act)
        needed = ALLOWED[known]
    except (ValueError, KeyError):
        return Answer(False, f"Nobody may do {str(act)!r}: no such act is known.", "act_unknown")
    if roles & needed:
        return YES
    had = either(roles, "no role", " and ")
    return Answer(False, f"You cannot {WORDS[known]}: it needs {either(needed)}, you have {had}.", "permission_denied")


def permitted(user: Any) -> frozenset[str]:
    """The values of every act this user may do; empty when they cannot be looked up. What the diagnosis asks for."""
    return frozenset(act.value for act in Act if may(user, act))


def either(roles: Iterable[Role], nothing: str = "no role", last: str = " or ") -> str:
    """Role names as words: "operator or approver"."""
    names = [role.value for role in Role if role in frozenset(roles)]
    if not names:
        return nothing
    return last.join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]


def make_groups() -> None:
    """Create one group per role. Safe to call again; removes nothing."""
    from django.contrib.auth.models import Group  # the app registry is not ready when this module is first imported

    for role in Role:
        Group.objects.get_or_create(name=role.value)
