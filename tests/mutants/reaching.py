"""A plugin of pytest: writes down, a line of JSON a test, which statements with guards and which named SQL it reached.

`PASSGATE_SURVEY_REACH` names the file to write. Each statement that holds a guard, in one of the files that
`PASSGATE_SURVEY_OF` names, tells of itself when it is reached: the statement that does so stands before it in the
module's tree, and the text stays what it is. Where no file is named nothing is written down; then the plugin only makes
what Hypothesis draws the same each time, so that a change is tried on what was seen to pass without it.
"""

from __future__ import annotations

import ast
import builtins
import importlib.abc
import importlib.machinery
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import hypothesis
import pytest

from tests.mutants.guards import changes

ROOT = Path.cwd()
FILE = os.environ.get("PASSGATE_SURVEY_REACH")
OF = frozenset(os.environ.get("PASSGATE_SURVEY_OF", "").split())
reached: set[str] = set()

hypothesis.settings.register_profile("survey", deadline=None, derandomize=True, database=None)


def telling(path: str, text: str) -> ast.Module:
    """The module's tree, with `__reached__("ingest/admit.py:12")` before each statement that holds a guard."""
    tree = _Telling({change.reached for change in changes(path, text)}, path).visit(ast.parse(text))
    assert isinstance(tree, ast.Module)
    return tree


class _Telling(ast.NodeTransformer):
    def __init__(self, names: set[str], path: str) -> None:
        self.names, self.path = names, path

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if isinstance(block, list):
                setattr(node, name, [each for statement in block for each in self._told(statement)])
        return node

    def _told(self, statement: ast.stmt) -> Iterator[ast.stmt]:
        name = f"{self.path}:{statement.lineno}"
        if name in self.names:
            call = ast.Call(ast.Name("__reached__", ast.Load()), [ast.Constant(name)], [])
            yield ast.fix_missing_locations(ast.copy_location(ast.Expr(call), statement))
        yield statement


class _Loader(importlib.machinery.SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType:
        path = Path(self.get_filename(fullname))
        text, name = path.read_text(encoding="utf-8"), str(path.relative_to(ROOT))
        tree = telling(name, text) if name in OF else ast.parse(text)
        return compile(tree, str(path), "exec", dont_inherit=True)

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        if module.__name__ == "ingest.db":
            _tell_of_sql(module)


def _tell_of_sql(db: Any) -> None:
    """Named SQL is reached when its text is asked for."""
    plain = db.statements

    class Telling:
        def __init__(self, package: str, file: str) -> None:
            self.texts, self.path = plain(package, file), f"{package}/sql/{file}.sql"

        def __getattr__(self, name: str) -> Any:
            reached.add(f"{self.path}:{name}")
            return getattr(self.texts, name)

    db.statements = Telling


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> Any:
        name = fullname.replace(".", "/")
        if fullname != "ingest.db" and OF.isdisjoint({f"{name}.py", f"{name}/__init__.py"}):
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        if spec is not None and spec.origin:
            spec.loader = _Loader(fullname, spec.origin)
        return spec


def pytest_configure(config: pytest.Config) -> None:
    hypothesis.settings.load_profile("survey")


if FILE:
    builtins.__reached__ = reached.add  # type: ignore[attr-defined]
    sys.meta_path.insert(0, _Finder())

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(item: pytest.Item) -> Iterator[Any]:
        reached.clear()
        _outcomes.clear()
        begun = time.monotonic()
        done = yield
        _write(item.nodeid, time.monotonic() - begun, _outcomes == {"passed"})
        return done

    def pytest_collection_finish(session: pytest.Session) -> None:
        """What is reached while modules are imported is reached by every test."""
        _write("", 0.0, True)

    _outcomes: set[str] = set()

    def pytest_runtest_logreport(report: pytest.TestReport) -> None:
        _outcomes.add(report.outcome)

    def _write(test: str, seconds: float, passed: bool) -> None:
        line = {"test": test, "seconds": round(seconds, 2), "passed": passed, "reached": sorted(reached)}
        with Path(str(FILE)).open("a", encoding="utf-8") as out:
            out.write(json.dumps(line) + "\n")
