"""Reruns, redrives and fresh runs that no plan asked for: refused by name, or found by fsck."""

# ruff: noqa: E501  a statement that cheats reads best on one line
from __future__ import annotations

from typing import Any

import pytest

from tests.database.cheats.frame import SUPERUSER, Cheat, notice

Values = dict[str, Any]


def app(name: str, does: str, refused: str) -> Cheat:
    return Cheat(name, does, refused)


def thief(name: str, does: str, found: str) -> Cheat:
    return Cheat(name, does, found=found, by=SUPERUSER)


WINDOW = "INSERT INTO run_window (run_id, number, contract_id, state, revision, by_plan, reruns, rerun) SELECT run_id, {number}, contract_id, 'OPEN', 0, {by_plan}, id, {rerun} FROM run_window WHERE id = {of}"
FRESH = "INSERT INTO run (stream_id, name, contract_id, state, opened_by, supersedes) VALUES (%(stream)s, 'fresh', %(contract)s, '{state}', 'eve', {of})"
REDRIVE = 'INSERT INTO redrive (source_id, "offset", item_id, plan, decision, reason) VALUES ({source}, {offset}, {item}, {plan}, {decision}, 0)'
PLAN = "INSERT INTO rerun (win, plan, kind, requested_by, approved_by, reason) SELECT {win}, p.id, p.kind, p.requested_by, {by}, p.reason FROM plan p WHERE p.id = {plan}"


def redrive(source: str = "%(source)s", offset: int = 0, item: str = "%(item)s", plan: str = "%(redrive)s", decision: int = 1) -> str:  # fmt: skip
    return REDRIVE.format(source=source, offset=offset, item=item, plan=plan, decision=decision)


REPLAYED = "(SELECT g.source_id FROM rerun x JOIN window_range g ON g.win = x.win WHERE x.plan = %(replay)s)"

RERUN = [
    app("a rerun without a plan", WINDOW.format(number="number", by_plan="true", rerun=7, of="%(win)s"), "window_rerun_is_a_plans"),
    app("a rerun of a rerun", WINDOW.format(number="number", by_plan="true", rerun=7, of="%(rerun)s"), "window_rerun_of_window"),
    app("a rerun under another number", WINDOW.format(number="number + 1", by_plan="true", rerun=7, of="%(win)s"), "window_rerun_of_window"),
    app("a rerun that its lanes fill", WINDOW.format(number="number", by_plan="false", rerun=7, of="%(win)s"), "window_rerun_numbered"),
    app("a rerun that is there already", WINDOW.format(number="number", by_plan="true", rerun=1, of="%(win)s"), "window_rerun_unique"),
    app("a rerun by a plan that is over", PLAN.format(win="%(win)s", by="p.approved_by", plan="%(redrive)s"), "rerun_of_its_plan"),
    app("a rerun by a plan that is held", PLAN.format(win="%(rerun)s", by="p.approved_by", plan="%(held)s"), "rerun_of_its_plan"),
    app("another approver of a rerun", "UPDATE rerun SET approved_by = 'eve' WHERE win = %(rerun)s", "InsufficientPrivilege"),
    app("a window becomes a rerun", "UPDATE run_window SET rerun = 9 WHERE id = %(win)s", "InsufficientPrivilege"),
    app("an inbox is bound to a rerun", "INSERT INTO window_range (win, source_id, start_offset) VALUES (%(rerun)s, %(inbox)s, 0)", "window_range_chain"),
    app("a plan's source is bound to a window", "INSERT INTO window_range (win, source_id, start_offset) SELECT w.id, %(source)s, 2 FROM run_window w WHERE w.id = %(win)s", "window_range_chain"),
    app("a redrive by a plan that is over", redrive(source=REPLAYED, decision=2, plan="%(replay)s"), "redrive_of_its_plan"),
    app("a redrive without a receipt", redrive(offset=77), "redrive_has_its_receipt"),
    app("a redrive that says another decision", redrive(decision=2), "redrive_has_its_receipt"),
    app("a redrive of an inbox's record", redrive(source="%(inbox)s"), "redrive_has_its_receipt"),
    app("a redrive is rewritten", "UPDATE redrive SET decision = 2 WHERE plan = %(redrive)s", "InsufficientPrivilege"),
    app("an item is said to be redriven", "UPDATE quarantine_item SET state = 'RESOLVED', resolution = 'REDRIVEN', resolved_by = 'eve', resolved_reason = 'x', resolved_at = now() WHERE win = %(win)s", "quarantine_resolved_once"),
    app("an origin that no plan reads", "INSERT INTO origin (source_id, origin_source_id, start_offset, end_offset) VALUES (%(source)s, %(inbox)s, 0, 1)", "origin_of_its_plan"),
    app("a fresh run that is open", FRESH.format(state="OPEN", of="%(win)s"), "run_takes_a_place"),
    app("a fresh run in the place of a rerun", FRESH.format(state="CUT", of="%(rerun)s"), "run_takes_a_place"),
    app("a fresh run beside a plan that is held", FRESH.format(state="CUT", of="%(win)s"), "run_place_is_free"),
    app("a run takes a place later", "UPDATE run SET supersedes = %(win)s WHERE id = %(run)s", "InsufficientPrivilege"),
    app("how far a rerun waits is moved", "UPDATE rerun_end SET end_offset = 0 WHERE win = %(rerun)s", "InsufficientPrivilege"),
    thief("a rerun loses its plan", "DELETE FROM rerun WHERE win = %(rerun)s", "reruns"),
    thief("a rerun gets another approver", "UPDATE rerun SET approved_by = 'eve' WHERE win = %(rerun)s", "reruns"),
    thief("a rerun gets a consent", "UPDATE rerun SET out_of_order = true WHERE win = %(rerun)s", "reruns"),
    thief("a record of a plan becomes another item's", "UPDATE redrive SET item_id = item_id + 100000 WHERE plan = %(redrive)s AND \"offset\" = 0", "reruns"),
    thief("a plan's record was set aside, and is told as admitted", "UPDATE redrive SET decision = 3 WHERE plan = %(redrive)s AND \"offset\" = 0", "reruns"),
    thief("a rerun goes on after its plan", "UPDATE run_window SET state = 'OPEN' WHERE id = %(rerun)s", "reruns"),
    thief("a rerun gets the inbox", "UPDATE window_range SET win = %(rerun)s WHERE win = %(win)s AND source_id = %(inbox)s", "reruns_apart"),
    thief("a window gets a plan's source", "UPDATE window_range SET win = %(win)s WHERE win = %(rerun)s", "reruns_apart"),
]  # fmt: skip


@pytest.mark.parametrize("cheat", RERUN, ids=[cheat.id for cheat in RERUN])
def test_a_cheat_is_noticed(rerun_run: Values, cheat: Cheat) -> None:
    notice(cheat, rerun_run)
