"""How many approvals a plan binds, how many it has, and when a contract asks for more than that."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from plans.core.approvals import Approval, Approvals, approvals_in, more_asked
from plans.core.binding import Subject, binding, binding_digest
from plans.core.people import Actor
from plans.core.plan import Kind

AT = datetime(2026, 3, 1, tzinfo=UTC)
BO, CY = Approval(Actor("bo", "mailto:b@x"), AT), Approval(Actor("cy", "mailto:c@x"), AT)


@pytest.mark.parametrize(
    ("found", "left", "says"),
    [
        (Approvals(), 1, ""),
        (Approvals(1, (BO,)), 0, ""),
        (Approvals(2), 2, "2 approvals are needed, 0 given"),
        (Approvals(2, (BO,)), 1, "2 approvals are needed, 1 given"),
        (Approvals(2, (BO, CY)), 0, "2 approvals are needed, 2 given"),
        (Approvals(5, (BO, CY)), 3, "5 approvals are needed, 2 given"),
    ],
)
def test_what_is_left(found: Approvals, left: int, says: str) -> None:
    assert (found.left, found.says) == (left, says)


def test_who_has_approved_is_known_by_person() -> None:
    found = Approvals(3, (BO, CY))
    assert found.by("mailto:c@x") == CY
    assert found.by("mailto:d@x") is None


def bound(approvals: int) -> dict[str, object]:
    return binding(Kind.WAIVE, Subject("s"), {}, {}, ["x"], approvals=approvals)


def test_the_digest_covers_how_many_and_one_is_as_it_always_was() -> None:
    assert "approvals" not in bound(1)
    assert [approvals_in(bound(n)) for n in (1, 2, 5)] == [1, 2, 5]
    assert len({binding_digest(bound(n)) for n in range(1, 6)}) == 5


def test_fewer_change_nothing_and_more_do() -> None:
    assert more_asked(bound(2), 1) == more_asked(bound(2), 2) == []
    assert more_asked(bound(1), 2) == ["plans.approvals: 1 → 2"]
