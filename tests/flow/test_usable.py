"""What no lane could work by is refused when it is loaded and when a run is opened, not by a lane that stands still."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from audit.open import open_run
from ingest.core.errors import SettingsError
from ingest.projections.base import Projection, load_projection
from ingest.streams import COMPILED, compiled_contract, load
from tests.flow.world import CONTRACT, Flow

PLAIN = {
    "bus_partitions": 2, "delivery_timeout": "15s", "quarantine_open_max": 0, "close": "", "automatic": "true",
    "after": "1s",
}  # fmt: skip


class Homeless(Projection):
    """Its table was never made."""

    ddl: ClassVar[str] = ""
    tables: ClassVar[tuple[str, ...]] = ("truth.nobody_made_this",)

    def apply(self, cur: Any, win: int, events: Any, pins: Any) -> Any:
        return [None] * len(events)


def text(name: str, projection: str = "", tables: str = "truth.weather", **more: str) -> bytes:
    lines = f'[projection]\nclass = "{projection}"\ntables = ["{tables}"]\n' if projection else ""
    return (CONTRACT.format(**(PLAIN | {"name": name} | more)) + lines).encode()


@pytest.mark.parametrize(
    ("projection", "tables", "found"),
    [
        ("nowhere.at_all:Weather", "truth.weather", "No module named"),
        ("ingest.projections.weather:Wether", "truth.weather", "has no attribute"),
        ("ingest.db:Statements", "truth.weather", "missing 1 required"),
        ("ingest.projections.weather:Weather", "truth.wether", "no table truth.wether"),
        ("tests.flow.test_usable:Homeless", "truth.weather", "no table truth.nobody_made_this"),
    ],
)
def test_a_projection_that_cannot_work_is_not_loaded(
    live: object, settings: Any, projection: str, tables: str, found: str
) -> None:
    settings.PASSGATE_PROJECTIONS = (*settings.PASSGATE_PROJECTIONS, projection)
    load_projection.cache_clear()
    with pytest.raises(SettingsError) as refused:
        load(text("unusable", projection, tables), "unusable.toml", {}, "test")
    assert found in refused.value.found
    assert refused.value.next_step


def test_a_run_is_not_opened_by_a_contract_whose_projection_is_gone(
    live: object, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loaded while it was there."""
    flow = Flow()
    settings.PASSGATE_PROJECTIONS = (*settings.PASSGATE_PROJECTIONS, "gone.since:Then")
    monkeypatch.setattr("ingest.streams.check_usable", lambda contract: None)
    monkeypatch.setattr("ingest.streams.check_guarded", lambda cur, contract: None)
    load(text(flow.name, "gone.since:Then"), "x.toml", {}, "test")
    with pytest.raises(SettingsError) as refused:
        open_run(flow.name, "r1", "test")
    assert "gone" in refused.value.found
    assert flow.rows("SELECT 1 FROM run r JOIN stream s ON s.id = r.stream_id WHERE s.name = %(name)s") == []


@pytest.mark.parametrize(("word", "by_plan"), [("plan", True), ("automatic", False)])
def test_a_contract_that_wants_a_plan_before_a_republish_says_so_to_the_database(
    live: object, word: str, by_plan: bool
) -> None:
    """It cannot read the contract, and refuses what no plan publishes again."""
    flow = Flow(after=f'1s"\nrepublish = "{word}')
    rows = flow.rows(
        "SELECT c.republish_by_plan AS by_plan FROM contract c JOIN stream s ON s.id = c.stream_id"
        " WHERE s.name = %(name)s"
    )
    assert [row.by_plan for row in rows] == [by_plan]


def test_more_streams_than_sixty_four_are_parsed_once() -> None:
    """A process that looks at them in turn would else parse each of them at every look."""
    assert compiled_contract.cache_parameters()["maxsize"] == COMPILED >= 1_000
