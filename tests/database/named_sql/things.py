"""What a variable may hold, as far as named SQL is concerned, and what becomes of it in an expression."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

Name = tuple[str, str, str]  # package, file, statement


@dataclass(frozen=True)
class Text:
    """A word: a statement's name, maybe."""

    text: str


@dataclass(frozen=True)
class Space:
    """What `statements(package, file)` returns."""

    package: str
    file: str


@dataclass(frozen=True)
class Sql:
    """A statement, or several that are put together, and where the code names it; `filled` are its format fields."""

    names: tuple[Name, ...]
    where: str
    filled: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Keys:
    """A dictionary's keys. `whole`: it has no others. `written`: it stands in the call itself."""

    names: frozenset[str]
    whole: bool = True
    written: bool = False


@dataclass(frozen=True)
class Cursor:
    sql: Sql


@dataclass(frozen=True)
class Row:
    sql: Sql


@dataclass(frozen=True)
class Many:
    """A collection, by what is in it; of a dictionary, its values."""

    of: Value


@dataclass(frozen=True)
class Tuple:
    items: tuple[Value, ...]


@dataclass(frozen=True)
class Module:
    name: str


@dataclass(frozen=True)
class Class:
    module: str
    name: str


@dataclass(frozen=True)
class Instance:
    of: Class
    given: tuple[tuple[str, Value], ...] = ()


@dataclass(frozen=True)
class Code:
    """A function or lambda, the variables around it, and the object that it is a method of."""

    module: str
    node: ast.FunctionDef | ast.Lambda
    around: frozenset[tuple[str, Value]] = frozenset()
    bound: Instance | None = None


Thing = Text | Space | Sql | Keys | Cursor | Row | Many | Tuple | Module | Class | Instance | Code
Value = frozenset[Thing]
NOTHING: Value = frozenset()
Variables = dict[str, Value]


@dataclass(frozen=True)
class Asked:
    """A statement that is executed; `keys` None: they cannot be seen. `copied`: by COPY, which takes none."""

    sql: Sql
    keys: Keys | None
    copied: bool = False


@dataclass(frozen=True)
class Read:
    """A column that is read of a row, which may come from any of these statements."""

    where: str
    column: str
    rows: frozenset[Sql]


@dataclass(frozen=True)
class Unpacked:
    """A row that is taken apart into so many values."""

    where: str
    count: int
    row: Sql


@dataclass
class Found:
    """All that was seen."""

    named: set[Sql] = field(default_factory=set)
    asked: set[Asked] = field(default_factory=set)
    reads: set[Read] = field(default_factory=set)
    unpacked: set[Unpacked] = field(default_factory=set)


def many(of: Value) -> Value:
    return frozenset({Many(of)}) if of else NOTHING


def each(value: Value) -> Value:
    """What one goes over in a `for`."""
    found: Value = NOTHING
    for thing in value:
        if isinstance(thing, Many):
            found |= thing.of
        elif isinstance(thing, Tuple):
            found |= frozenset().union(*thing.items)
        elif isinstance(thing, Cursor):
            found |= {Row(thing.sql)}
    return found


def item(value: Value, number: int, count: int) -> Value:
    """What a target gets that takes one of `count` values."""
    exact = [x.items[number] for x in value if isinstance(x, Tuple) and len(x.items) == count]
    return frozenset().union(*exact) | each(frozenset(x for x in value if isinstance(x, Many)))


def indexed(value: Value, index: ast.expr) -> Value:
    if isinstance(index, ast.Slice):
        return frozenset(x for x in value if isinstance(x, Many))
    if isinstance(index, ast.Constant) and isinstance(index.value, int):
        parts = [x.items[index.value] for x in value if isinstance(x, Tuple) and index.value < len(x.items)]
        return frozenset().union(*parts) | each(frozenset(x for x in value if isinstance(x, Many)))
    return each(value)


def both(op: ast.operator, left: Value, right: Value) -> Value:
    """`a | b` of dictionaries, and statements put together."""
    if isinstance(op, ast.Add):
        pairs = [(x, y) for x in left for y in right if isinstance(x, Sql) and isinstance(y, Sql)]
        return frozenset(Sql(x.names + y.names, y.where) for x, y in pairs)
    if not isinstance(op, ast.BitOr):
        return NOTHING
    ours, theirs = ([x for x in side if isinstance(x, Keys)] for side in (left, right))
    joined = {Keys(x.names | y.names, x.whole and y.whole) for x in ours for y in theirs}
    if bool(ours) != bool(theirs):
        joined = {Keys(x.names, whole=False) for x in (*ours, *theirs)}
    return frozenset(joined) | frozenset(x for x in left | right if isinstance(x, Many))


def result_of(thing: Thing, name: str, args: Sequence[Value], named: Mapping[str, Value]) -> Value | None:
    """What a method of such a thing returns."""
    match thing, name:
        case Sql(), "format":
            return frozenset({replace(thing, filled=thing.filled | frozenset(named))})
        case Sql(), "encode" | "strip":
            return frozenset({thing})
        case Cursor(), "fetchall" | "fetchmany":
            return many(frozenset({Row(thing.sql)}))
        case Cursor(), "fetchone":
            return frozenset({Row(thing.sql)})
        case Many(), "get" | "pop" | "setdefault":
            return thing.of
        case Many(), "values" | "copy":
            return frozenset({thing})
        case Many(), "items":
            return many(frozenset({Tuple((NOTHING, thing.of))}))
    return None


def last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
