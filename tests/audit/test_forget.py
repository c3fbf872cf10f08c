"""What no verdict stands on may age: by one function a table, never what is younger than a week, and nothing else."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from audit.forget import ForgottenRows, forget
from ingest.db import ConstraintViolated, read, write
from tests.database.test_refusals import as_role, refusal
from tests.flow.world import Flow, thing

MakeFlow = Callable[..., Flow]


def asked(stream: str, days: int) -> None:
    with write() as cur:
        cur.execute(
            "INSERT INTO gate_decision (at, who, stream, run, status, code)"
            " VALUES (clock_timestamp() - make_interval(days => %s), 'test', %s, 'r', 403, 'blocked')",
            (days, stream),
        )


def left(stream: str) -> int:
    with read() as cur:
        row = cur.execute("SELECT count(*) AS n FROM gate_decision WHERE stream = %s", (stream,)).fetchone()
    assert row is not None
    return int(row.n)


def test_old_answers_of_the_gate_go_and_others_stay(live: object, settings: Any) -> None:
    stream = f"t{uuid.uuid4().hex[:10]}"
    settings.PASSGATE_KEEP_GATE_DECISIONS_DAYS = 300
    for days in (301, 400, 299, 0):
        asked(stream, days)
    for _ in range(50):  # other tests' rows are in the table, too: a step is bounded
        if not forget().gate_decisions:
            break
    assert left(stream) == 2
    settings.PASSGATE_KEEP_GATE_DECISIONS_DAYS = 0
    settings.PASSGATE_KEEP_FOREIGN_BYTES_DAYS = 0
    assert forget() == ForgottenRows(0, 0)


def test_nothing_younger_than_a_week_is_forgotten_whoever_asks(live: object, settings: Any) -> None:
    settings.PASSGATE_KEEP_GATE_DECISIONS_DAYS = 1
    with pytest.raises(ConstraintViolated) as refused:
        forget()
    assert refused.value.constraint == "retention_at_least_a_week"


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM gate_decision",
        "SELECT set_config('passgate.by_age', 'gate_decision', true); DELETE FROM gate_decision",
        "SELECT set_config('passgate.by_age', 'foreign_record', true); UPDATE foreign_record SET value = NULL",
        "SELECT set_config('passgate.by_age', 'foreign_record', true); DELETE FROM foreign_record",
        "DELETE FROM snapshot",
    ],
)
def test_the_application_itself_deletes_nothing(live: object, statement: str) -> None:
    with as_role("app") as cur:
        assert refusal(cur, statement) == "InsufficientPrivilege"


@pytest.mark.parametrize(
    "statement",
    ["DELETE FROM gate_decision", "UPDATE gate_decision SET who = 'x'", "UPDATE foreign_record SET value = NULL",
     "SELECT set_config('passgate.by_age', 'foreign_record', true); DELETE FROM foreign_record"],
)  # fmt: skip
def test_who_may_change_the_tables_is_refused_by_the_trigger(live: object, statement: str) -> None:
    with as_role("owner") as cur:
        assert refusal(cur, statement) == "append_only"


def test_a_foreign_records_bytes_go_and_its_row_stays(make_flow: MakeFlow, settings: Any) -> None:
    flow = make_flow()
    flow.open()
    flow.produce([b"who wrote this"], topic=flow.bus)
    flow.work()
    settings.PASSGATE_KEEP_GATE_DECISIONS_DAYS = 0
    settings.PASSGATE_KEEP_FOREIGN_BYTES_DAYS = 90
    find = "SELECT f.why, f.value FROM foreign_record f WHERE f.source_id = ANY(%(sources)s)"
    (row,) = flow.rows(find, sources=flow.sources("bus"))
    assert bytes(row.value) == b"who wrote this"
    forget()
    assert flow.rows(find, sources=flow.sources("bus"))[0].value is not None  # it is young
    with as_role("owner") as cur:
        cur.execute("SELECT set_config('passgate.by_age', 'foreign_record', true)")
        cur.execute(
            "UPDATE foreign_record SET read_at = read_at - interval '91 days' WHERE source_id = ANY(%s)",
            (flow.sources("bus"),),
        )
        cur.connection.commit()
    assert forget().foreign_bytes >= 1
    (row,) = flow.rows(find, sources=flow.sources("bus"))
    assert (row.value, bool(row.why)) == (None, True)


def test_samples_are_forgotten_through_an_index(live: object) -> None:
    """By their age: the statement that runs every other second reads what it deletes, and not the whole table."""
    from ingest.sample import sql

    with as_role("app") as cur:
        cur.execute("SET LOCAL enable_seqscan = off")
        cur.execute("EXPLAIN " + sql.forget_samples, {"hours": 12})
        plan = "\n".join(row[0] for row in cur.fetchall())
    assert "sample_by_age" in plan


def test_two_thousand_holes_are_one_statement(make_flow: MakeFlow, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writing them down, and proving them."""
    import psycopg

    from audit.gaps import prove
    from tests.database.test_retries import _leave_a_hole

    flow = make_flow()
    opened = flow.open()
    flow.produce([thing(0)])
    for _ in range(3):
        _leave_a_hole(flow)
        flow.produce([thing(uuid.uuid4().hex)])
    told: list[str] = []
    real = psycopg.Cursor.execute

    def execute(self: Any, query: Any, *args: Any, **more: Any) -> Any:
        told.append(str(query))
        return real(self, query, *args, **more)

    monkeypatch.setattr(psycopg.Cursor, "execute", execute)
    flow.work("admission")
    prove(opened.win)
    monkeypatch.undo()
    # a read that ended within a hole, as on a busy machine, makes two gaps of it that touch each other
    holes = flow.rows(
        "SELECT g.state, unnest(range_agg(int8range(g.from_offset, g.to_offset))) FROM gap g"
        " WHERE g.source_id = ANY(%(sources)s) GROUP BY g.state",
        sources=flow.sources("inbox"),
    )
    # an aborted transaction's marker may come after the next record: then it is a hole of its own
    assert len(holes) in (3, 4) and {row.state for row in holes} == {"PROVEN"}, holes
    assert sum("INSERT INTO gap" in text for text in told) <= sum("INSERT INTO batch" in text for text in told) + 1
    assert sum("SET state = 'PROVEN'" in text for text in told) == 1
