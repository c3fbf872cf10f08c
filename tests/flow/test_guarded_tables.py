"""Tables that readers read go by the gate: others are refused when a contract is loaded and when a lane starts."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from ingest.consume import lane as consume
from ingest.core.errors import SettingsError
from ingest.db import read
from ingest.projections.base import TruthUnguarded, UnguardedRelation, unguarded
from stack import Stack
from tests.flow.test_projections import WEATHER, report
from tests.flow.world import Flow

TABLE = "truth.h_spoilt"
MORE = "has another policy that lets readers read"
LATE = "takes or changes rows after its gate has opened"


@pytest.fixture
def owner(live: Stack) -> Iterator[psycopg.Connection[Any]]:
    """May make tables as a migration does, and one that is guarded as it must be."""
    with psycopg.connect(live.env()["PASSGATE_OWNER_URL"], autocommit=True) as connection:
        connection.execute(f"CREATE TABLE {TABLE} (win integer NOT NULL, id integer, PRIMARY KEY (win, id))")
        connection.execute(f"SELECT guard_truth_table('{TABLE}')")
        try:
            yield connection
        finally:
            connection.execute("DROP VIEW IF EXISTS truth.h_view")
            connection.execute("DROP MATERIALIZED VIEW IF EXISTS truth.h_kept")
            connection.execute(f"DROP TABLE {TABLE}")


def faults(*tables: str) -> list[UnguardedRelation]:
    with read() as cur:
        return unguarded(cur, tables or None)


def test_what_the_function_guards_is_guarded(owner: psycopg.Connection[Any]) -> None:
    assert faults() == []
    owner.execute(f"SELECT guard_truth_table('{TABLE}')")  # again does no harm
    assert faults() == []


@pytest.mark.parametrize(
    ("spoilt", "fault"),
    [
        (f"ALTER TABLE {TABLE} DISABLE ROW LEVEL SECURITY", "has no row security"),
        (f"ALTER TABLE {TABLE} NO FORCE ROW LEVEL SECURITY", "does not hold its owner to row security"),
        (f"DROP POLICY gated ON {TABLE}", "has no policy that goes by the gate"),
        (f"ALTER POLICY gated ON {TABLE} USING (true)", "has no policy that goes by the gate"),
        (
            f"ALTER POLICY gated ON {TABLE} USING (win = ANY((SELECT open_windows())::integer[]) OR win > 0)",
            "has no policy that goes by the gate",
        ),
        (f"CREATE POLICY more ON {TABLE} FOR SELECT TO passgate_reader USING (win > 0)", MORE),
        (f"CREATE POLICY more ON {TABLE} USING (true)", MORE),
        (f"ALTER TABLE {TABLE} DISABLE TRIGGER comes_before_its_gate", LATE),
        (f"DROP TRIGGER append_only ON {TABLE}", LATE),
        (f"CREATE INDEX ON {TABLE} (id)", "has an index that does not begin with win"),
    ],
)  # fmt: skip
def test_what_is_spoilt_is_named(owner: psycopg.Connection[Any], spoilt: str, fault: str) -> None:
    owner.execute(spoilt)
    assert faults() == faults(TABLE, "truth.weather") == [UnguardedRelation(TABLE, fault)]


def test_views_and_what_is_not_there_are_named(owner: psycopg.Connection[Any]) -> None:
    owner.execute(f"CREATE VIEW truth.h_view AS SELECT * FROM {TABLE}")
    owner.execute(f"CREATE MATERIALIZED VIEW truth.h_kept AS SELECT * FROM {TABLE}")
    assert faults() == [
        UnguardedRelation("truth.h_kept", "is of a kind that cannot have row security"),
        UnguardedRelation("truth.h_view", "is a view that reads with its owner's rights"),
    ]
    owner.execute("ALTER VIEW truth.h_view SET (security_invoker = true)")
    assert faults("truth.h_view", "truth.none") == [UnguardedRelation("truth.none", "is not there")]


def _weather(**more: Any) -> Flow:
    return Flow(contract=WEATHER, name=f"weather{uuid.uuid4().hex[:8]}", **more)


def test_a_contract_with_an_unguarded_table_is_not_loaded(owner: psycopg.Connection[Any]) -> None:
    flow = _weather()
    owner.execute(f"ALTER TABLE {TABLE} DISABLE ROW LEVEL SECURITY")
    flow.contract = WEATHER.replace('["truth.weather"]', f'["truth.weather", "{TABLE}"]')
    with pytest.raises(TruthUnguarded) as refused:
        flow.load()
    assert f"{TABLE} has no row security" in str(refused.value)
    flow.contract = WEATHER.replace('["truth.weather"]', '["truth.nothing"]')
    with pytest.raises(SettingsError, match="found no table truth.nothing"):
        flow.load()


def test_a_lane_does_not_start_with_an_unguarded_table(owner: psycopg.Connection[Any]) -> None:
    flow = _weather()
    flow.contract = WEATHER.replace('["truth.weather"]', f'["truth.weather", "{TABLE}"]')
    flow.load()
    flow.open()
    owner.execute(f"ALTER TABLE {TABLE} DISABLE ROW LEVEL SECURITY")
    flow.produce([report(1)])
    flow.work_until(
        lambda: "truth_unguarded" in {flow.position("effects", i).stopped_code for i in range(flow.bus_partitions)}
    )
    assert flow.count("effect") == 0
    owner.execute(f"SELECT guard_truth_table('{TABLE}')")
    consume._check_guarded(flow.rows("SELECT id FROM stream WHERE name = %(name)s")[0].id)
