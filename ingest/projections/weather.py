"""The weather stream as readers see it: one row a report, and the context of the flights stream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from ingest.core.ids import WindowId
from ingest.db import Cursor
from ingest.projections import AppliedEvent, Joined, Pin, Projection, as_integer, as_number, as_text, fields

MEASURES = (
    "temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib",
)  # fmt: skip

_COLUMNS = ("identity", "origin", "time_hour", "report", *MEASURES)
_TYPES = ("bytea", "text", "text", "integer", *["double precision"] * len(MEASURES))
_INSERT = (
    f"INSERT INTO truth.weather (win, {', '.join(_COLUMNS)})\n"
    f"SELECT %(win)s, * FROM unnest({', '.join(f'%({c})s::{t}[]' for c, t in zip(_COLUMNS, _TYPES, strict=True))})"
)


class Weather(Projection):
    """truth.weather: what a station reported for one hour. A second report of an hour is a row of its own."""

    ddl: ClassVar[str] = """
CREATE TABLE truth.weather (
    win integer NOT NULL,
    identity bytea NOT NULL,
    origin text,
    time_hour text,
    report integer,
    temp double precision,
    dewp double precision,
    humid double precision,
    wind_dir double precision,
    wind_speed double precision,
    wind_gust double precision,
    precip double precision,
    pressure double precision,
    visib double precision,
    CONSTRAINT truth_weather_unique PRIMARY KEY (win, identity)
);
-- the join's key; win leads, because readers and joins always ask for one window's rows
CREATE INDEX truth_weather_hour ON truth.weather (win, origin, time_hour);
"""
    tables: ClassVar[tuple[str, ...]] = ("truth.weather",)
    repeatable: ClassVar[bool] = True

    def apply(
        self, cur: Cursor, win: WindowId, events: Sequence[AppliedEvent], pins: Mapping[str, Pin]
    ) -> Sequence[Joined | None]:
        """INSERT from arrays: COPY is not allowed where row security applies."""
        columns: dict[str, list[object]] = {name: [] for name in _COLUMNS}
        for event in events:
            values = fields(event.payload)
            columns["identity"].append(event.identity)
            columns["origin"].append(as_text(values.get("origin")))
            columns["time_hour"].append(as_text(values.get("time_hour")))
            columns["report"].append(as_integer(values.get("report")))
            for name in MEASURES:
                columns[name].append(as_number(values.get(name)))
        cur.execute(_INSERT, {"win": win, **columns})
        return [None] * len(events)
