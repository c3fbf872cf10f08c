"""Reads from the code which steps verbs take, and where failpoints stand between them.

A *change* is a call that alters something outside of the process: SQL that writes or locks, COPY, what a producer does,
an offset commit. A *reading* takes records from Kafka. Whatever calls such a thing, through however many functions of
this project, is a *step* itself. The rules:

1. between two steps that follow each other in one block stands a failpoint;
2. a loop that takes changes has a failpoint in its body;
3. a transaction of more than one step ends with a failpoint: the point right before COMMIT.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from ingest.db import statements

ROOT = Path(__file__).parents[2]
#: Where the rules hold.
VERBS = (
    "ingest.admit.lane",
    "ingest.admit.read_ahead",
    "ingest.lanes.record_buffer",
    "ingest.lanes.partition_lane",
    "ingest.admit.http",
    "ingest.admit.redrive",
    "ingest.admit.replay",
    "ingest.publish.lane",
    "ingest.publish.attempts",
    "ingest.publish.reconcile",
    "ingest.publish.decide",
    "ingest.publish.loss",
    "ingest.publish.republish",
    "ingest.consume.lane",
    "ingest.consume.transaction",
    "ingest.consume.mending",
    "ingest.windows",
    "ingest.worker",
    "ingest.permits",
    "ingest.sample",
    "ingest.retire",
    "audit.cut",
    "audit.go_on",
    "audit.incarnations",
    "audit.pins",
    "audit.close",
    "audit.complete",
    "audit.gaps",
    "audit.gate",
    "audit.enforce",
    "audit.rerun",
    "plans.rows",
    "plans.kinds.redrive",
    "plans.kinds.replay",
    "plans.submit",
    "plans.answer",
    "plans.run",
    "plans.steer",
    "plans.expire",
)
#: Calls of Kafka's client, by the method's name: in ingest/kafka only the transaction itself is looked at.
CHANGES = {
    "init_transactions", "begin_transaction", "produce", "flush", "commit_transaction", "copy",
    "apply",  # a projection's
    "set_commits",  # Kafka's commit of a group
}  # fmt: skip
#: Methods of objects of ours whose class is not seen from the call.
THROUGH_OBJECTS = {
    "send": "ingest.kafka.producer.TransactionalProducer.send",
    "init": "ingest.kafka.producer.TransactionalProducer.init",
    "fill": "ingest.lanes.record_buffer.RecordBuffer.fill",
    "do": "plans.kinds.waive.WaivePlan.do",  # of whichever kind: each writes
    "ended": "plans.kinds.redrive.RedrivePlan.ended",
}
READINGS = {"read", "_read"}
_WRITES = re.compile(
    r"\b(INSERT|UPDATE|DELETE|COPY|pg_\w*advisory\w*|\w+_turn|end_reader|ensure_\w+)\b"
    r"|\bFOR (UPDATE|SHARE|NO KEY UPDATE)\b"
)


@dataclass
class Function:
    """One function of the project: who it calls, and whether it changes or reads anything by itself."""

    module: str
    name: str
    node: ast.FunctionDef
    within: str = ""  # its class

    @property
    def key(self) -> str:
        return ".".join(filter(None, (self.module, self.within, self.name)))


@dataclass
class Module:
    """Functions by name, what is imported, the named SQL, and each class's bases."""

    name: str
    tree: ast.Module
    functions: dict[str, Function] = field(default_factory=dict)
    imported: dict[str, str] = field(default_factory=dict)
    sql: tuple[str, str] | None = None
    bases: dict[str, list[str]] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    instances: dict[str, str] = field(default_factory=dict)  # variable or attribute: the class it was made of


@cache
def modules() -> dict[str, Module]:
    """The verbs and all that they are made of; not the pure core, which has no steps."""
    files = [file for app in ("ingest", "audit", "plans") for file in sorted((ROOT / app).rglob("*.py"))]
    found = {m.name: m for m in map(_module, files) if not OTHERS & set(m.name.split("."))}
    for module in found.values():
        module.imported = {name: _behind_face(found, target) for name, target in module.imported.items()}
    return found


OTHERS = {"core", "migrations", "fsck"}


def _behind_face(found: dict[str, Module], target: str) -> str:
    """What a package's own words stand for: ingest.admit.admit is ingest.admit.lane.admit."""
    package, _, name = target.rpartition(".")
    return found[package].imported.get(name, target) if package in found else target


def _module(file: Path) -> Module:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    name = ".".join(file.relative_to(ROOT).with_suffix("").parts)
    module = Module(name.removesuffix(".__init__"), tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            module.imported |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            module.instances |= {_name(target): _name(node.value.func) for target in node.targets}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and _name(node.value.func) == "statements":
            package, file_ = (ast.literal_eval(a) for a in node.value.args)
            module.sql = (package, file_)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            module.texts |= {_name(target): node.value.value for target in node.targets}
        if isinstance(node, ast.ClassDef):
            module.bases[node.name] = [_name(base) for base in node.bases]
    for function in _functions(module.name, tree):
        module.functions[".".join(filter(None, (function.within, function.name)))] = function
    return module


def _functions(module: str, tree: ast.AST, within: str = "") -> Iterator[Function]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef):
            yield Function(module, node.name, node, within)
        if isinstance(node, ast.ClassDef):
            yield from _functions(module, node, node.name)


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


# ---- what a call does -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Effect:
    changes: bool = False
    reads: bool = False

    def __bool__(self) -> bool:
        return self.changes or self.reads

    def __or__(self, other: Effect) -> Effect:
        return Effect(self.changes or other.changes, self.reads or other.reads)


NONE, CHANGE, READING = Effect(), Effect(changes=True), Effect(reads=True)


def effect(function: Function, node: ast.AST) -> Effect:
    """What `node`, part of `function`, does to the world: all calls in it, nested functions' bodies included."""
    return _effect(function, node, effects())


@cache
def effects() -> dict[str, Effect]:
    """What each function does, through all that it calls: worked out until nothing more is learned."""
    known = dict.fromkeys(by_key(), NONE)
    while True:
        found = {key: _effect(function, function.node, known) for key, function in by_key().items()}
        found |= {key: NONE for key, function in by_key().items() if not _seen(function)}
        if found == known:
            return found
        known = found


def _seen(function: Function) -> bool:
    """Of ingest/kafka only what sends: readers are told by the method's name, and administration changes nothing."""
    return not function.module.startswith("ingest.kafka.") or function.within in (
        "TransactionalProducer",
        "_Transaction",
    )


def _effect(function: Function, node: ast.AST, known: dict[str, Effect]) -> Effect:
    found = NONE
    for call in (n for n in ast.walk(node) if isinstance(n, ast.Call)):
        found |= _effect_of_call(function, call, known)
    return found


def _effect_of_call(function: Function, call: ast.Call, known: dict[str, Effect]) -> Effect:
    name, method = _name(call.func), isinstance(call.func, ast.Attribute)
    if any(_writes(function, argument) for argument in call.args):
        return CHANGE
    if name == "execute":
        return NONE
    called = _called(function, call)
    if called is not None and _seen(called):
        return known[called.key]
    if name in CHANGES or (method and name == "commit"):
        return CHANGE
    return READING if method and name in READINGS else NONE


@cache
def by_key() -> dict[str, Function]:
    return {f.key: f for module in modules().values() for f in module.functions.values()}


def _writes(function: Function, argument: ast.expr) -> bool:
    """Whether an argument is SQL that writes or locks, written out or by its name."""
    if isinstance(argument, ast.Call) and isinstance(argument.func, ast.Attribute) and argument.func.attr == "format":
        argument = argument.func.value  # sql.x.format(leaf=…)
    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
        return bool(_WRITES.search(argument.value))
    module = modules()[function.module]
    if isinstance(argument, ast.Name):  # _APPEND, where the statement stands in the module
        return bool(_WRITES.search(module.texts.get(argument.id, "")))
    if isinstance(argument, ast.Attribute) and _name(argument.value) == "sql" and module.sql is not None:
        return bool(_WRITES.search(_without_comments(getattr(statements(*module.sql), argument.attr))))
    return False


def _without_comments(text: str) -> str:
    return re.sub(r"--[^\n]*", "", text)


def _called(function: Function, call: ast.Call) -> Function | None:
    """The function of this project that a call names, as far as that can be seen."""
    module, target = modules()[function.module], call.func
    if isinstance(target, ast.Name):
        return _named(module, target.id)
    if not isinstance(target, ast.Attribute):
        return None
    if isinstance(target.value, ast.Name):
        if target.value.id == "self":
            return _method(module, function.within, target.attr)
        if target.value.id in module.imported:  # attempts.hold, or a class's method
            return by_key().get(f"{module.imported[target.value.id]}.{target.attr}")
    if isinstance(target.value, ast.Call):  # _Scan(...).run(), Admission(...).write_all(...)
        found = _class(module, _name(target.value.func))
        if found is not None:
            return _method(*found, target.attr)
    through = THROUGH_OBJECTS.get(target.attr)
    if through is not None and not function.module.startswith("ingest.kafka."):
        return by_key()[through]
    made = _class(module, module.instances.get(_name(target.value), ""))  # scan = _Scan(…); scan.run()
    return _method(*made, target.attr) if made else None


def _named(module: Module, name: str) -> Function | None:
    return module.functions.get(name) or by_key().get(module.imported.get(name, ""))


def _class(module: Module, name: str) -> tuple[Module, str] | None:
    if name in module.bases:
        return module, name
    owner, _, last = module.imported.get(name, "").rpartition(".")
    return (modules()[owner], last) if owner in modules() and last in modules()[owner].bases else None


def _method(module: Module, within: str, name: str) -> Function | None:
    found = module.functions.get(f"{within}.{name}")
    if found is not None:
        return found
    for base in module.bases.get(within, ()):
        there = _class(module, base)
        found = _method(*there, name) if there else None
        if found is not None:
            return found
    return None


# ---- the rules ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Missing:
    """A place where a failpoint must stand and none does."""

    where: str
    line: int
    why: str

    def __str__(self) -> str:
        return f"{self.where}:{self.line}: {self.why}"


def guarded() -> list[Function]:
    """The functions that the rules hold for: those of the verbs, and of the producer that sends."""
    names = [f for m in VERBS for f in modules()[m].functions.values()]
    return names + [f for f in modules()["ingest.kafka.producer"].functions.values()
                    if f.within in ("TransactionalProducer", "_Transaction")]  # fmt: skip


def missing(functions: Sequence[Function]) -> list[Missing]:
    return [found for function in functions for block in _blocks(function.node) for found in _check(function, block)]


def _blocks(node: ast.AST) -> Iterator[tuple[ast.AST, list[ast.stmt]]]:
    """Every sequence of statements, with what it is the body of."""
    for inner in ast.walk(node):
        for name in ("body", "orelse", "finalbody"):
            block = getattr(inner, name, None)
            if isinstance(block, list) and block and isinstance(block[0], ast.stmt):
                yield inner, block
        if isinstance(inner, ast.Try):
            if inner.finalbody:  # what is done at last follows what was done
                yield inner, [*inner.body, *inner.finalbody]
            for handler in inner.handlers:
                yield handler, handler.body


def _check(function: Function, block: tuple[ast.AST, list[ast.stmt]]) -> Iterator[Missing]:
    owner, body = block
    last: ast.stmt | None = None
    steps = 0
    for statement in body:
        if is_failpoint(statement):
            last = None
            continue
        if isinstance(statement, ast.FunctionDef) or not effect(function, statement):
            continue
        steps += 1
        if last is not None:
            yield Missing(function.key, statement.lineno, f"no failpoint after the step in line {last.lineno}")
        last = None if _never_goes_on(function, statement) else statement
    in_loop = isinstance(owner, ast.For | ast.While) and body is owner.body and _changes(function, body)
    if in_loop and not _has_failpoint(_outermost(function, owner)):
        yield Missing(function.key, body[0].lineno, "a loop that changes something has no failpoint")
    if isinstance(owner, ast.With) and _is_transaction(owner) and steps > 1 and last is not None:
        yield Missing(function.key, last.lineno, "no failpoint right before COMMIT")


def _changes(function: Function, body: list[ast.stmt]) -> bool:
    return effect(function, ast.Module(body, [])).changes


def _outermost(function: Function, loop: ast.AST) -> ast.AST:
    """The loop that `loop` lies in, if it does: trying one thing again and again is still one step."""
    for outer in ast.walk(function.node):
        if isinstance(outer, ast.For | ast.While) and any(inner is loop for inner in ast.walk(outer)):
            return outer
    return loop


def _never_goes_on(function: Function, statement: ast.stmt) -> bool:
    """An `if` whose steps all lie in branches that leave: what follows it does not follow them."""
    if not isinstance(statement, ast.If) or effect(function, statement.test):
        return False
    return all(_leaves(function, branch) for branch in (statement.body, statement.orelse))


def _leaves(function: Function, body: list[ast.stmt]) -> bool:
    if body and isinstance(body[-1], ast.Return | ast.Raise | ast.Continue | ast.Break):
        return True
    return all(not effect(function, x) or _never_goes_on(function, x) for x in body)


def _is_transaction(node: ast.With) -> bool:
    calls = [x.context_expr for x in node.items if isinstance(x.context_expr, ast.Call)]
    return any(_name(call.func) in {"write", "write_apart"} for call in calls)


def is_failpoint(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and _name(node.value.func) == "failpoint"


def _has_failpoint(node: ast.AST) -> bool:
    return any(isinstance(n, ast.stmt) and is_failpoint(n) for n in ast.walk(node))


@cache
def failpoints() -> dict[str, str]:
    """Every failpoint in the code: its name, and the function it stands in."""
    found: dict[str, str] = {}
    for function in by_key().values():
        for node in ast.walk(function.node):
            if isinstance(node, ast.stmt) and is_failpoint(node):
                name = ast.literal_eval(node.value.args[0])  # type: ignore[attr-defined]
                assert name not in found, f"{name} stands twice: in {found[name]} and in {function.key}"
                found[name] = function.key
    return found
