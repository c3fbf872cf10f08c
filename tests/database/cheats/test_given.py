"""What plans give besides waivers: a generation and an end of re-checks, written otherwise than they were approved."""

# ruff: noqa: E501  a statement that cheats reads best on one line
from __future__ import annotations

from typing import Any

import pytest

from ingest.core import posture
from ingest.core.posture import Change
from ingest.db import read
from tests.database.cheats.frame import SUPERUSER, Cheat, notice
from tests.database.test_refusals import as_role, refusal

STOLEN_ROWS = [
    ("a generation of another plan", "UPDATE basis SET plan = %(retire)s WHERE win = %(win)s AND generation = 2", "refreshes"),
    ("a generation that says other people", "UPDATE basis SET why = 'plan 1 (asked for by ada, approved by bo: so)' WHERE win = %(win)s AND generation = 2", "refreshes"),
    ("a generation that its plan did not bind", "UPDATE basis SET digest = sha256('x') WHERE win = %(win)s AND generation = 2", "refreshes"),
    ("a generation of no plan any more", "UPDATE basis SET plan = NULL WHERE win = %(win)s AND generation = 2", "generations"),
    ("re-checks of another topic id ended", "UPDATE recheck_end SET topic_id = 'another' WHERE plan = %(retire)s", "recheck_ends"),
    ("re-checks of later windows ended", "UPDATE recheck_end SET last_win = (SELECT max(id) FROM run_window) WHERE plan = %(retire)s AND (SELECT max(id) FROM run_window) > %(win)s; UPDATE recheck_end SET approved_by = 'me' WHERE plan = %(retire)s", "recheck_ends"),
    ("re-checks ended by a plan of another kind", "UPDATE recheck_end SET plan = %(refresh)s WHERE plan = %(retire)s", "recheck_ends"),
]  # fmt: skip
STOLEN = [Cheat(name, does, found=found, by=SUPERUSER) for name, does, found in STOLEN_ROWS]


@pytest.mark.parametrize("cheat", STOLEN, ids=[cheat.id for cheat in STOLEN])
def test_a_stolen_server_is_noticed(live: object, given: dict[str, Any], cheat: Cheat) -> None:
    notice(cheat, given)


@pytest.mark.parametrize(
    "statement",
    ["UPDATE recheck_end SET last_win = last_win WHERE plan = %s", "DELETE FROM recheck_end WHERE plan = %s"],
)
def test_an_end_of_re_checks_stands_as_it_was_given(live: object, given: dict[str, Any], statement: str) -> None:
    with as_role("app") as cur:
        assert refusal(cur, statement, (given["retire"],)) == "InsufficientPrivilege"
    with as_role("owner") as cur:
        assert refusal(cur, statement, (given["retire"],)) == "append_only"


def test_of_one_plan_there_is_one_end_of_re_checks(live: object, given: dict[str, Any]) -> None:
    cheat = "INSERT INTO recheck_end (stream_id, role, topic, cluster_id, topic_id, last_win, plan, requested_by, approved_by, reason) SELECT stream_id, {}, topic, cluster_id, topic_id, last_win, plan, requested_by, approved_by, reason FROM recheck_end WHERE plan = %s"
    with as_role("app") as cur:
        assert refusal(cur, cheat.format("role"), (given["retire"],)) == "recheck_end_of_its_plan"
    with as_role("owner") as cur:
        cur.execute("ALTER TABLE recheck_end DISABLE TRIGGER recheck_end_of_its_plan")
        assert refusal(cur, cheat.format("role"), (given["retire"],)) == "recheck_end_of_one_plan"
    with as_role("owner") as cur:
        cur.execute("ALTER TABLE recheck_end DISABLE TRIGGER recheck_end_of_its_plan")
        assert refusal(cur, cheat.format("'bus'"), (given["retire"],)) == "recheck_end_of_an_inbox"


VALUES = {
    "cleanup.policy": ["delete", "compact", "compact,delete", "delete,compact"],
    "message.timestamp.type": ["CreateTime", "LogAppendTime"],
    "unclean.leader.election.enable": ["true", "false"],
    "retention.ms": ["-1", "0", "1", "86400000", "soon"],
    "retention.bytes": ["-1", "0", "7", "99999999999999999999"],
    "max.message.bytes": ["-1", "1", "1048588", "x"],
    "min.insync.replicas": ["1", "2"],
    "replication.factor": ["1", "3"],
    "brokers": ["1", "3"],
    "something.new": ["a", "b"],
}


@pytest.mark.parametrize("key", VALUES)
def test_the_database_knows_what_promises_less_as_the_code_does(live: object, key: str) -> None:
    """The trigger tells the rule of ingest/core/posture.py once more: for each pair of values they agree."""
    pairs = [(was, is_) for was in [*VALUES[key], None] for is_ in [*VALUES[key], None]]
    with read() as cur:
        rows = cur.execute(
            "SELECT x.n, setting_promises_less(%s, x.was, x.is_) AS less"
            " FROM unnest(%s::text[], %s::text[]) WITH ORDINALITY AS x(was, is_, n) ORDER BY n",
            (key, [was for was, _ in pairs], [is_ for _, is_ in pairs]),
        ).fetchall()
    for (was, is_), row in zip(pairs, rows, strict=True):
        way = posture.change(key, was, is_)
        less = way is Change.WORSE or (way is Change.UNKNOWN and was is not None)
        assert row.less == less, (was, is_, way)
