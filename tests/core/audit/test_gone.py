"""What stands in for what is gone, and what does not: each offset by a receipt, or by a gap that was proven."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.core import checks as c
from audit.core import cover, gone
from audit.core import facts as f
from audit.core import verdict as v
from tests.core.audit import world as w
from tests.core.audit.test_cover import GOOD, PASSED, lacks

DATABASE = f.DatabaseIdentity("7301", 1)
#: Of 70 offsets 40 were gone: 38 have a receipt, two are in a gap.
WHOLE = f.StandIn(offsets=40, receipts=38, empty=2, kept=37, unkept=1, batches=2)
HALF = gone.GoneRange("inbox/0", 0, 9000, 4120, 4120, 0)


# ---- words ----------------------------------------------------------------------------------------------------------


def test_what_is_gone_is_told_with_its_numbers() -> None:
    since = datetime(2026, 2, 1, 2, 20, tzinfo=UTC)
    assert gone.said(replace(HALF, since=since)) == (
        "4,120 of 9,000 offsets of inbox/0 are gone from the inbox, seen since 2026-02-01 02:20 UTC;"
        " receipts stand in for 4,120"
    )
    assert gone.said(gone.GoneRange("inbox/0", 7, 9, 8, 1, 0)) == (
        "1 of 2 offsets of inbox/0 is gone from the inbox; a receipt stands in for 1"
    )


def test_what_held_no_record_and_what_was_never_received_are_told_apart() -> None:
    mixed = replace(HALF, receipts=4100, empty=8, neither=((300, 312),))
    assert gone.said(mixed).endswith(
        "receipts stand in for 4,100; 8 held no record; 12 are gone and were never received: offsets 300-311"
    )
    assert not mixed.stands_in and mixed.never == 12


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ((), []),
        (((5, 6),), ["1 is gone and was never received: offset 5"]),
        (((5, 6), (9, 11)), ["3 are gone and were never received: offset 5, offsets 9-10"]),
        (
            tuple((n, n + 1) for n in range(0, 10, 2)),
            ["5 are gone and were never received: offset 0, offset 2, offset 4 and 2 more parts"],
        ),
    ],
)
def test_the_first_parts_that_were_never_received_are_named(
    parts: tuple[tuple[int, int], ...], said: list[str]
) -> None:
    assert list(gone.never_received(parts)) == said


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50))
def test_something_stands_in_only_where_it_does_for_all_of_it(receipts: int, empty: int, never: int) -> None:
    found = gone.GoneRange(
        "inbox/0", 0, 1000, receipts + empty + never, receipts, empty, ((0, never),) if never else ()
    )
    assert found.stands_in is (never == 0)
    counted = replace(found, receipts=receipts + 1)
    assert not counted.stands_in, "the ledger counts it otherwise"


# ---- when nothing stands in -----------------------------------------------------------------------------------------

SEALED = {"checks": [{"check": "SEALED", "severity": "FAIL"}]}
CAUSE = {"text": f"1 offset of inbox/0 is {gone.REFUTED}"}
REFUTED = {"checks": [{"check": "ACCOUNTED", "severity": "FAIL", "causes": [CAUSE]}]}


@pytest.mark.parametrize(
    ("failed", "was", "is_", "empty", "why"),
    [
        (None, DATABASE, DATABASE, 5, ""),
        ({"checks": [{"check": "ACCOUNTED", "severity": "FAIL"}]}, DATABASE, DATABASE, 5, ""),
        ({"checks": [{"check": "SEALED"}]}, DATABASE, DATABASE, 0, ""),
        (SEALED, DATABASE, DATABASE, 0, "failed by SEALED"),
        (None, None, DATABASE, 0, "nobody knows"),
        (None, DATABASE, replace(DATABASE, system_identifier="1"), 0, "the database is not the one"),
        (None, DATABASE, replace(DATABASE, timeline=2), 0, "timeline 1 and is on 2"),
        (REFUTED, DATABASE, DATABASE, 0, ""),
        (REFUTED, DATABASE, DATABASE, 2, "2 offsets are in gaps, of a window in whose gaps a second reader found"),
    ],
)
def test_nothing_of_a_window_whose_ledger_is_broken_stands_in(
    failed: Any, was: Any, is_: f.DatabaseIdentity, empty: int, why: str
) -> None:
    said = gone.refusal(failed, was, is_, empty)
    assert why in said
    assert bool(said) is bool(why)


def test_accounted_says_it_as_the_rule_looks_for_it() -> None:
    refuted = c.ALL[2][1](w.source("inbox/0", receipts=69, refuted=1), w.NOW)
    assert refuted is not None
    body = {"checks": [v.check_body(refuted)]}
    assert gone.refusal(body, DATABASE, DATABASE, 1) != ""


# ---- ACCOUNTED of the rerun -----------------------------------------------------------------------------------------


def rerun(**fields: Any) -> f.WindowFacts:
    """A window whose source inbox/0 read 30 of 70 offsets again, and found 40 of them gone."""
    return w.source("inbox/0", receipts=30, stand_in=replace(WHOLE, **fields))


def accounted(facts: f.WindowFacts) -> c.Check:
    found = v.verdict(facts, w.NOW).check(c.CheckName.ACCOUNTED)
    assert found is not None
    return found


def test_receipts_of_its_own_and_those_that_stand_in_are_both_told() -> None:
    found = accounted(rerun())
    assert found.state is c.State.HOLDS
    assert found.observed == "80 receipts, 38 of the first reading stand in (2 held no record), 0 unaccounted"
    body = v.body(v.verdict(rerun(), w.NOW), 3, "")
    assert body["gone"] == {"offsets": 40, "receipts": 38, "empty": 2, "unkept": 1, "batches": 2}


def test_where_nothing_was_gone_nothing_is_told_of_it() -> None:
    body = v.body(v.verdict(w.GOOD, w.NOW), 3, "")
    assert "gone" not in body and "stand in" not in str(body)


def test_two_sources_are_told_as_one_number() -> None:
    facts = w.source("inbox/3", rerun(), stand_in=replace(WHOLE, empty=0, offsets=38))
    assert v.verdict(facts, w.NOW).gone == f.StandIn(78, 76, 2, 0, 74, 2, 0, 4)


@pytest.mark.parametrize(
    ("fields", "said", "severity"),
    [
        ({"receipts": 26, "kept": 25, "neither": 12}, "12 offsets of inbox/0 are gone and were never received", "FAIL"),
        ({"other_roots": 1}, "1 batch whose receipts stand in for inbox/0 has another digest", "FAIL"),
        ({"kept": 35, "unlike": 2}, "2 receipts that stand in for inbox/0 are not what is kept", "FAIL"),
        ({"kept": 36}, "receipts that stand in for inbox/0 are counted otherwise", "FAIL"),
        ({"receipts": 37, "kept": 36}, "receipts that stand in for inbox/0 are counted otherwise", "FAIL"),
        ({"refused": "the window failed by SEALED"}, "nothing stands in for what is gone of inbox/0", "BLOCKED"),
    ],
)
def test_what_does_not_stand_in_is_not_accounted_for(fields: dict[str, Any], said: str, severity: str) -> None:
    found = accounted(rerun(**fields))
    assert found.state is c.State.BROKEN
    assert said in found.cause
    assert str(found.severity) == severity
    assert ", 0 unaccounted" not in found.observed


@given(
    st.builds(
        f.StandIn, *[st.integers(0, 20)] * 9, refused=st.sampled_from(["", "the window failed by SEALED"])
    )
)  # fmt: skip
def test_only_what_is_whole_passes(found: f.StandIn) -> None:
    """Every offset has something that stands in for it, every receipt is what is kept, every batch has its digest."""
    whole = (
        found.receipts + found.empty == found.offsets and found.kept + found.unkept == found.receipts
        and not (found.neither or found.unlike or found.other_roots or found.refused)
    )  # fmt: skip
    check = accounted(w.source("inbox/0", receipts=30, stand_in=found))
    assert (check.state is c.State.HOLDS) is whole
    assert bool(gone.unaccounted(found)) is not whole or not found.offsets
    assert (list(gone.causes("inbox/0", found)) == []) is whole


# ---- covering -------------------------------------------------------------------------------------------------------


def test_a_rerun_covers_with_what_stands_in() -> None:
    assert cover.covering(replace(PASSED, gone=WHOLE), GOOD, w.NOW).lacks == ()


def test_a_rerun_never_covers_what_was_never_received() -> None:
    spoilt = replace(WHOLE, receipts=26, kept=25, neither=12)
    assert lacks(GOOD, replace(PASSED, gone=spoilt)) == ("what is gone from the inbox was not all received",)
