"""The demo does what a producer, a person and a reader could do: it imports no store and no verb, and writes no SQL."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from ingest.db import statements
from stack import Stack
from stack.place import PROJECT
from trials.demo.ledger import Ledger

MODULES = sorted((PROJECT / "trials" / "demo").glob("*.py"))
OURS = ("trials", "stack", "console", "plans", "audit", "ingest")
ALLOWED = (
    "trials.demo", "stack", "stack.place", "console.permissions", "console.cli.main", "ingest.core",
    "ingest.kafka", "ingest.db.statements",
)  # fmt: skip
WRITES = re.compile(
    r"\b(INSERT\s+INTO|UPDATE\s+\w+\s+SET|DELETE\s+FROM|TRUNCATE|COPY\s+\w+|MERGE\s+INTO)\b", re.IGNORECASE
)


def imported(source: str) -> Iterator[str]:
    """Everything a module imports, wherever in it, as dotted names."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{name.name}" for name in node.names)


def strangers(source: str) -> list[str]:
    """What a module of the demo must not import: stores, verbs, Django's ORM."""
    return [name for name in imported(source) if not _allowed(name)]


def _allowed(name: str) -> bool:
    if name.split(".")[0] == "django":
        return False
    if name.split(".")[0] not in OURS:
        return True
    return any(name == known or name.startswith(f"{known}.") for known in ALLOWED)


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_the_demo_imports_no_store(module: Path) -> None:
    source = module.read_text()
    assert strangers(source) == []
    assert "import_module" not in source
    assert not WRITES.search(source)


@pytest.mark.parametrize(
    "line",
    [
        "from ingest.models import Attempt", "import audit.models", "from ingest import publish",
        "from ingest.db import write", "from audit.close import close_run",
        "def f():\n    from django.db import connection",
    ],
)  # fmt: skip
def test_the_test_would_notice(line: str) -> None:
    assert strangers(line) != []


def test_its_sql_only_reads() -> None:
    sql = statements("trials.demo", "ledger")
    assert sql.names()
    for name in sql.names():
        text = re.sub(r"--[^\n]*", "", getattr(sql, name))
        assert text.split()[0] in ("SELECT", "WITH"), name
        assert not WRITES.search(text), name


def test_its_connection_cannot_write(live: Stack) -> None:
    with Ledger(live.env()["DATABASE_URL"]) as ledger, pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        ledger._connection.execute("UPDATE run_window SET revision = revision + 1")


def test_its_statements_run(live: Stack) -> None:
    values = {"stream": "none", "run_name": "none", "ids": [], "pid": "0", "window": 0, "rerun": 0}
    with Ledger(live.env()["DATABASE_URL"]) as ledger:
        for name in statements("trials.demo", "ledger").names():
            ledger.rows(name, **values)
