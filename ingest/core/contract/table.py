"""Reading one table of a contract: every key asked for by name and kind, and a fault for everything else.

A fault never stops the reading: the default stands in, so that one look at a file finds all of its faults.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Any, TypeVar

from ingest.core.contract.lines import Path
from ingest.core.errors import ContractError, RecordError

_DURATION = re.compile(r"(0|[1-9][0-9]{0,8})(ms|s|m|h|d)")
_UNITS = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SHOWN = 60

Choice = TypeVar("Choice", bound=StrEnum)
Item = TypeVar("Item")


class Faults:
    """The faults of one file, and on which line each key of it stands."""

    def __init__(self, file: str, lines: Mapping[Path, int]) -> None:
        self._file = file
        self._lines = lines
        self.errors: list[ContractError] = []

    def add(self, path: Path, found: str, write: str) -> None:
        """The line is the key's own, or that of the nearest table around it where the key is not there."""
        around = path
        while around not in self._lines:
            around = around[:-1]
        key = dotted(path)
        error = ContractError(file=self._file, line=self._lines[around], key=key, found=found, write=write)
        self.errors.append(error)


class Table:
    """One table: `values` as tomllib gives them, at `path` in the file; empty where the file has none."""

    def __init__(self, faults: Faults, path: Path, values: Mapping[str, Any]) -> None:
        self._faults = faults
        self.path = path
        self._values = values
        self._asked: list[str] = []

    def has(self, key: str) -> bool:
        return key in self._values

    def is_empty(self, key: str) -> bool:
        """Whether the file has an empty array there."""
        return self._values.get(key) == []

    def skip(self, key: str) -> None:
        """The key may be there or not; it is not, and nothing stands in for it."""
        self._asked.append(key)

    def fault_here(self, found: str, write: str) -> None:
        self._faults.add(self.path, found, write)

    def fault(self, key: str, found: str, write: str) -> None:
        self._faults.add((*self.path, key), found, write)

    def done(self) -> None:
        """Every key that nobody asked for is a fault: a misspelt limit must not silently be the default."""
        for key in self._values:
            if key in self._asked:
                continue
            near = difflib.get_close_matches(key, self._asked, 1, 0.7)
            write = f'"{near[0]}"' if near else "one of " + ", ".join(sorted(self._asked))
            self.fault(key, "a key that a contract does not have here", write)

    def table(self, key: str) -> Table:
        return Table(self._faults, (*self.path, key), self._get(key, dict, f"[{self._name(key)}]") or {})

    def tables(self, key: str) -> list[Table]:
        """Every table below `key` that is named freely: [event.NAME]."""
        return self.table(key).each()

    def each(self, beside: str = "") -> list[Table]:
        """Its own tables, which are named freely. `beside`: a key that may stand among them, and is none."""
        return [self.table(name) for name in self._values if name != beside or self.is_table(name)]

    def is_table(self, key: str) -> bool:
        return isinstance(self._values.get(key), dict)

    def names(self) -> list[str]:
        return list(self._values)

    def array(self, key: str) -> list[Table]:
        """The tables of an array of tables, `[[key]]`. An item that is no table is a fault and left out."""
        found = self._get(key, list, f"[[{self._name(key)}]]") or []
        for number, item in enumerate(found):
            if not isinstance(item, dict):
                self._faults.add((*self.path, key, number), described(item), f"[[{self._name(key)}]]")
        items = [(number, item) for number, item in enumerate(found) if isinstance(item, dict)]
        return [Table(self._faults, (*self.path, key, number), item) for number, item in items]

    def required(self, key: str, write: str) -> bool:
        """Whether the key is there; a fault if not."""
        if key not in self._values:
            self._asked.append(key)
            self.fault(key, "nothing", write)
        return key in self._values

    def text(self, key: str, pattern: str, write: str) -> str | None:
        """A string that matches `pattern` whole; `write` shows what one looks like."""
        value: str | None = self._get(key, str, f"{key} = {write}")
        if value is not None and not re.fullmatch(pattern, value):
            self.fault(key, described(value), f"{key} = {write}")
            return None
        return value

    def boolean(self, key: str, default: bool) -> bool:
        value = self._get(key, bool, f"{key} = true or {key} = false")
        return default if value is None else value

    def integer(self, key: str, default: int, low: int, high: int) -> int:
        write = f"{key} = {default}" if low == high else f"{key} = {default} (an integer from {low} to {high})"
        value = self._get(key, int, write)
        return default if value is None else self._within(key, value, default, low, high, write)

    def fraction(self, key: str, default: float) -> float:
        write = f"{key} = {default:g} (a number from 0 to 1)"
        if type(self._values.get(key)) is int:
            self._asked.append(key)
            return float(self._within(key, self._values[key], int(default), 0, 1, write))
        value = self._get(key, float, write)
        return default if value is None else self._within(key, value, default, 0.0, 1.0, write)

    def duration(self, key: str, default: timedelta | None, low: str, high: str, example: str) -> timedelta | None:
        write = f'{key} = "{example}" (a duration from {low} to {high})'
        text = self._get(key, str, write)
        if text is None:
            return default
        value = duration(text)
        if value is None or not _sure(low) <= value <= _sure(high):
            self.fault(key, described(text), write)
            return default
        return value

    def choice(self, key: str, default: Choice) -> Choice:
        kind = type(default)
        write = f"{key} = " + " or ".join(f'"{member}"' for member in kind)
        text = self._get(key, str, write)
        if text is not None and text not in list(kind):
            self.fault(key, described(text), write)
            return default
        return default if text is None else kind(text)

    def items(self, key: str, read: Callable[[str], Item], write: str, most: int = 20) -> tuple[Item, ...]:
        """An array of strings, each turned into a value by `read`, which raises RecordError; no string twice."""
        found = self._get(key, list, f"{key} = {write}") or []
        if len(found) > most:
            self.fault(key, f"{len(found)} entries", f"at most {most}")
        return tuple(
            value for number, item in enumerate(found) if (value := self._item(key, number, item, found, read, write))
        )

    def _item(
        self, key: str, number: int, item: Any, all_items: list[Any], read: Callable[[str], Item], write: str
    ) -> Item | None:
        path = (*self.path, key, number)
        if type(item) is not str:
            self._faults.add(path, described(item), f"a string, as in {key} = {write}")
        elif item in all_items[:number]:
            self._faults.add(path, f"{described(item)} a second time", "it once")
        else:
            try:
                return read(item)
            except RecordError as error:
                self._faults.add(path, described(item), error.expected)
        return None

    def pairs(self, key: str, read: Callable[[str], Item], write: str) -> tuple[tuple[Item, Item], ...]:
        """A table of strings, key and value each turned into a value by `read`; not empty."""
        found = self._get(key, dict, f"{key} = {write}") or {}
        if not found:
            self.fault(key, "nothing" if key not in self._values else "an empty table", f"{key} = {write}")
        made = [self._pair(key, ours, theirs, read, write) for ours, theirs in found.items()]
        return tuple(pair for pair in made if pair)

    def _pair(
        self, key: str, ours: str, theirs: Any, read: Callable[[str], Item], write: str
    ) -> tuple[Item, Item] | None:
        try:
            if type(theirs) is not str:
                raise RecordError(expected=f"a string, as in {key} = {write}", found=described(theirs))
            return read(ours), read(theirs)
        except RecordError as error:
            found = f"{described(ours)} = {described(theirs)}"
            self._faults.add((*self.path, key, ours), found, error.expected)
        return None

    def _get(self, key: str, kind: type, write: str) -> Any:
        self._asked.append(key)
        value = self._values.get(key)
        if value is None or type(value) is kind:
            return value
        self.fault(key, described(value), write)
        return None

    def _within(self, key: str, value: Any, default: Any, low: Any, high: Any, write: str) -> Any:
        if low <= value <= high:
            return value
        self.fault(key, described(value), write)
        return default

    def _name(self, key: str) -> str:
        return dotted((*self.path, key))


def duration(text: str) -> timedelta | None:
    """`15s`, `5m`, `400d`, `250ms`, `24h`; None for anything else."""
    found = _DURATION.fullmatch(text)
    return timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else None


def _sure(text: str) -> timedelta:
    value = duration(text)
    assert value is not None, text
    return value


def dotted(path: Path) -> str:
    """A path as people write it: notify[0].to, context.weather.on."/origin"."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += "." * bool(text) + (part if _BARE_KEY.fullmatch(part) else json.dumps(part))
    return text


def described(value: Any) -> str:
    """A value as an error shows it: what it is, cut to a line."""
    if isinstance(value, str):
        return json.dumps(value if len(value) <= _SHOWN else value[:_SHOWN] + "...", ensure_ascii=True)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"{value}"[:_SHOWN]
    names: dict[type, str] = {dict: "a table", list: "an array"}
    return names.get(type(value), "a date or time")
