"""One function, gone through line by line."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tests.database.named_sql.things import (
    NOTHING,
    Asked,
    Class,
    Code,
    Cursor,
    Instance,
    Keys,
    Many,
    Module,
    Read,
    Row,
    Space,
    Sql,
    Text,
    Tuple,
    Unpacked,
    Value,
    Variables,
    both,
    each,
    indexed,
    item,
    last_name,
    many,
    result_of,
)

if TYPE_CHECKING:
    from tests.database.named_sql.following import Follower

WORD = re.compile(r"[a-z][a-z0-9_]*")
SAME = {"sorted", "list", "tuple", "reversed", "set", "frozenset", "iter", "deque"}
ELEMENT = {"next", "min", "max"}


class Frame:
    """One function under way: what it returns is gathered, its variables are handed from line to line."""

    def __init__(self, follower: Follower, module: str) -> None:
        self.follower = follower
        self.module = module
        self.returned: Value = NOTHING
        self.yielded: Value = NOTHING
        self._inner: list[str] = []

    def body_of(self, code: Code, variables: Variables) -> Value:
        if isinstance(code.node, ast.Lambda):
            return self.value(code.node.body, variables)
        self.run(code.node.body, variables)
        for name in self._inner:  # a function inside, which may be handed to somebody who is not followed
            for inner in variables.get(name, NOTHING):
                if isinstance(inner, Code):
                    self.follower.call(inner, [], {})
        return self.returned | many(self.yielded)

    # ---- statements -------------------------------------------------------------------------------------------------

    def run(self, body: Iterable[ast.stmt], variables: Variables) -> None:
        for node in body:
            self._statement(node, variables)

    def _apart(self, variables: Variables, *bodies: Iterable[ast.stmt]) -> None:
        """Bodies of which each may be run or not: afterwards a variable holds what any of them left in it."""
        ends = [dict(variables) for _ in bodies]
        for body, end in zip(bodies, ends, strict=True):
            self.run(body, end)
        for name in {name for end in ends for name in end}:
            variables[name] = frozenset().union(*(end.get(name, NOTHING) for end in ends))

    def _statement(self, node: ast.stmt, variables: Variables) -> None:
        match node:
            case ast.FunctionDef():
                variables[node.name] = frozenset({Code(self.module, node, frozenset(variables.items()))})
                self._inner.append(node.name)
            case ast.ClassDef() | ast.Import() | ast.ImportFrom():
                pass
            case ast.Assign(targets=targets, value=value):
                found = self.value(value, variables)
                for target in targets:
                    self._bind(target, found, variables)
            case ast.AnnAssign(target=target, value=value, annotation=hint):
                found = self.value(value, variables) if value else NOTHING
                self._bind(target, found or self.follower.hinted(self.module, hint), variables)
            case ast.AugAssign(target=target, op=op, value=value):
                both = ast.BinOp(_loaded(target), op, value)
                self._bind(target, self.value(ast.copy_location(both, node), variables), variables)
            case ast.Return(value=value):
                self.returned |= self.value(value, variables) if value else NOTHING
            case ast.If(test=test, body=body, orelse=other):
                self.value(test, variables)
                self._apart(variables, body, other)
            case ast.For(target=target, iter=source, body=body, orelse=other):
                self._bind(target, each(self.value(source, variables)), variables)
                self._apart(variables, body, other)
            case ast.While(test=test, body=body, orelse=other):
                self.value(test, variables)
                self._apart(variables, body, other)
            case ast.With(items=items, body=body):
                for item in items:
                    entered = self.value(item.context_expr, variables)
                    if item.optional_vars:
                        self._bind(item.optional_vars, entered, variables)
                self.run(body, variables)
            case ast.Try(body=body, handlers=handlers, orelse=other, finalbody=final):
                self.run([*body, *other], variables)
                self._apart(variables, [], *(handler.body for handler in handlers))
                self.run(final, variables)
            case ast.Match(subject=subject, cases=cases):
                self.value(subject, variables)
                self._apart(variables, [], *(case.body for case in cases))
            case _:
                self._parts(node, variables)

    def _bind(self, target: ast.expr, value: Value, variables: Variables) -> None:
        match target:
            case ast.Name(id=name):
                variables[name] = value
            case ast.Starred(value=inner):
                self._bind(inner, NOTHING, variables)
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                whole = not any(isinstance(part, ast.Starred) for part in parts)
                for row in (x.sql for x in value if isinstance(x, Row) and whole):
                    self.follower.found.unpacked.add(Unpacked(self._where(target), len(parts), row))
                for number, part in enumerate(parts):
                    self._bind(part, item(value, number, len(parts)), variables)
            case ast.Attribute(value=owner, attr=name):
                for thing in self.value(owner, variables):
                    if isinstance(thing, Instance):
                        there = self.follower.attributes.setdefault(thing, {})
                        there[name] = there.get(name, NOTHING) | value
            case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value=str(key))):
                variables[name] = frozenset(
                    Keys(x.names | {key}, x.whole) if isinstance(x, Keys) else x for x in variables.get(name, NOTHING)
                )
            case _:
                self._parts(target, variables)

    # ---- expressions ------------------------------------------------------------------------------------------------

    def _parts(self, node: ast.AST, variables: Variables) -> Value:
        """Goes through what an expression is made of, of which nothing more is known."""
        for inner in ast.iter_child_nodes(node):
            if isinstance(inner, ast.expr):
                self.value(inner, variables)
            elif isinstance(inner, ast.keyword | ast.FormattedValue):
                self.value(inner.value, variables)
        return NOTHING

    def value(self, node: ast.expr, variables: Variables) -> Value:
        match node:
            case ast.Constant(value=str(text)):
                return frozenset({Text(text)}) if WORD.fullmatch(text) else NOTHING
            case ast.Name(id=name):
                return variables[name] if name in variables else self.follower.word(self.module, name)
            case ast.Attribute(value=owner, attr=name):
                return self._attribute(self.value(owner, variables), name, node)
            case ast.Call():
                return self._call(node, variables)
            case ast.BinOp(left=left, op=op, right=right):
                return both(op, self.value(left, variables), self.value(right, variables))
            case ast.BoolOp(values=values):
                return frozenset().union(*[self.value(x, variables) for x in values])
            case ast.IfExp(test=test, body=one, orelse=other):
                self.value(test, variables)
                return self.value(one, variables) | self.value(other, variables)
            case ast.NamedExpr(target=target, value=value):
                found = self.value(value, variables)
                self._bind(target, found, variables)
                return found
            case ast.Lambda():
                code = Code(self.module, node, frozenset(variables.items()))
                self.follower.call(code, [], {})
                return frozenset({code})
            case ast.Tuple(elts=parts):
                items = tuple(self.value(x, variables) for x in parts)
                return frozenset({Tuple(items)}) if any(items) else NOTHING
            case ast.List(elts=parts) | ast.Set(elts=parts):
                return many(frozenset().union(*[self.value(x, variables) for x in parts]))
            case ast.Dict():
                return self._dict(node, variables)
            case ast.ListComp(elt=part) | ast.SetComp(elt=part) | ast.GeneratorExp(elt=part):
                return many(self.value(part, self._generated(node.generators, variables)))
            case ast.DictComp(key=key, value=value):
                inner = self._generated(node.generators, variables)
                self.value(key, inner)
                return many(self.value(value, inner))
            case ast.Subscript(value=owner, slice=index):
                self.value(index, variables)
                return indexed(self.value(owner, variables), index)
            case ast.Starred(value=inner):
                return self.value(inner, variables)
            case ast.Yield(value=inner):
                self.yielded |= self.value(inner, variables) if inner else NOTHING
                return NOTHING
            case ast.YieldFrom(value=inner):
                self.yielded |= each(self.value(inner, variables))
                return NOTHING
        return self._parts(node, variables)

    def _generated(self, generators: Sequence[ast.comprehension], variables: Variables) -> Variables:
        inner = dict(variables)
        for part in generators:
            self._bind(part.target, each(self.value(part.iter, inner)), inner)
            for condition in part.ifs:
                self.value(condition, inner)
        return inner

    def _dict(self, node: ast.Dict, variables: Variables) -> Value:
        names, whole, held = set(), True, NOTHING
        for key, value in zip(node.keys, node.values, strict=True):
            inner = self.value(value, variables)
            if key is None:
                spread = [x for x in inner if isinstance(x, Keys)]
                names |= {name for x in spread for name in x.names}
                whole &= len(spread) == 1 and spread[0].whole
            elif isinstance(key, ast.Constant) and isinstance(key.value, str):
                names.add(key.value)
                held |= inner
            else:
                self.value(key, variables)
                whole, held = False, held | inner
        return frozenset({Keys(frozenset(names), whole, written=whole)}) | many(held)

    def _attribute(self, owner: Value, name: str, node: ast.expr) -> Value:
        self._column(owner, name, node)
        found: Value = NOTHING
        for thing in owner:
            if isinstance(thing, Space) and name != "names":
                found |= {self._named(thing, name, node)}
            elif isinstance(thing, Module):
                found |= self.follower.word(thing.name, name)
            elif isinstance(thing, Instance):
                found |= self.follower.member(thing, name)
            elif isinstance(thing, Class):
                found |= self.follower.member(Instance(thing), name)
        return found

    def _column(self, owner: Value, name: str, node: ast.expr) -> None:
        rows = frozenset(x.sql for x in owner if isinstance(x, Row))
        if rows and not name.startswith("_"):
            self.follower.found.reads.add(Read(self._where(node), name, rows))

    def _named(self, space: Space, name: str, node: ast.expr) -> Sql:
        sql = Sql(((space.package, space.file, name),), self._where(node))
        self.follower.found.named.add(sql)
        return sql

    def _where(self, node: ast.expr) -> str:
        return f"{self.module}:{node.lineno}"

    # ---- calls ------------------------------------------------------------------------------------------------------

    def _call(self, node: ast.Call, variables: Variables) -> Value:
        args = [self.value(x, variables) for x in node.args]
        named = {x.arg: self.value(x.value, variables) for x in node.keywords if x.arg}
        more = False
        for spread in (self.value(x.value, variables) for x in node.keywords if not x.arg):
            keys = [x for x in spread if isinstance(x, Keys)]
            named |= {name: NOTHING for x in keys for name in x.names}
            more |= len(keys) != 1 or not keys[0].whole
        if isinstance(node.func, ast.Attribute):
            owner = self.value(node.func.value, variables)
            done = self._method(node, owner, args, named, variables)
            if done is not None:
                return done
            called = self._attribute(owner, node.func.attr, node.func)
        else:
            called = self.value(node.func, variables)
            done = self._builtin(node, args, named)
            if done is not None:
                return done
        found: Value = NOTHING
        for thing in called:
            if isinstance(thing, Code):
                found |= self.follower.call(thing, args, named, more)
            elif isinstance(thing, Class):
                found |= {self.follower.made(thing, args, named)}
        return found

    def _method(
        self, node: ast.Call, owner: Value, args: Sequence[Value], named: Mapping[str, Value], variables: Variables
    ) -> Value | None:
        assert isinstance(node.func, ast.Attribute)
        name, target = node.func.attr, node.func.value
        asked = [x for x in args[0] if isinstance(x, Sql)] if args else []
        if name in ("execute", "copy") and asked:
            found = self._asked(node, asked, args, named, name == "copy")
            if isinstance(target, ast.Name):
                variables[target.id] = found | {x for x in owner if not isinstance(x, Cursor)}
            return found
        if name == "_replace" and any(isinstance(x, Row) for x in owner):
            return owner
        if name in ("append", "add") and isinstance(target, ast.Name) and args and args[0]:
            kept = frozenset(x for x in owner if not isinstance(x, Many))
            variables[target.id] = kept | {Many(each(owner) | args[0])}
            return NOTHING
        results = [done for x in owner if (done := result_of(x, name, args, named)) is not None]
        return frozenset().union(*results) if results else None

    def _asked(
        self, node: ast.Call, asked: Sequence[Sql], args: Sequence[Value], named: Mapping[str, Value], copied: bool
    ) -> Value:
        for sql in asked:
            given = args[1] if len(args) > 1 else named.get("params")
            here = _stands_there(node.args[0]) and any(isinstance(x, ast.Dict) for x in node.args[1:])
            keys: list[Keys | None] = [Keys(frozenset())]
            if given is not None:
                keys = [replace(x, written=x.written and here) for x in given if isinstance(x, Keys)] or [None]
            self.follower.found.asked |= {Asked(sql, x, copied) for x in keys}
        return frozenset(Cursor(sql) for sql in asked)

    def _builtin(self, node: ast.Call, args: Sequence[Value], named: Mapping[str, Value]) -> Value | None:
        match last_name(node.func), args:
            case "getattr", [owner, text, *_]:
                names = [x.text for x in text if isinstance(x, Text)]
                for name in names:
                    self._column(owner, name, node)
                spaces = [x for x in owner if isinstance(x, Space)]
                return frozenset(self._named(space, name, node) for space in spaces for name in names)
            case "statements", [_, _]:
                return frozenset({Space(_text(node.args[0]), _text(node.args[1]))})
            case "dict", []:
                return frozenset({Keys(frozenset(named))})
            case "cast", [_, value]:
                return value
            case "map", [how, *sources]:
                inner = [self.follower.call(x, [each(s) for s in sources], {}) for x in how if isinstance(x, Code)]
                return many(frozenset().union(*inner))
            case "zip", _:
                parts = tuple(each(x) for x in args)
                return many(frozenset({Tuple(parts)})) if any(parts) else NOTHING
            case "enumerate", [source, *_]:
                return many(frozenset({Tuple((NOTHING, each(source)))})) if each(source) else NOTHING
            case "filter", [_, source]:
                return many(each(source))
            case name, [source, *_] if name in SAME:
                return many(each(source))
            case name, [source, *_] if name in ELEMENT:
                return each(source)
        return None


def _stands_there(node: ast.expr) -> bool:
    """`sql.NAME`, formatted or not: the statement is named in the call itself."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
        node = node.func.value
    return isinstance(node, ast.Attribute)


def _text(node: ast.expr) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _loaded(target: ast.expr) -> ast.expr:
    """The target of `x |= y`, as something that is read."""
    copied = ast.parse(ast.unparse(target), mode="eval").body
    for inner in ast.walk(copied):
        ast.copy_location(inner, target)
    return copied
