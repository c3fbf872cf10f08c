"""Named statements as they stand in their files, and what PostgreSQL says of each: its rights, its columns."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import takewhile
from pathlib import Path
from typing import Any

import psycopg
from psycopg.pq import ExecStatus

from ingest.core.leaf import table_partition
from ingest.db import statements
from tests.database.named_sql.things import Name

ROOT = Path(__file__).parents[3]
APPS = ("ingest", "audit", "plans", "console", "trials")
_PARAMETER = re.compile(r"%\((\w+)\)[sbt]")
_FIELD = re.compile(r"\{([a-z_]+)\}")
_NAMED = re.compile(r"^-- *name:? *(\w+)", re.MULTILINE)
_COPY = re.compile(r"^COPY ", re.MULTILINE)

#: A run whose leaves are there (`ensure_run_partitions`).
RUN = 0
#: Real tables for the fields that code fills in; `leaf` of a statement that writes effects is another.
TABLES = {
    "leaf": table_partition("event", RUN),
    "effects": table_partition("effect", RUN),
    "table": "truth.flights_weather",
}
LEAF_OF_EFFECTS = "bus_offset, bus_batch_id, context_state"
#: What psycopg sends with the value, and the server cannot tell from the statement alone.
TYPES = {"older": "interval"}


@dataclass(frozen=True)
class Statement:
    """A statement's text; several are one where code puts them together."""

    text: str

    @cached_property
    def parameters(self) -> frozenset[str]:
        return frozenset(_PARAMETER.findall(self.text))

    @cached_property
    def fields(self) -> frozenset[str]:
        return frozenset(_FIELD.findall(self.text))

    @property
    def comment(self) -> str:
        """The comment that it begins with."""
        lines = takewhile(lambda line: line.startswith("--"), self.text.splitlines())
        return " ".join(line.removeprefix("--").strip() for line in lines)

    def columns(self, connection: psycopg.Connection[Any]) -> tuple[str, ...]:
        """The columns of its rows, as the server describes them; it is planned, so that rights are looked at too.

        Raises psycopg.Error with what the server has against it.
        """
        if _COPY.search(self.text):
            _copy_nothing(connection, self._filled())
            return ()
        if self.text.split("\n")[-1].startswith("SET "):
            connection.execute(self.text.encode())
            return ()
        query, parameters = _numbered(self._filled())
        columns = _described(connection, query, parameters)
        connection.execute(b"EXPLAIN (GENERIC_PLAN) " + query)
        return columns

    def _filled(self) -> str:
        if not self.fields:
            return self.text
        effects = {"leaf": TABLES["effects"]} if LEAF_OF_EFFECTS in self.text else {}
        return self.text.format(**{name: (TABLES | effects)[name] for name in self.fields})


def _numbered(text: str) -> tuple[bytes, list[str]]:
    """`%(name)s` as PostgreSQL's own `$1`, with a type where the server needs one; and the names in that order."""
    names = list(dict.fromkeys(_PARAMETER.findall(text)))

    def number(found: re.Match[str]) -> str:
        cast = f"::{TYPES[found[1]]}" if found[1] in TYPES else ""
        return f"${names.index(found[1]) + 1}{cast}"

    return _PARAMETER.sub(number, text).replace("%%", "%").encode(), names


def _described(connection: psycopg.Connection[Any], query: bytes, parameters: list[str]) -> tuple[str, ...]:
    server = connection.pgconn
    for answer in (server.prepare(b"", query), server.describe_prepared(b"")):
        if answer.status != ExecStatus.COMMAND_OK:
            raise psycopg.ProgrammingError(answer.get_error_message())
    assert answer.nparams == len(parameters)
    return tuple((answer.fname(number) or b"").decode() for number in range(answer.nfields))


#: Of PostgreSQL's binary COPY: the header, and the end, with no row between.
_NO_ROWS = b"PGCOPY\n\xff\r\n\x00" + bytes(8) + b"\xff\xff"


def _copy_nothing(connection: psycopg.Connection[Any], text: str) -> None:
    with connection.cursor() as cur, cur.copy(text.encode()) as copy:
        copy.write(_NO_ROWS)


def together(names: tuple[Name, ...], all_named: Mapping[Name, Statement]) -> Statement | None:
    """What code asks that puts these together; None where one is not there."""
    if any(name not in all_named for name in names):
        return None
    return Statement("".join(all_named[name].text for name in names))


def _files(ending: str) -> list[Path]:
    """Of every app; migrations have a life of their own."""
    files = (file for app in APPS for file in (ROOT / app).rglob(f"*.{ending}"))
    return sorted(file for file in files if "migrations" not in file.parts)


@cache
def all_statements() -> Mapping[Name, Statement]:
    """Every named statement of every app."""
    found: dict[Name, Statement] = {}
    for file in _files("sql"):
        package = ".".join(file.parent.relative_to(ROOT).parts)
        named = statements(package, file.stem)
        found |= {(package, file.stem, name): Statement(getattr(named, name)) for name in named.names()}
    return found


def names_in_files() -> list[tuple[str, str]]:
    """(file, name) for each line that names a statement, in order."""
    texts = {str(file.relative_to(ROOT)): file.read_text(encoding="utf-8") for file in _files("sql")}
    return [(file, name) for file, text in texts.items() for name in _NAMED.findall(text)]


@cache
def all_modules() -> Mapping[str, str]:
    """Every module of every app, by name."""
    names = {file: ".".join(file.relative_to(ROOT).with_suffix("").parts) for file in _files("py")}
    return {name.removesuffix(".__init__"): file.read_text(encoding="utf-8") for file, name in names.items()}
