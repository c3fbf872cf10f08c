"""Names, as CONTRIBUTING.md asks for them: a class is a noun, and a local says what it holds."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

from stack.place import PROJECT

OURS = ("stack", "ingest", "audit", "plans", "console", "trials")
#: They say what was done, or where or how something is. Who reads a class that ends so has to ask: a what?
NO_NOUNS = frozenset(
    [
        "Around",
        "Became",
        "Behind",
        "Beside",
        "Due",
        "Fast",
        "Found",
        "Gone",
        "Heard",
        "Held",
        "Kept",
        "Known",
        "Missing",
        "Nothing",
        "Plain",
        "Quiet",
        "Read",
        "Said",
        "Seen",
        "Sent",
        "Shown",
        "Told",
        "Unfit",
        "Unknown",
        "Unseen",
        "Whole",
        "Written",
        "Wrong",
    ]
)
NOUNS_IN_ED = frozenset({"Feed", "Need", "Seed"})
#: Others rely on these names: authors of projections, and whoever generates a client from the OpenAPI document.
RELIED_ON = frozenset({
    "ingest.projections.base.Joined", "console.api.shapes.ContractNamed", "console.api.shapes.ItemWhole",
    "console.api.shapes.Nothing", "console.api.shapes.Whole", "console.api.shapes.Asked",
})  # fmt: skip
#: The type of a constant that has the better name.
OF_CONSTANTS = frozenset({"ingest.core.pointer.Missing"})
SAY_NOTHING = frozenset({"found", "said", "asked", "told", "each"})
"""Good for a line or two. Further down nobody remembers what was found."""
LINES = 5
FEWER_THAN = 0


@cache
def modules() -> Mapping[str, ast.Module]:
    files = [
        file for folder in OURS for file in sorted((PROJECT / folder).rglob("*.py")) if "migrations" not in file.parts
    ]
    return {_dotted(file): ast.parse(file.read_text(encoding="utf-8")) for file in files}


def _dotted(file: Path) -> str:
    return ".".join(file.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__")


def classes(trees: Mapping[str, ast.Module]) -> Iterator[tuple[str, ast.ClassDef]]:
    for module, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                yield f"{module}.{node.name}", node


def last_word(name: str) -> str:
    return re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+", name)[-1]


def is_noun(name: str) -> bool:
    word = last_word(name)
    return word not in NO_NOUNS and (not word.endswith("ed") or word in NOUNS_IN_ED)


def errors(trees: Mapping[str, ast.Module]) -> set[str]:
    """Names of what is raised: errors are named for what happened."""
    bases = {node.name: [ast.unparse(base).split(".")[-1] for base in node.bases] for _, node in classes(trees)}
    found = {name for name in bases if re.search(r"(Error|Exception|Warning)$", name)}
    while more := {
        name for name, of in bases.items() if name not in found and any(b in found or b == "Exception" for b in of)
    }:
        found |= more
    return found


def without_noun(trees: Mapping[str, ast.Module]) -> list[str]:
    raised = errors(trees)
    return sorted(name for name, node in classes(trees) if node.name not in raised and not is_noun(node.name))


def test_a_class_is_a_noun() -> None:
    assert set(without_noun(modules())) - RELIED_ON - OF_CONSTANTS == set()


def test_what_is_let_pass_is_there() -> None:
    assert {name for name, _ in classes(modules())} >= RELIED_ON | OF_CONSTANTS


@pytest.mark.parametrize(
    ("source", "seen"),
    [
        ("class Admitted: ...", ["m.Admitted"]),
        ("class LeftBehind: ...", ["m.LeftBehind"]),
        ("class _Told: ...", ["m._Told"]),
        ("class BatchResult: ...", []),
        ("class HTTPFeed: ...", []),
        ("class Refused(Exception): ...", []),
        ("class RunError(Exception): ...\nclass WindowFailed(RunError): ...", []),
    ],
)
def test_the_rule_tells_nouns_apart(source: str, seen: list[str]) -> None:
    assert without_noun({"m": ast.parse(source)}) == seen


def far_reaching(trees: Mapping[str, ast.Module]) -> list[str]:
    """`module:line name` of each local with a name that says nothing, used more than LINES below where it is bound."""
    places = []
    for module, tree in trees.items():
        for function in ast.walk(tree):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                places += [f"{module}:{line} {name}" for name, line in _far(function)]
    return places


def _far(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[tuple[str, int]]:
    lines: dict[str, list[int]] = {}
    bound: dict[str, int] = {}
    for node in _outside_comprehensions(function):
        if isinstance(node, ast.Name) and node.id in SAY_NOTHING:
            lines.setdefault(node.id, []).append(node.lineno)
            if isinstance(node.ctx, ast.Store):
                bound[node.id] = min(node.lineno, bound.get(node.id, node.lineno))
    for name, line in bound.items():
        if max(lines[name]) - line > LINES:
            yield name, line


def _outside_comprehensions(node: ast.AST) -> Iterator[ast.AST]:
    """What is bound in one ends with it, however often its name comes again."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
            yield child
            yield from _outside_comprehensions(child)


def test_a_local_s_name_reaches_no_further_than_its_meaning() -> None:
    """There were many. There may be fewer from now on: who takes one away lowers the number."""
    assert len(far_reaching(modules())) == FEWER_THAN


def test_the_rule_sees_far_reaching_names() -> None:
    far = "def f():\n    found = 1\n" + "    g()\n" * LINES + "    return found\n"
    assert far_reaching({"m": ast.parse(far)}) == ["m:2 found"]
    assert far_reaching({"m": ast.parse(far.replace("    g()\n", "", 1))}) == []
