"""Gaps that say GONE where nothing is, and verdicts that say otherwise: refused by name, or found by fsck."""

# ruff: noqa: E501  a statement that cheats reads best on one line
from __future__ import annotations

from typing import Any

import pytest

from tests.database.cheats.frame import SUPERUSER, Cheat, notice

Values = dict[str, Any]


def app(name: str, does: str, refused: str = "", found: str = "") -> Cheat:
    return Cheat(name, does, refused, found)


def thief(name: str, does: str, found: str) -> Cheat:
    return Cheat(name, does, found=found, by=SUPERUSER)


GAP = "INSERT INTO gap (source_id, from_offset, to_offset, isolation, why, fence) VALUES ({source}, {start}, {end}, 'read_committed', 'GONE', 1)"
MOVES = "UPDATE position SET next_offset = {end} WHERE lane = 'admission' AND source_id = %(held_source)s"
RUNS = "UPDATE plan SET state = 'RUNNING', acted_by = 'eve', acted_why = 'x' WHERE id = %(held)s"
GONE = "WHERE source_id = %(source)s AND why = 'GONE'"


def passes_over(end: int, start: int = 1, runs: bool = True) -> str:
    """The plan that is held stands at 1: its offset n is offset 4 + n of the inbox, of which 6 was never received."""
    gap = GAP.format(source="%(held_source)s", start=start, end=end)
    return "; ".join([*([RUNS] if runs else []), MOVES.format(end=end), gap])


PASSED_OVER = [
    app("gone is said by hand after the rerun is cut", GAP.format(source="%(source)s", start=8, end=9), "gap_claimed_by_its_lane"),
    app("gone is said of an inbox", GAP.format(source="%(inbox)s", start=6, end=7), "gap_claimed_by_its_lane"),
    app("gone is said while the plan is held", passes_over(2, runs=False), "gone_of_its_plan"),
    app("gone is said of what was never received", passes_over(3), "gone_was_received"),
    app("gone is said of what was read", passes_over(2, start=0), "gone_was_not_read"),
    app("gone is said beyond the range", passes_over(9), "gone_of_an_open_rerun"),
    app("gone is said of what is there", passes_over(2), found="gone_again"),
    app("another reason for a gap", f"UPDATE gap SET why = 'AT_END' {GONE}", "InsufficientPrivilege"),
    app("a gap is taken back", f"DELETE FROM gap {GONE}", "InsufficientPrivilege"),
    app("a proof is written anew", f"UPDATE gap SET proof = '{{\"read_to\": 9}}' {GONE}", "gap_transition"),
    thief("what stood in is gone, too", 'DELETE FROM receipt WHERE source_id = %(inbox)s AND "offset" = 2', "gone"),
    thief("what stood in is another window's", "UPDATE batch SET win = %(rerun)s WHERE source_id = %(inbox)s AND from_offset = 0", "gone"),
    thief("a part of it was read", f"UPDATE gap SET to_offset = 5 {GONE}", "gone"),
    thief("its proof names no log start", f"UPDATE gap SET proof = proof - 'log_start_after' {GONE}", "gone"),
    thief("its proof names an earlier log start", f"UPDATE gap SET proof = proof || '{{\"log_start_before\": 3}}' {GONE}", "gone"),
    thief("it is of a source that reads nothing again", "UPDATE gap SET why = 'GONE' WHERE source_id = %(inbox)s", "gone"),
    thief("it is said to be further than it is", "UPDATE origin SET start_offset = start_offset + 2 WHERE source_id = %(source)s", "gone_again"),
    thief("it becomes a hole like others", f"UPDATE gap SET why = 'AT_END' {GONE}", "passes"),
    thief("the verdict does not name it", "UPDATE verdict SET body = body - 'gone' WHERE win = %(rerun)s", "passes"),
    thief("the verdict names other numbers", "UPDATE verdict SET body = jsonb_set(body, '{gone,receipts}', '3') WHERE win = %(rerun)s", "passes"),
    thief("a record that a receipt stood in for refers to another event", 'UPDATE receipt SET identity = sha256(\'else\') WHERE source_id = %(inbox)s AND "offset" = 2', "covers"),
    thief("a receipt that stands in says otherwise", 'UPDATE receipt SET payload_digest = sha256(\'else\') WHERE source_id = %(inbox)s AND "offset" = 2', "roots"),
]  # fmt: skip


@pytest.mark.parametrize("cheat", PASSED_OVER, ids=[cheat.id for cheat in PASSED_OVER])
def test_a_cheat_is_noticed(gone_run: Values, cheat: Cheat) -> None:
    notice(cheat, gone_run)
