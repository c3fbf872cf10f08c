"""Flights joined with gated weather: MATCHED, MISSING, AMBIGUOUS per event, pinned to a verdict."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from ingest.core.errors import SettingsError
from ingest.core.ids import WindowId
from ingest.db import write
from ingest.projections.base import NotPinned, Pin, as_integer, as_number, as_text, check_pins, load_projection
from stack import Stack
from tests.flow.world import CONTRACT, Flow

WEATHER = CONTRACT.replace("thing", "weather").replace('["/id"]', '["/origin", "/time_hour", "/report"]') + (
    '[projection]\nclass = "ingest.projections.weather:Weather"\ntables = ["truth.weather"]\n'
)
FLIGHTS = CONTRACT.replace("thing", "flight").replace('["/id"]', '["/carrier", "/flight", "/time_hour"]') + (
    '[projection]\nclass = "ingest.projections.flights:FlightsWithWeather"\ntables = ["truth.flights_weather"]\n'
    '[context.weather]\nstream = "{weather}"\n'
    'on = {{ "/origin" = "/origin", "/time_hour" = "/time_hour" }}\n'
)
HOUR = "2013-01-01T%02d:00:00Z"


def report(hour: int, number: int = 1, temp: Any = 39.02, **more: Any) -> bytes:
    said = {"type": "weather", "origin": "EWR", "time_hour": HOUR % hour, "report": number, "temp": temp, **more}
    return json.dumps(said).encode()


def flight(number: int, hour: int, **more: Any) -> bytes:
    said = {"type": "flight", "carrier": "UA", "flight": number, "origin": "EWR", "time_hour": HOUR % hour, **more}
    return json.dumps(said).encode()


@pytest.fixture
def weather(live: Stack) -> Flow:
    """A closed run with a PASS: hour 1 has one report, 2 has two that differ, 3 has two that say the same."""
    flow = Flow(contract=WEATHER, name=f"weather{uuid.uuid4().hex[:8]}")
    flow.open()
    flow.produce(
        [report(1), report(2), report(2, 2, 41.0), report(3), report(3, 2), report(4, temp="NA", wind_dir=270)]
    )
    flow.work()
    flow.cut()
    flow.work_until(lambda: flow.count("effect") == 6)
    stored = flow.judge()
    assert stored.verdict.state == "PASS", stored.sentence
    return flow


def joined(weather: Flow) -> Flow:
    name = f"flights{uuid.uuid4().hex[:8]}"
    text = FLIGHTS.replace("{weather}", weather.name)
    return Flow(contract=text, name=name, close="missing_max = 0.5\nambiguous_max = 0.5")


def rows(flow: Flow, table: str) -> list[Any]:
    return flow.rows(
        f"SELECT t.* FROM truth.{table} t JOIN run_window w ON w.id = t.win JOIN run r ON r.id = w.run_id"
        " JOIN stream s ON s.id = r.stream_id WHERE s.name = %(name)s"
    )


def test_each_flight_says_what_it_was_joined_with_or_why_not(weather: Flow) -> None:
    flow = joined(weather)
    flow.open()
    flow.produce([flight(1, 1, tailnum="N1", dep_delay=2), flight(2, 2), flight(3, 3), flight(4, 9), flight(5, 4)])
    flow.work_until(lambda: flow.count("effect") == 5)
    found = {row.flight: row for row in rows(flow, "flights_weather")}
    assert {number: row.weather_state for number, row in found.items()} == {
        "1": "MATCHED", "2": "AMBIGUOUS", "3": "MATCHED", "4": "MISSING", "5": "MATCHED",
    }  # fmt: skip
    assert (found["1"].temp, found["1"].dep_delay, found["1"].tailnum) == (39.02, 2, "N1")
    assert (found["5"].temp, found["5"].wind_dir) == (None, 270)
    assert found["2"].temp is None
    pin = f"{weather.name}/r1#1"
    assert {row.weather_verdict for row in found.values()} == {pin}
    assert found["2"].weather_reason == f"2 different weather reports for EWR at {HOUR % 2} in {pin}"
    assert found["4"].weather_reason == f"no weather report for EWR at {HOUR % 9} in {pin}"
    effects = flow.rows(
        "SELECT f.context_state, f.context_reason FROM effect f JOIN run r ON r.id = f.run_id"
        " JOIN stream s ON s.id = r.stream_id WHERE s.name = %(name)s ORDER BY 1, 2"
    )
    assert [row.context_state for row in effects] == [1, 1, 1, 2, 3]
    assert [bool(row.context_reason) for row in effects] == [False, False, False, True, True]
    flow.check()


def test_the_answer_does_not_depend_on_weather_that_came_later(weather: Flow) -> None:
    """Hour 9 is reported in a later run of weather: the pin names the earlier verdict."""
    flow = joined(weather)
    flow.open()
    weather.open("r2")
    weather.produce([report(9)])
    weather.work_until(lambda: weather.count("effect") == 7)
    flow.produce([flight(1, 9)])
    flow.work_until(lambda: flow.count("effect") == 1)
    (row,) = rows(flow, "flights_weather")
    assert row.weather_state == "MISSING"


def test_copies_on_the_bus_are_not_projected_twice(weather: Flow) -> None:
    assert len(rows(weather, "weather")) == 6
    weather.work("effects")
    assert len(rows(weather, "weather")) == 6


def test_truth_is_insert_only_even_for_the_app(weather: Flow) -> None:
    for statement in ("UPDATE truth.weather SET temp = 0", "DELETE FROM truth.weather", "TRUNCATE truth.weather"):
        with pytest.raises(Exception, match="denied|append-only"), write() as cur:
            cur.execute(statement)


def test_a_projection_that_raises_stops_the_lane_with_its_words(weather: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    flow = joined(weather)
    flow.open()
    flow.produce([flight(1, 1)])
    flow.work("admission", "publish")
    from ingest.projections.flights import FlightsWithWeather

    real = FlightsWithWeather.apply
    monkeypatch.setattr(FlightsWithWeather, "apply", _raises)
    flow.work("effects", seconds=3)
    codes = [flow.position("effects", i).stopped_code for i in range(flow.bus_partitions)]
    assert "projection_failed" in codes
    assert flow.count("effect") == 0
    monkeypatch.setattr(FlightsWithWeather, "apply", real)
    with write() as cur:
        cur.execute(
            "UPDATE position SET stopped_until = NULL WHERE lane = 'effects' AND source_id = ANY(%s)", (flow.sources(),)
        )
    flow.work_until(lambda: flow.count("effect") == 1)


def test_a_projection_that_answers_too_few_stops_the_lane(weather: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which event an answer is of would be a guess."""
    flow = joined(weather)
    flow.open()
    flow.produce([flight(1, 1)])
    flow.work("admission", "publish")
    with monkeypatch.context() as patch:
        patch.setattr("ingest.projections.flights.FlightsWithWeather.apply", lambda *_: [])
        flow.work("effects", seconds=3)
    codes = {flow.position("effects", i).stopped_code for i in range(flow.bus_partitions)}
    assert codes == {None, "projection_failed"}
    assert flow.count("effect") == 0


def test_a_window_without_a_pin_for_its_context_is_not_projected() -> None:
    projection = load_projection("ingest.projections.flights:FlightsWithWeather")
    check_pins(projection, 7, {"weather": Pin((WindowId(1),), "weather/2013-01#1")})
    for pins, found in (({}, "no pins"), ({"tides": Pin((WindowId(1),), "tides/1#1")}, "tides")):
        with pytest.raises(NotPinned, match="a pin of weather for window 7") as refused:
            check_pins(projection, 7, pins)
        assert refused.value.found == found


def test_a_class_that_is_no_projection_is_refused(settings: Any) -> None:
    settings.PASSGATE_PROJECTIONS = ["collections:OrderedDict"]
    with pytest.raises(SettingsError, match="OrderedDict"):
        load_projection("collections:OrderedDict")


def _raises(*_: object) -> None:
    raise ZeroDivisionError("no such hour")


def test_fields_are_read_leniently_and_never_invented() -> None:
    assert [as_number(v) for v in (1, "1.5", "NA", "", None, True, [1])] == [1.0, 1.5, None, None, None, None, None]
    assert [as_integer(v) for v in (1, "15", 1.5, 2**31, "NA")] == [1, 15, None, None, None]
    assert [as_text(v) for v in ("a", 1545, None, {"a": 1})] == ["a", "1545", None, None]
