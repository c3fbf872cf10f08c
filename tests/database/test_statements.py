"""Named SQL and the code that asks it, held against each other and against the real schema.

Types end where a statement's text begins: what they cannot see is read from the code here (tests/database/named_sql).
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache

import psycopg
import pytest

from stack import Stack
from tests.database.named_sql import rules
from tests.database.named_sql.following import follow
from tests.database.named_sql.texts import RUN, Statement, all_modules, all_statements, names_in_files, together
from tests.database.named_sql.things import Found, Name

#: Statements whose parameters cannot be seen, and why. One that can be seen does not belong here.
UNSEEN = {
    (("ingest", "sample", "insert_samples"),): "its columns are rows turned by zip, under a tuple of their names",
}
#: Fewer than these, and the rules have gone blind: parameters and columns held against a statement, statements whose
#: rows are read.
PARAMETERS, COLUMNS, STATEMENTS = 650, 900, 220


@cache
def found() -> Found:
    return follow(all_modules())


@pytest.fixture
def database(live: Stack) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """As the role that verbs, fsck and trials have; with a run's leaves, and nothing left of what is tried."""
    with psycopg.connect(live.env()["DATABASE_URL"], autocommit=True) as connection:
        connection.execute("SELECT ensure_run_partitions(%s)", (RUN,))
        with connection.transaction(force_rollback=True):
            yield connection


def asked_of_server(database: psycopg.Connection[tuple[object, ...]], seen: Found) -> Mapping[tuple[Name, ...], object]:
    """The columns of everything that code executes, or what the server has against it."""
    return {names: _columns(database, statement) for names, statement in _executed(seen).items()}


def _executed(seen: Found) -> dict[tuple[Name, ...], Statement]:
    texts = {asked.sql.names: together(asked.sql.names, all_statements()) for asked in seen.asked}
    return {names: statement for names, statement in texts.items() if statement is not None}


def _columns(database: psycopg.Connection[tuple[object, ...]], statement: Statement) -> tuple[str, ...] | str:
    try:
        with database.transaction():
            return statement.columns(database)
    except psycopg.Error as error:
        return str(error)


def test_every_name_is_there() -> None:
    assert rules.misspelt(found(), all_statements()) == []


def test_no_name_stands_twice() -> None:
    """Of two in one file the second would be taken; and a line that does not quite name a statement would hide it."""
    assert [twice for twice, count in Counter(names_in_files()).items() if count > 1] == []
    assert len(names_in_files()) == len(all_statements())


def test_every_statement_is_used() -> None:
    assert rules.unused(found(), all_statements()) == []


def test_every_statement_is_seen_where_it_is_executed() -> None:
    assert rules.unasked(found()) == []


def test_no_name_is_overlooked() -> None:
    """Each `sql.NAME` of a module with named SQL is met by who follows the code, whatever function it stands in."""
    seen = {sql.where for sql in found().named}
    written = [where for module, text in all_modules().items() for where in _names_in(module, text)]
    assert len(written) > 300
    assert [where for where in written if where not in seen] == []


def _names_in(module: str, text: str) -> Iterator[str]:
    if "\nsql = statements(" in text:
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "sql":
                yield f"{module}:{node.lineno}"


def test_each_is_given_its_parameters() -> None:
    assert list(rules.wrong_parameters(found(), all_statements())) == []


def test_parameters_that_cannot_be_seen_are_few() -> None:
    assert rules.unseen_parameters(found(), all_statements()) == UNSEEN.keys()
    assert rules.seen_parameters(found(), all_statements()) >= PARAMETERS


def test_format_fields_are_filled_in() -> None:
    assert rules.wrong_fields(found(), all_statements()) == []


def test_each_says_what_it_does() -> None:
    assert rules.undescribed(all_statements()) == []


def test_postgresql_plans_each_and_returns_what_is_read(database: psycopg.Connection[tuple[object, ...]]) -> None:
    answers = asked_of_server(database, found())
    assert {names: said for names, said in answers.items() if isinstance(said, str)} == {}
    columns = {names: said for names, said in answers.items() if isinstance(said, tuple)}
    assert rules.wrong_columns(found(), columns) == []
    assert len(found().reads) >= COLUMNS
    assert len({row.names for read in found().reads for row in read.rows}) >= STATEMENTS


# ---- the rules see what they are for --------------------------------------------------------------------------------

HEAD = """
from ingest.db import Cursor, retry_transaction, fetch_one, read, statements

sql = statements("ingest", "streams")
"""


def sample(text: str) -> Found:
    """A module of this text, beside the helpers of ingest/db.py."""
    seen = follow({"sample": HEAD + text, "ingest.db": all_modules()["ingest.db"]})
    assert seen.asked
    return seen


GOOD = """
def _keys(name):
    return {"name": name}

class Reading:
    def __init__(self, cur, stream):
        self._cur, self._keys = cur, {"stream": stream}

    def _rows(self, statement, **more):
        return self._cur.execute(statement, self._keys | more).fetchall()

    def names(self):
        return {row.name for row in self._rows(sql.classes)}

def newest(name, stream):
    with read() as cur:
        first = cur.execute(sql.newest_of_stream, _keys(name)).fetchone()
        other = fetch_one(cur.execute(sql.newest, {"stream": stream}))
        number, version, digest = other
    return first.id, other.version, [_shown(row) for row in cur.execute(sql.classes, {"stream": stream})]

def _shown(row):
    return row.id, row.name
"""
COLUMNS_OF_SAMPLE: rules.Columns = {
    (("ingest", "streams", "classes"),): ("id", "name"),
    (("ingest", "streams", "newest"),): ("id", "version", "digest"),
    (("ingest", "streams", "newest_of_stream"),): ("id",),
}


def complaints(text: str) -> list[str]:
    seen, named = sample(text), all_statements()
    return [
        *rules.misspelt(seen, named),
        *rules.wrong_parameters(seen, named),
        *(f"unseen: {names}" for names in rules.unseen_parameters(seen, named)),
        *rules.wrong_columns(seen, COLUMNS_OF_SAMPLE),
    ]


def test_a_module_without_faults_has_none() -> None:
    assert complaints(GOOD) == []


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("sql.newest_of_stream", "sql.newest_of_streams", "no ingest.streams.newest_of_streams"),
        ("sql.classes)}", "sql.class_es)}", "no ingest.streams.class_es"),
        ('{"name": name}', '{"nam": name}', "ingest.streams.newest_of_stream wants %(name)s"),
        ('cur, {"stream": stream}\n', 'cur, {"s": stream}\n', "ingest.streams.classes wants %(stream)s"),
        ("self._keys | more", "more", "ingest.streams.classes wants %(stream)s"),
        ('{"stream": stream}))', '{"stream": stream, "more": 1}))', "ingest.streams.newest does not want more"),
        ("_keys(name)).fetchone", "unknown(name)).fetchone", "unseen: (('ingest', 'streams', 'newest_of_stream'),)"),
        ("first.id", "first.ids", "ingest.streams.newest_of_stream returns no column ids"),
        ("other.version", "other.versions", "ingest.streams.newest returns no column versions"),
        ("return row.id, row.name", "return row.id, row.nam", "ingest.streams.classes returns no column nam"),
        ("{row.name for", "{row.names for", "ingest.streams.classes returns no column names"),
        ("number, version, digest = other", "number, version = other", "newest returns 3 columns, not 2"),
    ],
)  # fmt: skip
def test_a_fault_is_found(right: str, wrong: str, said: str) -> None:
    assert right in GOOD
    (complaint,) = complaints(GOOD.replace(right, wrong, 1))
    assert complaint.endswith(said)


def test_a_field_that_is_not_filled_in_is_found() -> None:
    head = 'fsck = statements("audit.fsck", "fsck")\n\n'
    text = f"{head}def look(cur):\n    cur.execute(fsck.truth_against_effects{{}}, keys)\n"
    assert rules.wrong_fields(sample(text.format(".format(table='t')")), all_statements()) == []
    for wrong in ("", ".format(tables='t')"):
        assert len(rules.wrong_fields(sample(text.format(wrong)), all_statements())) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("SELECT nam FROM stream", "nam"),
        ("SELECT id FROM streams WHERE name = %(name)s", "streams"),
        ("SELECT id FROM stream WHERE id = %(name)s::text", "bigint = text"),
        ("COPY {leaf} (run_ids) FROM STDIN (FORMAT BINARY)", "run_ids"),
        ("UPDATE verdict SET state = 'PASS'", "permission denied"),
    ],
)
def test_postgresql_refuses(database: psycopg.Connection[tuple[object, ...]], text: str, said: str) -> None:
    answer = _columns(database, Statement(text))
    assert isinstance(answer, str)
    assert said in answer


@pytest.mark.parametrize("comment", ["", "-- Three words only.\n", "/* Not where a reader looks. */\n"])
def test_a_statement_that_says_too_little_is_found(comment: str) -> None:
    assert rules.undescribed({("a", "b", "c"): Statement(f"{comment}SELECT 1")}) == ["a.b.c"]
    assert rules.undescribed({("a", "b", "c"): Statement("-- The number one, whatever happens.\nSELECT 1")}) == []
