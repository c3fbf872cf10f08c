"""Finds guards, in Python by its syntax and in named SQL by its words, and the one-line changes that take one away.

A guard is a condition that something depends on. The changes:

    leaves      an `if` whose body leaves (raise, return, continue, break) never does
    operand     one operand of `and` or `or` says nothing: it is True, or False
    bound       `<` becomes `<=`, `<=` becomes `<`, and so with `>`
    not         a `not` is dropped
    filter      the `if` of a comprehension lets everything through
    condition   in SQL, one operand of WHERE, HAVING or AND says nothing: it is true
    bound       in SQL, as in Python

A change knows its guard by file, function (or statement) and the guard's own text: no line number goes stale.
"""

from __future__ import annotations

import ast
import difflib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

LEAVES = (ast.Raise, ast.Return, ast.Continue, ast.Break)
OTHER_BOUND = {"<": "<=", "<=": "<", ">": ">=", ">=": ">"}
BOUNDS = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}
SHORT = 90
_Found = tuple[int, int, str, str, str]


@dataclass(frozen=True)
class Change:
    """One guard changed. `start` and `end` are offsets in the file's text.

    `reached` names what must happen for the change to make any difference: that an operand is what it is not made to
    be, that two sides are equal, that a statement of SQL is asked for.

    `turn` tells equal changes in one function apart: 1 is the first of them.
    """

    path: str
    function: str
    what: str
    start: int
    end: int
    new: str
    reached: str
    turn: int = 1

    @property
    def key(self) -> tuple[str, str, str, int]:
        return (self.path, self.function, self.what, self.turn)

    def applied(self, text: str) -> str:
        return text[: self.start] + self.new + text[self.end :]

    def diff(self, text: str) -> str:
        """A unified diff that `git apply` takes."""
        old, new = text.splitlines(keepends=True), self.applied(text).splitlines(keepends=True)
        return "".join(difflib.unified_diff(old, new, f"a/{self.path}", f"b/{self.path}"))


def changes(path: str, text: str) -> list[Change]:
    """Every change of the guards in a file, in the order of the text. `path` is relative to the project's root."""
    found = _in_sql(path, text) if path.endswith(".sql") else _Reader(path, text).changes()
    seen: Counter[tuple[str, ...]] = Counter()
    numbered = []
    for change in sorted(found, key=lambda change: (change.start, change.end)):
        same = (change.function, change.what)
        seen[same] += 1
        numbered.append(replace(change, turn=seen[same]))
    return numbered


def read_changes(root: Path, path: str) -> list[Change]:
    return changes(path, (root / path).read_text(encoding="utf-8"))


def _short(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= SHORT else f"{words[: SHORT - 1]}…"


# ---- Python ---------------------------------------------------------------------------------------------------------


def statement_guards(tree: ast.Module) -> Iterator[tuple[ast.stmt, str, list[ast.AST]]]:
    """(statement, function around it, nodes of the statement itself), without the statements inside it."""
    yield from _statements(tree, "")


def _statements(node: ast.AST, around: str) -> Iterator[tuple[ast.stmt, str, list[ast.AST]]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt):
            yield child, around, list(_own_nodes(child))
        inner = around
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inner = f"{around}.{child.name}" if around else child.name
        yield from _statements(child, inner)


def _own_nodes(statement: ast.stmt) -> Iterator[ast.AST]:
    yield statement
    waiting = [child for child in ast.iter_child_nodes(statement) if not _apart(child)]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(child for child in ast.iter_child_nodes(node) if not _apart(child))


def _apart(node: ast.AST) -> bool:
    """Statements have their own turn; what an annotation says is no guard."""
    return isinstance(node, ast.stmt | ast.arguments | ast.ExceptHandler)


def where(node: ast.expr) -> str:
    """The place of an expression in its file. `a` and `a and b` begin together."""
    return f"{node.lineno}.{node.col_offset}-{node.end_lineno}.{node.end_col_offset}"


def _is_not(node: ast.AST) -> bool:
    return isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)


def _asked(nodes: list[ast.AST]) -> Iterator[ast.AST]:
    """Those of which nothing counts but whether they are true."""
    waiting: list[ast.AST] = []
    for node in nodes:
        if isinstance(node, ast.If | ast.While | ast.IfExp | ast.Assert):
            waiting.append(node.test)
        elif isinstance(node, ast.comprehension):
            waiting.extend(node.ifs)
        elif isinstance(node, ast.UnaryOp) and _is_not(node):
            waiting.append(node.operand)
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.BoolOp):
            waiting.extend(node.values)


class _Reader:
    def __init__(self, path: str, text: str) -> None:
        self.path, self.text = path, text
        self.lines = text.splitlines(keepends=True)
        self.starts = [0]
        for line in self.lines:
            self.starts.append(self.starts[-1] + len(line))

    def changes(self) -> Iterator[Change]:
        for statement, function, nodes in statement_guards(ast.parse(self.text)):
            if isinstance(statement, ast.If) and "TYPE_CHECKING" in self._segment(statement.test):
                continue
            asked = set(_asked(nodes))
            for node in nodes:
                for start, end, what, new, matters in self._of(node, asked):
                    yield Change(self.path, function, what, start, end, new, f"{self.path}:{matters}")

    def _of(self, node: ast.AST, asked: set[ast.AST]) -> Iterator[_Found]:
        match node:
            case ast.If(test=test, body=[*_, last]) if isinstance(last, LEAVES):
                yield self._becomes(test, "leaves", False)
            case ast.BoolOp(op=ast.And(), values=values):
                yield from (self._becomes(value, "operand", True) for value in values[:-1])
                yield self._becomes(values[-1], "operand", True, given=node not in asked)
            case ast.BoolOp(op=ast.Or(), values=values):
                yield from (self._becomes(value, "operand", False) for value in values[:-1])
                yield self._becomes(values[-1], "operand", False, given=node not in asked)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                start, end = self._span(node)
                what = f"not: `{_short(self.text[start:end])}`"
                yield start, end, what, f"({self._segment(operand)})", f"{where(node)} evaluated"
            case ast.Compare():
                yield from self._bounds(node)
            case ast.comprehension(ifs=ifs):
                yield from (self._becomes(test, "filter", True) for test in ifs)

    def _becomes(self, node: ast.expr, kind: str, value: bool, given: bool = False) -> _Found:
        """It matters where the node is the opposite; anywhere where it is `given` as a value, and is none of True and
        False. A name that it binds is bound all the same.
        """
        start, end = self._span(node)
        segment = self.text[start:end]
        new = str(value)
        if any(isinstance(inner, ast.NamedExpr) for inner in ast.walk(node)):
            new = f"(({segment}) or True)" if value else f"(({segment}) and False)"
        anything = given and not isinstance(node, ast.Compare | ast.BoolOp) and not _is_not(node)
        matters = f"{where(node)} {'evaluated' if anything else not value}"
        return start, end, f"{kind}: `{_short(segment)}` is {value}", new, matters

    def _bounds(self, node: ast.Compare) -> Iterator[_Found]:
        """It matters where both sides are equal."""
        sides = [node.left, *node.comparators]
        for index, (left, operator, right) in enumerate(zip(sides, node.ops, sides[1:], strict=False)):
            sign = BOUNDS.get(type(operator))
            if sign is None:
                continue
            start = self.text.index(sign, self._span(left)[1], self._span(right)[0])
            whole = _short(self.text[self._span(left)[0] : self._span(right)[1]])
            what = f"bound: `{sign}` is `{OTHER_BOUND[sign]}` in `{whole}`"
            yield start, start + len(sign), what, OTHER_BOUND[sign], f"{where(node)} equal {index}"

    def _segment(self, node: ast.expr) -> str:
        start, end = self._span(node)
        return self.text[start:end]

    def _span(self, node: ast.expr) -> tuple[int, int]:
        assert node.end_lineno is not None and node.end_col_offset is not None
        return self._offset(node.lineno, node.col_offset), self._offset(node.end_lineno, node.end_col_offset)

    def _offset(self, lineno: int, column: int) -> int:
        """Of a column that the parser counts in bytes."""
        return self.starts[lineno - 1] + len(self.lines[lineno - 1].encode()[:column].decode())


# ---- SQL ------------------------------------------------------------------------------------------------------------

_NAME = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)
_TOKEN = re.compile(
    r"--[^\n]*|'(?:[^']|'')*'|\"[^\"]*\"|%\(\w+\)s|::|<>|<=|>=|!=|->>|->|@>|<@|=>|\|\||&&|[A-Za-z_]\w*|\d+|\S"
)
_OPENS = {"WHERE", "HAVING", "AND"}
_ENDS = {
    "AND", "OR", "GROUP", "ORDER", "LIMIT", "RETURNING", "UNION", "EXCEPT", "INTERSECT", "JOIN", "LEFT", "CROSS",
    "INNER", "FULL", "RIGHT", "WHERE", "ON", "THEN", "FOR", "HAVING", "WINDOW", "OFFSET", "FETCH", "LOOP", "AS", "DO",
}  # fmt: skip


def _in_sql(path: str, text: str) -> Iterator[Change]:
    named = list(_NAME.finditer(text))
    for start, end in zip(named, [*named[1:], None], strict=True):
        stop = end.start() if end else len(text)
        yield from _in_statement(path, text, start.group(1), start.end(), stop)


def _in_statement(path: str, text: str, name: str, start: int, stop: int) -> Iterator[Change]:
    tokens = [match for match in _TOKEN.finditer(text, start, stop) if not match.group().startswith("--")]
    for index, token in enumerate(tokens):
        word = token.group().upper()
        if word in OTHER_BOUND:
            new = OTHER_BOUND[word]
            whole = " ".join(each.group() for each in tokens[max(0, index - 3) : index + 4])
            what = f"bound: `{word}` is `{new}` in `{_short(whole)}`"
            yield _sql_change(path, name, token.start(), token.end(), what, new)
        elif word in _OPENS and not _of_between(tokens, index):
            last = _operand(tokens, index + 1)
            if last > index:
                begin, end = tokens[index + 1].start(), tokens[last].end()
                what = f"condition: `{_short(text[begin:end])}` is true"
                yield _sql_change(path, name, begin, end, what, "true")


def _sql_change(path: str, name: str, start: int, end: int, what: str, new: str) -> Change:
    return Change(path, name, what, start, end, new, f"{path}:{name}")


def _of_between(tokens: list[re.Match[str]], index: int) -> bool:
    """Whether this AND is the one of `x BETWEEN a AND b`."""
    depth = 0
    for token in reversed(tokens[:index]):
        word = token.group().upper()
        depth += (word == ")") - (word == "(")
        if depth < 0 or (depth == 0 and word in {"AND", "WHERE", "ON", "OR", "SELECT"}):
            return False
        if depth == 0 and word == "BETWEEN":
            return True
    return False


def _operand(tokens: list[re.Match[str]], first: int) -> int:
    """The index of the operand's last token; less than `first` where there is none."""
    depth, cases, last = 0, 0, first - 1
    for index in range(first, len(tokens)):
        word = tokens[index].group().upper()
        ends = word in _ENDS or word in {")", ";", ","}
        if ends and depth == 0 and cases == 0 and not _of_between(tokens, index):
            break
        depth += (word == "(") - (word == ")")
        cases += (word == "CASE") - (word == "END")
        last = index
    return last
