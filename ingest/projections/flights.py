"""Each flight joined with the weather at its origin and hour, as the pinned verdict's window has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from ingest.core.ids import WindowId
from ingest.db import Cursor
from ingest.models import ContextState
from ingest.projections import AppliedEvent, Joined, Pin, Projection, as_integer, as_text, fields
from ingest.projections.weather import MEASURES

_TEXTS = ("carrier", "flight", "origin", "dest", "tailnum", "time_hour")
_NUMBERS = (
    "sched_dep_time", "dep_time", "dep_delay", "sched_arr_time", "arr_time", "arr_delay", "air_time", "distance",
)  # fmt: skip

# One look-up of all hours of a batch. Reports that say the same are one: only different ones are AMBIGUOUS.
_CONTEXT = f"""
SELECT k.origin, k.time_hour, count(w.*)::integer AS reports,
       count(DISTINCT ({", ".join(f"w.{name}" for name in MEASURES)}))::integer AS different, min(w.report) AS first
  FROM (SELECT DISTINCT * FROM unnest(%(origins)s::text[], %(hours)s::text[]) AS k(origin, time_hour)) k
 CROSS JOIN LATERAL (
       SELECT * FROM truth.weather t
        WHERE t.win = ANY(%(pinned)s::integer[]) AND t.origin = k.origin AND t.time_hour = k.time_hour LIMIT 20) w
 GROUP BY 1, 2
"""

_INSERT = f"""
INSERT INTO truth.flights_weather (win, identity, {", ".join(_TEXTS)}, {", ".join(_NUMBERS)}, weather_state,
                                   weather_reason, weather_verdict, {", ".join(MEASURES)})
SELECT %(win)s, f.*, %(verdict)s, {", ".join(f"w.{name}" for name in MEASURES)}
  FROM unnest(%(identity)s::bytea[], {", ".join(f"%({name})s::text[]" for name in _TEXTS)},
              {", ".join(f"%({name})s::integer[]" for name in _NUMBERS)}, %(state)s::text[], %(reason)s::text[])
    AS f(identity, {", ".join(_TEXTS)}, {", ".join(_NUMBERS)}, state, reason)
  LEFT JOIN LATERAL (
       SELECT * FROM truth.weather t
        WHERE f.state = 'MATCHED' AND t.win = ANY(%(pinned)s::integer[])
          AND t.origin = f.origin AND t.time_hour = f.time_hour
        ORDER BY t.report LIMIT 1) w ON true
"""

Hour = tuple[str | None, str | None]


class FlightsWithWeather(Projection):
    """truth.flights_weather: the flight, what it was joined with, and why not where it was not.

    The weather's columns are filled for MATCHED only. AMBIGUOUS: the gated reports of that hour differ, and none of
    them is chosen.
    """

    ddl: ClassVar[str] = """
CREATE TABLE truth.flights_weather (
    win integer NOT NULL,
    identity bytea NOT NULL,
    carrier text,
    flight text,
    origin text,
    dest text,
    tailnum text,
    time_hour text,
    sched_dep_time integer,
    dep_time integer,
    dep_delay integer,
    sched_arr_time integer,
    arr_time integer,
    arr_delay integer,
    air_time integer,
    distance integer,
    weather_state text NOT NULL,
    weather_reason text NOT NULL,
    weather_verdict text NOT NULL,
    temp double precision,
    dewp double precision,
    humid double precision,
    wind_dir double precision,
    wind_speed double precision,
    wind_gust double precision,
    precip double precision,
    pressure double precision,
    visib double precision,
    CONSTRAINT truth_flights_weather_unique PRIMARY KEY (win, identity),
    CONSTRAINT truth_flights_weather_state_known CHECK (weather_state IN ('MATCHED', 'MISSING', 'AMBIGUOUS')),
    -- a degraded row says why, a matched one has nothing to explain
    CONSTRAINT truth_flights_weather_reason_given CHECK ((weather_state = 'MATCHED') = (weather_reason = ''))
);
"""
    tables: ClassVar[tuple[str, ...]] = ("truth.flights_weather",)
    repeatable: ClassVar[bool] = True
    contexts: ClassVar[tuple[str, ...]] = ("weather",)

    def apply(
        self, cur: Cursor, win: WindowId, events: Sequence[AppliedEvent], pins: Mapping[str, Pin]
    ) -> Sequence[Joined | None]:
        pin = pins["weather"]
        flights = [fields(event.payload) for event in events]
        hours = [(as_text(said.get("origin")), as_text(said.get("time_hour"))) for said in flights]
        reports = _reports(cur, pin, hours)
        joined = [_joined(hour, reports.get(hour), pin) for hour in hours]
        cur.execute(
            _INSERT, {"win": win, "pinned": list(pin.wins), "verdict": pin.verdict, **_columns(events, flights, joined)}
        )
        return joined


def _reports(cur: Cursor, pin: Pin, hours: Sequence[Hour]) -> dict[Hour, tuple[int, int]]:
    """(reports, different ones) of each origin and hour that has any in the pinned window."""
    keys = {"origins": [origin for origin, _ in hours], "hours": [hour for _, hour in hours], "pinned": list(pin.wins)}
    rows = cur.execute(_CONTEXT, keys).fetchall()
    return {(row.origin, row.time_hour): (row.reports, row.different) for row in rows}


def _joined(hour: Hour, found: tuple[int, int] | None, pin: Pin) -> Joined:
    if pin.fallen:
        return Joined(ContextState.MISSING, pin.fallen)
    where = f"{hour[0] or 'no origin'} at {hour[1] or 'no hour'} in {pin.verdict}"
    if found is None:
        return Joined(ContextState.MISSING, f"no weather report for {where}")
    if found[1] > 1:
        return Joined(ContextState.AMBIGUOUS, f"{found[1]} different weather reports for {where}")
    return Joined(ContextState.MATCHED)


def _columns(
    events: Sequence[AppliedEvent], flights: Sequence[dict[str, Any]], joined: Sequence[Joined]
) -> dict[str, list[object]]:
    columns: dict[str, list[object]] = {name: [as_text(said.get(name)) for said in flights] for name in _TEXTS}
    columns |= {name: [as_integer(said.get(name)) for said in flights] for name in _NUMBERS}
    columns["identity"] = [event.identity for event in events]
    columns["state"] = [join.state.label for join in joined]
    columns["reason"] = [join.reason for join in joined]
    return columns
