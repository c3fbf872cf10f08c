"""docs/glossary.md has every state that the code has, and no other."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pytest
from django.db.models import Choices

from audit.core import anchors, check, gate
from audit.models import VerdictState
from ingest import models
from ingest.core import consumption, reason, reconciliation
from plans.core import plan
from tests.docs import library

STATES: dict[str, Iterable[str]] = {
    "what became of a record": [each.name for each in reason.Decision],
    "run": models.RunState.values,
    "window": models.WindowState.values,
    "attempt": models.AttemptState.values,
    "answer of a scan": [each.value for each in reconciliation.Answer],
    "gap": models.GapState.values,
    "quarantine item": models.ItemState.values,
    "resolution of an item": models.Resolution.values,
    "record of the bus": [each.value for each in consumption.Ruling],
    "join of an event with its context": models.ContextState.labels,
    "check": [each.value for each in check.State],
    "what a check that does not hold makes of the verdict": [each.value for each in check.Severity],
    "how much of a source's range can be read again": [each.value for each in anchors.Reach],
    "verdict": VerdictState.values,
    "plan": [each.value for each in plan.State],
    "outcome of a plan's item": [each.value for each in plan.Outcome],
    "answer of the gate": [each.value for each in gate.Code],
    "why a record was set aside": [each.name for each in reason.Reason if each],
    "what else is worth knowing of a record": [str(each.name) for each in reason.Flag if each],
}


def told() -> dict[str, list[str]]:
    """The table of states: what of, and the values in the order they stand in."""
    rows = re.findall(r"^\| (.+?) \| (.+?) \|$", library.sections("glossary.md")["States"], re.MULTILINE)
    return {of: values.split(" · ") for of, values in rows if of not in ("of", "---")}


def test_every_list_of_states_is_there() -> None:
    assert set(told()) == set(STATES)


@pytest.mark.parametrize("of", STATES)
def test_a_list_is_whole(of: str) -> None:
    assert sorted(told().get(of, [])) == sorted(STATES[of])


def test_no_states_of_the_ledger_are_left_out() -> None:
    """Lanes are no states; what is stored as a choice is in the table."""
    ours = {
        each for each in vars(models).values() if isinstance(each, type(Choices)) and each.__module__ == models.__name__
    }
    named = [sorted(each.values) for each in ours - {models.Lane, models.ContextState}]
    assert [values for values in named if values not in [sorted(found) for found in STATES.values()]] == []


def test_the_lanes_are_named() -> None:
    assert all(f"`{lane}`" in library.read(library.DOCS / "glossary.md") for lane in models.Lane.values)


def test_the_checks_are_named_in_the_order_of_pages() -> None:
    closing = library.sections("design.md")["Closing"]
    assert re.findall(r"^\| ([A-Z_]+) \|", closing, re.MULTILINE) == [each.value for each in check.CheckName]
