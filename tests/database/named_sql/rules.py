"""What must be true of named SQL and of the code that asks it: each rule says what is wrong, a line for each place."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from tests.database.named_sql.texts import Statement, together
from tests.database.named_sql.things import Found, Keys, Name, Sql

Statements = Mapping[Name, Statement]
Columns = Mapping[tuple[Name, ...], Collection[str]]
#: Fewer say nothing that the name does not.
MIN_WORDS = 4


def misspelt(found: Found, named: Statements) -> list[str]:
    """Names that are in no file."""
    return sorted(f"{sql.where}: no {_words(sql)}" for sql in found.named if not set(sql.names) <= named.keys())


def unused(found: Found, named: Statements) -> list[str]:
    """Statements that nobody asks."""
    used = {name for sql in found.named for name in sql.names}
    return sorted(".".join(name) for name in named.keys() - used)


def unasked(found: Found) -> list[str]:
    """Statements that are named, and which nothing that can be seen executes."""
    executed = {name for asked in found.asked for name in asked.sql.names}
    return sorted(f"{sql.where}: {_words(sql)}" for sql in found.named if not set(sql.names) <= executed)


def wrong_parameters(found: Found, named: Statements) -> Iterator[str]:
    """Parameters that a statement wants and is not given; and those that stand in the call and nothing wants."""
    for sql, wanted, keys in sorted(_with_parameters(found, named), key=lambda x: x[0].where):
        missing = wanted - keys.names if keys.whole else frozenset()
        more = keys.names - wanted if keys.written else frozenset()
        yield from (f"{sql.where}: {_words(sql)} wants %({name})s" for name in sorted(missing))
        yield from (f"{sql.where}: {_words(sql)} does not want {name}" for name in sorted(more))


def unseen_parameters(found: Found, named: Statements) -> set[tuple[Name, ...]]:
    """Statements whose parameters cannot be seen, wherever it is that they are asked."""
    seen = {sql for sql, wanted, keys in _with_parameters(found, named) if keys.whole or wanted <= keys.names}
    asked = {a.sql for a in found.asked if not a.copied and _wanted(a.sql, named)}
    return {sql.names for sql in asked - seen}


def seen_parameters(found: Found, named: Statements) -> int:
    """How many parameters are held against their statements, of all places together."""
    return sum(len(wanted) for _, wanted in {(sql, wanted) for sql, wanted, _ in _with_parameters(found, named)})


def _with_parameters(found: Found, named: Statements) -> Iterator[tuple[Sql, frozenset[str], Keys]]:
    for asked in found.asked:
        wanted = _wanted(asked.sql, named)
        if wanted is not None and asked.keys is not None and not asked.copied:
            yield asked.sql, wanted, asked.keys


def _wanted(sql: Sql, named: Statements) -> frozenset[str] | None:
    statement = together(sql.names, named)
    return None if statement is None else statement.parameters


def wrong_fields(found: Found, named: Statements) -> list[str]:
    """Format fields that are not filled in, or not there."""
    fields = ((asked.sql, together(asked.sql.names, named)) for asked in found.asked)
    return sorted(
        f"{sql.where}: {_words(sql)} has {sorted(statement.fields)}, is filled with {sorted(sql.filled)}"
        for sql, statement in fields
        if statement is not None and statement.fields != sql.filled
    )


def wrong_columns(found: Found, columns: Columns) -> list[str]:
    """Columns that are read of a row and that its statement does not return; rows taken apart into more or fewer."""
    read = {
        f"{read.where}: {_words(row)} returns no column {read.column}"
        for read in found.reads
        for row in read.rows
        if read.column not in columns.get(row.names, {read.column})
    }
    apart = {
        f"{each.where}: {_words(each.row)} returns {len(columns[each.row.names])} columns, not {each.count}"
        for each in found.unpacked
        if each.row.names in columns and each.count != len(columns[each.row.names])
    }
    return sorted(read | apart)


def undescribed(named: Statements) -> list[str]:
    """Statements that do not begin with a comment which says what they do."""
    return sorted(".".join(name) for name, each in named.items() if len(each.comment.split()) < MIN_WORDS)


def _words(sql: Sql) -> str:
    return " + ".join(".".join(name) for name in sql.names)
