"""Four eyes are two persons: whoever is behind two accounts does not approve what they asked for."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from plans.core.people import Actor, approval_fault, approvals_fault, one_person, same_person


@dataclass
class Town:
    """Accounts by name, each with its person; who is not named may do everything."""

    persons: dict[str, str]
    refused: dict[str, str] = field(default_factory=dict)

    def person(self, name: str) -> str | None:
        return self.persons.get(name)

    def refusal(self, name: str, act: str) -> str:
        return self.refused.get(name, "")


ADA, BO = Actor("ada", "mailto:a@x"), Actor("bo", "mailto:b@x")
TOWN = Town({"ada": "mailto:a@x", "bo": "mailto:b@x"})


def test_two_persons_are_two() -> None:
    assert not same_person(TOWN, ADA, BO)
    assert approval_fault(TOWN, ADA, BO) == ""


@pytest.mark.parametrize("approver", [ADA, Actor("ada2", "mailto:a@x")])
def test_one_person_under_another_account_is_one(approver: Actor) -> None:
    assert same_person(TOWN, ADA, approver)


def test_accounts_that_became_one_person_since_are_one() -> None:
    """The requester's account got the approver's address after the plan was asked for."""
    since = Town({"ada": "mailto:b@x", "bo": "mailto:b@x"})
    assert same_person(since, ADA, BO)
    assert "are one person" in approval_fault(since, ADA, BO)


def test_an_approver_who_became_the_requester_is_no_other_person() -> None:
    assert "are one person" in approval_fault(Town({"ada": "mailto:a@x", "bo": "mailto:a@x"}), ADA, BO)


def test_an_approval_falls_with_the_right_and_with_the_account() -> None:
    assert approval_fault(Town(TOWN.persons, {"bo": "no"}), ADA, BO) == "bo may approve no more"
    assert "has no account any more" in approval_fault(Town({"ada": "mailto:a@x"}), ADA, BO)


CY = Actor("cy", "mailto:c@x")
THREE = {**TOWN.persons, "cy": "mailto:c@x"}


def test_of_several_each_must_hold() -> None:
    assert approvals_fault(Town(THREE), ADA, [BO, CY]) == ""
    for who in (BO, CY):
        assert approvals_fault(Town(THREE, {who.name: "no"}), ADA, [BO, CY]) == f"{who.name} may approve no more"
    assert "ada, who asked for it, and cy" in approvals_fault(Town(THREE | {"cy": "mailto:a@x"}), ADA, [BO, CY])


@pytest.mark.parametrize(
    ("approvers", "since"),
    [
        ([BO, BO], {}),
        ([BO, Actor("bo2", BO.person)], {"bo2": "mailto:else@x"}),  # they were one when they approved
        ([BO, CY], {"cy": "mailto:b@x"}),
        ([BO, CY], {"bo": "mailto:c@x"}),
        ([BO, CY], {"bo": "mailto:d@x", "cy": "mailto:d@x"}),
    ],
)
def test_several_are_as_many_persons(approvers: list[Actor], since: dict[str, str]) -> None:
    assert "who approved it, are one person" in approvals_fault(Town(THREE | since), ADA, approvers)
    assert one_person(Town(THREE | since), *approvers)
