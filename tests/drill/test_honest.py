"""The drill imports no store and no verb, and its SQL only reads."""

from __future__ import annotations

import re

import pytest

from ingest.db import statements
from stack import Stack
from stack.place import PROJECT
from tests.demo.test_honest import ALLOWED, WRITES, imported
from trials.drill.looking import Looks

MODULES = sorted((PROJECT / "trials" / "drill").glob("*.py"))
OURS = ("trials", "stack", "console", "plans", "audit", "ingest")
MAY = (*ALLOWED, "trials.drill")


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_the_drill_imports_no_store(module: object) -> None:
    source = module.read_text()  # type: ignore[attr-defined]
    own = [name for name in imported(source) if name.split(".")[0] in (*OURS, "django")]
    assert [name for name in own if not any(name == known or name.startswith(f"{known}.") for known in MAY)] == []
    assert not WRITES.search(source)


def test_its_sql_only_reads_and_runs(live: Stack) -> None:
    sql, looks = statements("trials.drill", "drill"), Looks(live.env()["DATABASE_URL"], "none")
    assert sql.names()
    for name in sql.names():
        text = re.sub(r"--[^\n]*", "", getattr(sql, name))
        assert text.split()[0] == "SELECT"
        assert not WRITES.search(text)
        looks.rows(name)
