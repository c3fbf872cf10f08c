"""Follows the code without running it: which named SQL is asked, with which parameters, and what is read of its rows.

Strict types say nothing of `sql.NAME`, of the keys of a dictionary, or of `row.column`. Here each function of the
project is gone through once, and again wherever it is called with something of interest: a statement, parameters, a
row, an object that holds one. What a variable may hold is a set of the few kinds of `Thing` below; of everything else
nothing is known, and what cannot be known is asked for in `Asked` as `keys=None`, never taken for right.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from tests.database.named_sql.frame import Frame
from tests.database.named_sql.things import (
    NOTHING,
    Class,
    Code,
    Found,
    Instance,
    Keys,
    Module,
    Text,
    Value,
    Variables,
    last_name,
    many,
)


@dataclass
class Source:
    """One module: its syntax tree, and what its names stand for."""

    name: str
    tree: ast.Module

    @cached_property
    def words(self) -> dict[str, ast.AST]:
        found: dict[str, ast.AST] = {}
        for node in _at_top(self.tree.body):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                found[node.name] = node
            if isinstance(node, ast.Assign):
                found |= {target.id: node.value for target in node.targets if isinstance(target, ast.Name)}
        return found

    @cached_property
    def imported(self) -> dict[str, str]:
        nodes = [node for node in ast.walk(self.tree) if isinstance(node, ast.ImportFrom) and node.module]
        return {a.asname or a.name: f"{node.module}.{a.name}" for node in nodes for a in node.names}


def _at_top(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    for node in body:
        yield node
        if isinstance(node, ast.If | ast.Try):
            yield from _at_top([*node.body, *node.orelse])


#: Calls in calls. A chain of the project's own functions is never so long.
DEEPEST = 30


def follow(sources: Mapping[str, str]) -> Found:
    """Goes through all modules, given by name with their texts."""
    follower = Follower({name: Source(name, ast.parse(text)) for name, text in sources.items()})
    for name in sources:
        follower.module(name)
    return follower.found


class Follower:
    """Calls are followed as deep as they go; one that is under way already, with the same arguments, adds nothing."""

    def __init__(self, sources: Mapping[str, Source]) -> None:
        self.sources = sources
        self.found = Found()
        self.attributes: dict[Instance, Variables] = {}
        self._answers: dict[Any, Value] = {}
        self._globals: dict[tuple[str, str], Value] = {}
        self._under_way: Counter[ast.AST] = Counter()

    def module(self, name: str) -> None:
        """Every function and method, as somebody outside would call it; and what stands at the module's top."""
        Frame(self, name).run(self.sources[name].tree.body, {})
        for node in self.sources[name].words.values():
            if isinstance(node, ast.FunctionDef):
                self.call(Code(name, node), [], {})
            if isinstance(node, ast.ClassDef):
                self._class(Class(name, node.name), node)

    def _class(self, kind: Class, node: ast.ClassDef) -> None:
        instance = self.made(kind, [], {})
        for inner in node.body:
            if isinstance(inner, ast.FunctionDef):
                self.call(Code(kind.module, inner, bound=instance), [], {})

    # ---- names ------------------------------------------------------------------------------------------------------

    def word(self, module: str, name: str) -> Value:
        """What a module's name stands for."""
        key = (module, name)
        if key not in self._globals:
            self._globals[key] = NOTHING  # while it is being looked up
            self._globals[key] = self._looked_up(module, name)
        return self._globals[key]

    def _looked_up(self, module: str, name: str) -> Value:
        source = self.sources.get(module)
        if source is None:
            return NOTHING
        node = source.words.get(name)
        if isinstance(node, ast.FunctionDef):
            return frozenset({Code(module, node)})
        if isinstance(node, ast.ClassDef):
            return frozenset({Class(module, name)})
        if node is not None:
            return Frame(self, module).value(node, {})  # type: ignore[arg-type]
        target = source.imported.get(name, f"{module}.{name}")
        if target in self.sources:
            return frozenset({Module(target)})
        owner, _, last = target.rpartition(".")
        return self.word(owner, last) if name in source.imported else NOTHING

    def class_node(self, kind: Class) -> ast.ClassDef:
        node = self.sources[kind.module].words[kind.name]
        assert isinstance(node, ast.ClassDef)
        return node

    def line(self, kind: Class) -> Iterator[Class]:
        """The class and those of ours that it comes from."""
        yield kind
        for base in self.class_node(kind).bases:
            named = Frame(self, kind.module).value(base, {})
            for above in named:
                if isinstance(above, Class) and above != kind:
                    yield from self.line(above)

    def member(self, instance: Instance, name: str) -> Value:
        """A method, what a property returns, or an attribute."""
        for kind in self.line(instance.of):
            for node in self.class_node(kind).body:
                if isinstance(node, ast.FunctionDef) and node.name == name:
                    code = Code(kind.module, node, bound=instance)
                    as_value = any(last_name(d) in ("property", "cached_property") for d in node.decorator_list)
                    return self.call(code, [], {}) if as_value else frozenset({code})
        if not instance.given:
            self.made(instance.of, [], {})
        return self.attributes.get(instance, {}).get(name, NOTHING)

    def made(self, kind: Class, args: Sequence[Value], named: Mapping[str, Value]) -> Instance:
        """An object, by what its maker is given of interest."""
        init = next(
            (
                Code(above.module, node)
                for above in self.line(kind)
                for node in self.class_node(above).body
                if isinstance(node, ast.FunctionDef) and node.name == "__init__"
            ),
            None,
        )
        fields = list(self._fields(kind)) if init is None else [(a.arg, "", None) for a in init.node.args.args[1:]]
        given = dict(zip([name for name, *_ in fields], args, strict=False)) | dict(named)
        kept = {name: _held(value) for name, value in given.items()}
        instance = Instance(kind, tuple(sorted((name, value) for name, value in kept.items() if value)))
        if instance not in self.attributes:
            self.attributes[instance] = {}
            if init is not None:
                self.call(replace(init, bound=instance), [], kept)
            for name, module, annotation in fields if init is None else ():
                self.attributes[instance][name] = kept.get(name) or self.hinted(module, annotation)
        return instance

    def _fields(self, kind: Class) -> Iterator[tuple[str, str, ast.expr | None]]:
        for above in self.line(kind):
            for node in self.class_node(above).body:
                if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                    yield node.target.id, above.module, node.annotation

    def hinted(self, module: str, hint: ast.expr | None) -> Value:
        """An object of the class that an annotation names."""
        if isinstance(hint, ast.Constant) and isinstance(hint.value, str):
            hint = ast.parse(hint.value, mode="eval").body
        if isinstance(hint, ast.BinOp):
            return self.hinted(module, hint.left) | self.hinted(module, hint.right)
        if isinstance(hint, ast.Name | ast.Attribute):
            named = Frame(self, module).value(hint, {})
            return frozenset(self.made(x, [], {}) for x in named if isinstance(x, Class))
        return NOTHING

    # ---- calls ------------------------------------------------------------------------------------------------------

    def call(self, code: Code, args: Sequence[Value], named: Mapping[str, Value], more: bool = False) -> Value:
        """What a function returns. `more`: the call brings keywords besides, which cannot be seen."""
        variables = self._bound(code, args, named, more)
        key = (code, frozenset((name, value) for name, value in variables.items() if value))
        if key not in self._answers:
            if self._under_way[code.node] > 1 or len(self._under_way) > DEEPEST:
                return NOTHING
            self._answers[key] = NOTHING
            self._under_way[code.node] += 1
            self._answers[key] = Frame(self, code.module).body_of(code, dict(code.around) | variables)
            self._under_way -= Counter([code.node])
        return self._answers[key]

    def _bound(self, code: Code, args: Sequence[Value], named: Mapping[str, Value], more: bool) -> Variables:
        taken = code.node.args
        names = [*taken.posonlyargs, *taken.args]
        fixed = isinstance(code.node, ast.FunctionDef) and any(
            last_name(d) == "staticmethod" for d in code.node.decorator_list
        )
        if code.bound is not None and not fixed:
            args = [frozenset({code.bound}), *args]
        found = dict(zip([a.arg for a in names], args, strict=False))
        rest = {
            name: value for name, value in named.items() if name not in {a.arg for a in (*names, *taken.kwonlyargs)}
        }
        found |= {name: value for name, value in named.items() if name not in rest}
        for argument in (*names, *taken.kwonlyargs):
            if not found.get(argument.arg):
                found[argument.arg] = self.hinted(code.module, argument.annotation)
        if taken.vararg is not None:
            found[taken.vararg.arg] = many(frozenset().union(*args[len(names) :]))
        if taken.kwarg is not None:
            found[taken.kwarg.arg] = frozenset({Keys(frozenset(rest), whole=not more)})
        return found


def _held(value: Value) -> Value:
    """What an object keeps of what its maker is given: of other objects only their class, so that this ends."""
    kept = (Instance(x.of) if isinstance(x, Instance) else x for x in value)
    return frozenset(x for x in kept if not isinstance(x, Code | Text))
