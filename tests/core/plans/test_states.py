"""The states of a plan: every pair of them against the table, and that nobody is left without a next act."""

from __future__ import annotations

from itertools import product

import pytest

from plans.core.plan import ACTS, ALLOWED, ASKING, EXPIRES, FINAL, Kind, State, follows, next_states

#: As the picture of docs/plans.md draws it, arrow by arrow.
DRAWN = {
    "SUBMITTED": {"APPROVED", "DECLINED", "EXPIRED"},
    "APPROVED": {"RUNNING", "VOID", "EXPIRED"},
    "RUNNING": {"DONE", "HELD"},
    "HELD": {"RUNNING", "CANCELLED", "EXPIRED"},
}


@pytest.mark.parametrize(("before", "after"), list(product(State, State)), ids=str)
def test_every_pair_is_as_it_is_drawn(before: State, after: State) -> None:
    assert follows(before, after) == (str(after) in DRAWN.get(str(before), set()))


def test_the_last_states_are_those_that_nothing_follows() -> None:
    assert {state for state in State if not next_states(state)} == FINAL == set(State) - {State(name) for name in DRAWN}


def test_every_state_but_the_last_has_a_next_act() -> None:
    assert set(ACTS) == set(State) - FINAL
    assert all(ACTS.values())


def test_every_state_is_reached_and_reaches_an_end() -> None:
    reached, waiting = {State.SUBMITTED}, [State.SUBMITTED]
    while waiting:
        fresh = next_states(waiting.pop()) - reached
        reached |= fresh
        waiting += fresh
    assert reached == set(State)
    for state in State:
        ends, waiting = {state}, [state]
        while waiting:
            fresh = next_states(waiting.pop()) - ends
            ends |= fresh
            waiting += fresh
        assert ends & FINAL, state


def test_what_expires_may_expire_and_nothing_else() -> None:
    assert {before for before, after in ALLOWED if after is State.EXPIRED} == EXPIRES


def test_what_runs_is_never_void() -> None:
    assert [before for before, after in ALLOWED if after is State.VOID] == [State.APPROVED]


def test_every_kind_says_what_asking_for_it_takes() -> None:
    assert set(ASKING) == set(Kind)


def test_the_permissions_are_acts_that_somebody_may_do() -> None:
    from console.permissions import ALLOWED as MAY
    from console.permissions import Act

    needed = {*ASKING.values(), *(permission for acts in ACTS.values() for permission in acts.values())}
    assert all(MAY[Act(permission)] for permission in needed)
