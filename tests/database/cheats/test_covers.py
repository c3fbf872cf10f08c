"""Gates on reruns that prove nothing, and covers that nobody measured: refused by name, or found by fsck."""

# ruff: noqa: E501  a statement that cheats reads best on one line
from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.db import transaction

from audit import close
from audit.core import facts as f
from audit.core import verdict as v
from ingest.db import ConstraintViolated, cursor
from tests.database.cheats.frame import SUPERUSER, Cheat, notice

Values = dict[str, Any]


def app(name: str, does: str, refused: str) -> Cheat:
    return Cheat(name, does, refused)


def thief(name: str, does: str, found: str) -> Cheat:
    return Cheat(name, does, found=found, by=SUPERUSER)


LEASE = "checked_at = clock_timestamp(), open_until = clock_timestamp() + interval '9 s', shut_why = NULL"
GATE = "INSERT INTO gate_open (win, verdict_id, open_until, checked_at) SELECT %(shut)s, {verdict}, clock_timestamp() + interval '9 s', clock_timestamp()"
FRESH = "INSERT INTO run (stream_id, name, contract_id, state, opened_by, cut_at, supersedes) VALUES (%(stream)s, 'fresh', %(contract)s, 'CUT', 'eve', clock_timestamp(), %(win)s)"
FAILED = "(SELECT id FROM verdict WHERE win = %(win)s)"

COVER = [
    app("a gate on a rerun of a part", f"UPDATE gate_open SET verdict_id = %(part)s, {LEASE} WHERE win = %(win)s", "gate_follows_pass"),
    app("a gate on the window's own FAIL", f"UPDATE gate_open SET verdict_id = {FAILED}, {LEASE} WHERE win = %(win)s", "gate_follows_pass"),
    app("a gate on a rerun of another window", GATE.format(verdict="%(whole)s"), "gate_follows_pass"),
    app("a gate on no cover at all", GATE.format(verdict="(SELECT id FROM verdict WHERE win = %(shut)s)"), "gate_follows_pass"),
    app("a gate that outlasts its rerun's", f"UPDATE gate_open SET open_until = checked_at, shut_why = 'x' WHERE win = %(rerun_2)s; UPDATE gate_open SET {LEASE} WHERE win = %(win)s", "gate_stays_shut"),
    app("a lease longer than its rerun's", "UPDATE gate_open SET checked_at = clock_timestamp(), open_until = clock_timestamp() + interval '1 h' WHERE win = %(win)s", "gate_follows_context"),
    app("covers set by hand", "UPDATE verdict SET covers = %(win)s WHERE id = %(part)s", "InsufficientPrivilege"),
    app("a fresh run in a place that a rerun keeps", FRESH, "run_place_is_free"),
    thief("covers set by hand on a part", "UPDATE verdict SET covers = %(win)s WHERE id = %(part)s", "covers"),
    thief("covers said of a part", "UPDATE verdict p SET covers = %(win)s, body = p.body || jsonb_build_object('covers', w.body -> 'covers') FROM verdict w WHERE p.id = %(part)s AND w.id = %(whole)s", "covers"),
    thief("covers of a verdict that is no PASS", "UPDATE verdict SET state = 'BLOCKED' WHERE id = %(whole)s", "covers"),
    thief("covers by a redrive", "UPDATE plan SET kind = 'redrive' WHERE id = (SELECT plan FROM rerun WHERE win = %(rerun_2)s)", "covers"),
    thief("a window that failed by its ledger", "UPDATE verdict SET body = jsonb_set(body, '{checks,2,check}', '\"BALANCED\"') WHERE win = %(win)s", "covers"),
    thief("a part of it is read no more", "UPDATE window_range SET end_offset = 3 WHERE win = %(rerun_2)s AND end_offset = 4", "covers"),
    thief("an effect of it is gone", "DELETE FROM effect WHERE win = %(win)s AND identity = (SELECT min(identity) FROM effect WHERE win = %(win)s)", "covers"),
    thief("a place of it is gone", "DELETE FROM place WHERE source_id = %(inbox)s AND \"offset\" = 0", "covers"),
    thief("a record that refers to it is gone", "DELETE FROM receipt t USING window_range g WHERE g.win = %(rerun_2)s AND t.source_id = g.source_id AND t.\"offset\" = 0", "covers"),
    thief("a fresh run beside it", FRESH + "; INSERT INTO run_window (run_id, number, contract_id, state, revision, by_plan) SELECT max(id), 1, %(contract)s, 'OPEN', 0, true FROM run", "covers"),
    thief("a contradiction beside it", "INSERT INTO contradiction (win, attempt_id, kind, source_id, \"offset\", detail) SELECT b.win, ab.attempt_id, 'ABSENT_APPEARED', b.source_id, 0, 'x' FROM attempt_batch ab JOIN batch b ON b.id = ab.batch_id WHERE b.win = %(rerun_2)s OR b.win = %(rerun_1)s LIMIT 1", "covers"),
    thief("an open gate on a part", "UPDATE gate_open SET verdict_id = %(part)s, open_until = clock_timestamp() + interval '9 s' WHERE win = %(win)s", "open_gates"),
    thief("an open gate on a rerun that failed since", "INSERT INTO verdict (run_id, number, win, revision, state, basis_generation, contract_digest, body, digest, decided_by, waived) SELECT run_id, number + 10, win, revision + 1, 'FAIL', basis_generation, contract_digest, body - 'covers', digest, 'eve', false FROM verdict WHERE id = %(whole)s; UPDATE gate_open SET open_until = clock_timestamp() + interval '9 s' WHERE win = %(win)s", "open_gates"),
]  # fmt: skip


@pytest.mark.parametrize("cheat", COVER, ids=[cheat.id for cheat in COVER])
def test_a_cheat_is_noticed(covered_run: Values, cheat: Cheat) -> None:
    notice(cheat, covered_run)


# ---- stored as the application stores it ----------------------------------------------------------------------------

WHOLE = {"events": 3, "referred": 3, "effects": 3, "places": 3, "batches": 1}


def forged(judged: close.Judgement, win: int, **cover: Any) -> close.Judgement:
    """A judgement that says of itself that it covers."""
    (revision,) = [judged.seen.facts.revision] if judged.seen else [0]
    said = f.Cover(1, revision, (), **WHOLE)
    assert judged.seen is not None and judged.seen.win == win
    return replace(judged, verdict=replace(judged.verdict, cover=replace(said, **cover)))


def judged(values: Values, rerun: str = "shut_whole") -> close.Judgement:
    values["not_judged"].sample()
    return close.judge(values[rerun])


def refused(storing: Callable[[], Any]) -> str:
    with transaction.atomic():
        try:
            with pytest.raises(ConstraintViolated) as said, transaction.atomic():
                storing()
        finally:
            transaction.set_rollback(True)
    return said.value.constraint


def test_a_part_does_not_say_that_it_covers(covered_run: Values) -> None:
    part = judged(covered_run, "shut_part")
    assert part.verdict.title == "PASS"
    assert refused(lambda: close.store(forged(part, covered_run["shut"]), "eve")) == "verdict_covers_window"


def test_what_is_blocked_does_not_say_that_it_covers(covered_run: Values) -> None:
    whole = judged(covered_run)
    facts = replace(whole.measurement.facts, broker=None)
    blocked = replace(whole, verdict=v.verdict(facts, whole.measurement.at))
    assert blocked.verdict.title == "BLOCKED"
    assert refused(lambda: close.store(forged(blocked, covered_run["shut"]), "eve")) == "verdict_covers_window"


@pytest.mark.parametrize("counted", WHOLE)
def test_what_was_counted_is_held_against_the_batches(covered_run: Values, counted: str) -> None:
    whole = judged(covered_run)
    cheated = forged(whole, covered_run["shut"], **{counted: 2})
    assert refused(lambda: close.store(cheated, "eve")) == "verdict_covers_window"


def test_nothing_is_covered_beside_a_fresh_run(covered_run: Values) -> None:
    """It began after the rerun was judged, and before that was stored."""
    values, whole = covered_run, judged(covered_run)
    assert whole.verdict.cover is not None and whole.verdict.cover.lacks == ()

    def storing() -> None:
        with cursor() as cur:
            cur.execute(
                "INSERT INTO run (stream_id, name, contract_id, state, opened_by, cut_at, supersedes)"
                " SELECT r.stream_id, 'fresh', w.contract_id, 'CUT', 'eve', clock_timestamp(), w.id"
                " FROM run_window w JOIN run r ON r.id = w.run_id WHERE w.id = %s RETURNING id",
                (values["shut"],),
            )
            (run,) = cur.fetchone() or (0,)
            cur.execute(
                "INSERT INTO run_window (run_id, number, contract_id, state, revision, by_plan)"
                " SELECT %s, 1, contract_id, 'OPEN', 0, true FROM run_window WHERE id = %s",
                (run, values["shut"]),
            )
        close.store(whole, "eve")

    assert refused(storing) == "verdict_covers_window"


def test_a_cover_that_nothing_is_wrong_with_is_stored(covered_run: Values) -> None:
    """So that the others are refused for what is wrong with them; it is rolled back."""
    whole = judged(covered_run)
    with transaction.atomic():
        stored = close.store(whole, "test")
        assert stored.verdict.cover is not None and stored.new
        transaction.set_rollback(True)
