"""docs/invariants.md says what fsck says, and names each of its checks, and constraints and triggers that are there."""

from __future__ import annotations

import re
from itertools import chain

import pytest

from audit.fsck import CHECKS, NOT_IN_FORCE
from audit.fsck.invariants import INVARIANTS, PAGE
from audit.fsck.reread import COMPARISONS
from tests.docs import library

SECTIONS = {code: text for code, text in library.sections("invariants.md").items() if code in INVARIANTS}
_REREAD = "↺"


def looked_at(code: str) -> set[str]:
    """The checks that fsck makes of an invariant, those marked that read Kafka again."""
    plain = {check.name for check in CHECKS if check.invariant == code}
    return plain | {f"{name} {_REREAD}" for name, of in COMPARISONS.items() if of == code}


def told(code: str) -> set[str]:
    rows = re.findall(rf"^\| `([a-z_0-9]+)`( {_REREAD})? \|", SECTIONS[code], re.MULTILINE)
    return {name + mark for name, mark in rows}


def test_the_page_is_where_fsck_says() -> None:
    assert (library.ROOT / PAGE).is_file()


def test_each_code_of_a_finding_has_its_sentence_and_its_heading() -> None:
    codes = {check.invariant for check in CHECKS} | set(COMPARISONS.values()) | set(NOT_IN_FORCE)
    assert set(INVARIANTS) == codes
    heads = dict(title.split(": ", 1) for title in library.headings(library.ROOT / PAGE) if ": " in title)
    assert heads == dict(INVARIANTS)


@pytest.mark.parametrize("code", INVARIANTS)
def test_each_check_is_told_under_its_invariant(code: str) -> None:
    assert told(code) == looked_at(code)


def test_what_refuses_is_there() -> None:
    """Each name behind "Refused by" is a constraint, a trigger, or a rule that a trigger raises by."""
    files = [library.ROOT / package / "models.py" for package in ("ingest", "audit", "plans")]
    files += chain(
        *((library.ROOT / package / "migrations").rglob("*.sql") for package in ("ingest", "audit", "plans"))
    )
    defined = "\n".join(library.read(file) for file in files)
    refused = re.findall(r"^Refused by:.*?(?=^$|\Z)", library.read(library.ROOT / PAGE), re.MULTILINE | re.DOTALL)
    names = set(re.findall(r"`([a-z_]+)`", "\n".join(refused)))
    assert len(names) > 40
    assert [name for name in sorted(names) if not re.search(rf"\b{name}\b", defined)] == []
