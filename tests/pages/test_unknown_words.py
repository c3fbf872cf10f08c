"""A later version has stored a word that this one does not know: it is shown as it is, and does nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.types.json import Jsonb

from audit.close import window_of
from audit.core import verdict as v
from audit.enforce import decide_gate
from audit.fsck import examine
from audit.gate import standing
from audit.models import Verdict
from console.permissions import Role
from ingest.core.ids import RunId
from stack import Stack
from tests.api.caller import caller
from tests.audit.test_close import passed
from tests.cli.typed import typed
from tests.flow.world import Flow, leave
from tests.pages.conftest import Stage, signed_in
from tests.pages.test_pages import paths_of

NEW = "NEWER"


@contextmanager
def stored(table: str, changes: Mapping[str, Any], where: str, **values: Any) -> Iterator[None]:
    """Rows of a table with other values in some columns, as the rules of a later version would let be stored; as before
    afterwards."""
    from tests.conftest import STACK

    name, of = sql.Identifier(table), sql.SQL(where)
    columns = "|".join(changes)
    connecting = psycopg.connect(
        STACK.env()["PASSGATE_ADMIN_URL"], autocommit=True, cursor_factory=psycopg.ClientCursor
    )
    with connecting as connection:
        connection.execute("SET session_replication_role = replica")
        checks = connection.execute(
            "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = %s::regclass"
            " AND contype = 'c' AND pg_get_constraintdef(oid) ~ %s",
            (table, rf"\m({columns})\M"),
        ).fetchall()
        connection.execute(sql.SQL("CREATE TEMP TABLE before AS SELECT * FROM {} WHERE {}").format(name, of), values)
        for check, _ in checks:
            connection.execute(sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(name, sql.Identifier(check)))
        sets = sql.SQL(", ").join(
            sql.SQL("{} = {}").format(sql.Identifier(column), value) for column, value in changes.items()
        )
        try:
            changed = connection.execute(sql.SQL("UPDATE {} SET {} WHERE {}").format(name, sets, of), values)
            assert changed.rowcount
            yield
        finally:
            connection.execute(sql.SQL("DELETE FROM {} WHERE {}").format(name, of), values)
            again = sql.SQL("INSERT INTO {} OVERRIDING SYSTEM VALUE SELECT * FROM before").format(name)
            connection.execute(again)
            for check, said in checks:
                named = sql.Identifier(check)
                connection.execute(sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} {}").format(name, named, sql.SQL(said)))


@dataclass(frozen=True)
class Word:
    """A column of words, which of its rows are of the stage's run, and what people read where."""

    table: str
    column: str
    where: str
    read_at: str
    value: str | int = NEW
    reads: str = NEW


SOURCES = "source_id IN (SELECT c.id FROM source c JOIN stream s ON s.id = c.stream_id WHERE s.name = %(stream)s)"
BUS = f"{SOURCES} AND source_id IN (SELECT id FROM source WHERE role = 'bus')"
RUNS = "(SELECT r.id FROM run r JOIN stream s ON s.id = r.stream_id WHERE s.name = %(stream)s)"
WINDOWS = f"(SELECT x.id FROM run_window x WHERE x.run_id IN {RUNS})"
WORDS = (
    Word("run", "state", f"id IN {RUNS}", "{run}", reads="run newer"),
    Word("run_window", "state", f"run_id IN {RUNS}", "{run}windows/"),
    Word("attempt", "state", SOURCES, "/attempts/{attempt}"),
    Word("position", "lane", BUS, "{run}sources"),
    Word("plan", "state", "id = %(plan)s", "/plans/{plan}"),
    Word("plan", "kind", "id = %(plan)s", "/plans/{plan}", "newer", "newer"),
    Word("quarantine_item", "reason", f"win IN {WINDOWS}", "/quarantine/{item}", 99, "reason 99"),
    Word("receipt", "reason", f"{SOURCES} AND reason > 0", "{run}receipts?q=decision:quarantined", 99, "reason 99"),
    Word("receipt", "decision", SOURCES, "/receipts/{source}/0", 9, "decision 9"),
    Word("receipt", "flags", SOURCES, "/receipts/{source}/0", 4096, "flag 4096"),
)


def faces(stage: Stage) -> Iterator[tuple[str, int]]:
    """Where a program would ask, with the status of the answer. Words that the document does not list are in it."""
    call, name = caller("viewer"), f"{stage.stream}/runs/{stage.run}"
    for path in (
        "streams/",
        f"streams/{name}",
        f"streams/{name}/windows/",
        f"streams/{name}/checks",
        f"streams/{name}/anchors",
        f"streams/{name}/receipts/",
        f"streams/{stage.stream}/sources/",
        f"receipts/{stage.source}/0",
        f"quarantine/?stream={stage.stream}",
        f"quarantine/{stage.items[0]}",
        "attempts/",
        f"attempts/{stage.attempt}",
        "plans/",
        f"plans/{stage.plan}",
        f"plans/{stage.plan}/items/",
    ):
        yield path, call.client.get(f"/api/v1/{path}").status_code


@pytest.mark.parametrize("word", WORDS, ids=lambda each: f"{each.table}.{each.column}")
def test_a_word_of_a_later_version_breaks_no_page_and_no_answer(stage: Stage, live: Stack, word: Word) -> None:
    at = {"run": stage.path, "attempt": stage.attempt, "item": stage.items[0], "source": stage.source}
    at["plan"], operator = stage.plan, signed_in("olga", Role.OPERATOR)
    with stored(word.table, {word.column: word.value}, word.where, stream=stage.stream, plan=stage.plan):
        found = {path: operator.get(path).status_code for path in paths_of(stage)}
        assert {path: status for path, status in found.items() if status >= 500} == {}
        assert {path: status for path, status in faces(stage) if status in (404, 500)} == {}
        assert word.reads in operator.get(word.read_at.format(**at)).content.decode()
        typed(f"run show {stage.stream}/{stage.run}")
        typed(f"plan show {stage.plan}")
        examine(stage.stream, bus=False)


# ---- verdicts


@pytest.fixture
def flow(live: Stack) -> Iterator[Flow]:
    """A run that passed, whose gate is open."""
    found = Flow()
    passed(found)
    yield found
    leave([found.name])


@contextmanager
def judged_by_a_later_version(flow: Flow, *changes: Mapping[str, Any], **row: Any) -> Iterator[str]:
    """The run's PASS with these changes of its checks by name, or with further ones; its name."""
    found = Verdict.objects.get(win=window_of(flow.name, "r1"))
    body = deepcopy(found.body) | {key: value for key, value in row.items() if key == "state"}
    for change in changes:
        old = [check for check in body["checks"] if check["check"] == change["check"]]
        if old:
            old[0].update(change)
        else:
            body["checks"].append(dict(change))
            body["not_listed"] = [x for x in body["not_listed"] if x["check"] != change["check"]]
    columns = {"body": sql.Literal(Jsonb(body)), "digest": sql.Literal(v.digest(body)), **row}
    with stored("verdict", columns, "id = %(id)s", id=found.pk):
        yield f"{flow.name}/r1#{found.number}"


SEALED = {
    "check": "SEALED", "state": "HOLDS", "required": "a seal that nobody here knows", "observed": "a seal",
    "causes": [], "source": "ledger", "measured_at": "2026-11-30T12:00:00.000000Z",
}  # fmt: skip
CHANGES = {
    "a check": (SEALED, "SEALED"),
    "a check's state": ({"check": "APPLIED", "state": NEW}, NEW),
    "what it follows from": ({"check": "APPLIED", "follows_from": NEW}, NEW),
    "how bad it is": ({"check": "APPLIED", "state": "BROKEN", "severity": NEW}, NEW),
}


@pytest.mark.parametrize(("change", "word"), CHANGES.values(), ids=CHANGES)
def test_a_verdict_of_a_later_version_is_shown_as_it_is(flow: Flow, change: Mapping[str, Any], word: str) -> None:
    operator, call, run = signed_in("olga", Role.OPERATOR), caller("viewer"), f"{flow.name}/r1"
    with judged_by_a_later_version(flow, change) as name:
        number = name.rpartition("#")[2]
        for path in ("/", "/runs/", f"/runs/{run}/", f"/runs/{run}/windows/1/", f"/runs/{run}/gate"):
            assert operator.get(path).status_code == 200, path
        page = operator.get(f"/runs/{run}/verdicts/{number}").content.decode()
        assert word in page and f"this one does not know {word}" in page
        assert ("a seal that nobody here knows" in page) is (word == "SEALED")
        assert f"{len(_holding(flow))} hold" in page, "what nobody here knows counts as nothing that holds"
        for path in (f"streams/{flow.name}/runs/r1", f"streams/{flow.name}/runs/r1/verdicts/{number}"):
            assert call("GET", path).status_code == 200, path
        assert typed(f"run show {run}").code == 0
        decide_gate(flow.name, "r1", who="a reader")  # by the row, which the database has held to the later rules
        report = examine(flow.name, bus=False, names={"passes"})
        unseen = [f"{name} was not looked at: this version does not know {word} of it"]
        assert (report.findings, [str(each) for each in report.unseen]) == ((), unseen), "fsck exits with 3"


def _holding(flow: Flow) -> list[str]:
    body = Verdict.objects.get(win=window_of(flow.name, "r1")).body
    known = {"SEALED"}
    return [x["check"] for x in body["checks"] if x["state"] == "HOLDS" and x["check"] not in known]


def test_a_verdict_of_a_state_of_a_later_version_is_no_pass(flow: Flow) -> None:
    operator, run = signed_in("olga", Role.OPERATOR), f"{flow.name}/r1"
    assert decide_gate(flow.name, "r1", who="a reader").granted
    with judged_by_a_later_version(flow, state=NEW) as name:
        number = name.rpartition("#")[2]
        for path in ("/", "/runs/", f"/runs/{run}/", f"/runs/{run}/windows/", f"/runs/{run}/verdicts/{number}"):
            page = operator.get(path)
            assert page.status_code == 200, path
        assert NEW in page.content.decode()
        assert not decide_gate(flow.name, "r1", who="a reader").granted
        found = Verdict.objects.get(win=window_of(flow.name, "r1"))
        stands = standing([RunId(found.run_id)])[RunId(found.run_id)]
        assert (stands.passed, stands.worst, stands.granted) == (0, "BLOCKED", False)
        assert typed(f"run show {run}").code == 0
