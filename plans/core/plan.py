"""Kinds of plans, the states a plan goes through, and which state follows which."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from ingest.core.stored import known


class Kind(StrEnum):
    """What a plan does. Each binds something of its own (docs/plans.md)."""

    REPLAY = "replay"
    REDRIVE = "redrive"
    REPUBLISH = "republish"
    DECIDE = "decide"
    WAIVE = "waive"
    BASIS = "basis"
    RETIRE = "retire"
    ADOPT = "adopt"
    ERASE = "erase"


class State(StrEnum):
    SUBMITTED = "SUBMITTED"  # waits for a second person
    APPROVED = "APPROVED"  # waits for its turn
    RUNNING = "RUNNING"
    HELD = "HELD"  # stands, and says why; a person goes on or cancels
    DONE = "DONE"
    DECLINED = "DECLINED"
    VOID = "VOID"  # what it binds changed before it ran
    EXPIRED = "EXPIRED"
    CANCELLED = "CANCELLED"


class Outcome(StrEnum):
    """What became of one item of a plan: exactly one of these, written once."""

    ADMITTED = "ADMITTED"
    DUPLICATE = "DUPLICATE"
    QUARANTINED = "QUARANTINED"
    DONE = "DONE"  # of kinds whose items are no records
    NOT_RUN = "NOT_RUN"


#: The database holds the same pairs, in a table that its trigger asks.
ALLOWED: frozenset[tuple[State, State]] = frozenset(
    {
        (State.SUBMITTED, State.APPROVED),
        (State.SUBMITTED, State.DECLINED),
        (State.SUBMITTED, State.EXPIRED),
        (State.APPROVED, State.RUNNING),
        (State.APPROVED, State.VOID),
        (State.APPROVED, State.EXPIRED),
        (State.RUNNING, State.DONE),
        (State.RUNNING, State.HELD),
        (State.HELD, State.RUNNING),
        (State.HELD, State.CANCELLED),
        (State.HELD, State.EXPIRED),
    }
)

FINAL = frozenset({State.DONE, State.DECLINED, State.VOID, State.EXPIRED, State.CANCELLED})
#: States that end by themselves once `expires_at` has passed.
EXPIRES = frozenset({State.SUBMITTED, State.APPROVED, State.HELD})

#: The permission that asking for a plan of a kind takes (console/permissions.py).
ASKING: Mapping[Kind, str] = {
    Kind.REPLAY: "replay",
    Kind.REDRIVE: "replay",
    Kind.REPUBLISH: "replay",
    Kind.DECIDE: "decide",
    Kind.WAIVE: "waive",
    Kind.BASIS: "basis",
    Kind.RETIRE: "basis",
    Kind.ADOPT: "basis",
    Kind.ERASE: "basis",
}
#: Kinds that may need no second person, within `plans.free_records` of the contract; of a replay only what proves.
#: Which plan of them is free the database says (migrations/sql/free.sql).
MAYBE_FREE = (Kind.REPLAY, Kind.REDRIVE, Kind.REPUBLISH)
#: Modes of a replay: into a rerun of the window, or into a run of its own.
PROVE, FRESH = "prove", "fresh"
#: Attempts of one republish at most.
MOST_ATTEMPTS = 1_000
APPROVING, STEERING = "approve", "steer"

#: What a person can do about a plan in a state, by the permission it takes. A plan that is approved runs by itself.
ACTS: Mapping[State, Mapping[str, str]] = {
    State.SUBMITTED: {"approve": APPROVING, "decline": APPROVING},
    State.APPROVED: {"run": STEERING},
    State.RUNNING: {"pause": STEERING, "cancel": STEERING},
    State.HELD: {"resume": STEERING, "cancel": STEERING},
}


def acts_in(state: str) -> Mapping[str, str]:
    """What a person can do about a plan in a stored state; nothing in one that this version does not know."""
    found = known(State, state)
    return {} if found is None else ACTS.get(found, {})


def asking(kind: str) -> str | None:
    """The permission that asking for a plan of a stored kind takes; None for a kind that this version does not know."""
    found = known(Kind, kind)
    return None if found is None else ASKING[found]


def follows(before: State, after: State) -> bool:
    """Whether a plan may go from one state to the other in one step."""
    return (before, after) in ALLOWED


def next_states(state: State) -> frozenset[State]:
    """Empty for a final state, and for no other."""
    return frozenset(after for before, after in ALLOWED if before is state)
