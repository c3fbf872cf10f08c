"""A verb whose transaction lost a race does the whole of it again: no lane stops for a deadlock."""

from __future__ import annotations

import ast
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from stack.place import PROJECT

#: Functions with a transaction of their own that are not under `retry_transaction`, and why.
ALONE: dict[str, str] = {}


def _functions(tree: ast.AST) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def _own(function: ast.FunctionDef) -> Iterator[ast.AST]:
    """Nodes of a function without those of functions inside it."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.FunctionDef):
            waiting.extend(ast.iter_child_nodes(node))


def _name(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _writes(function: ast.FunctionDef) -> bool:
    return any(
        isinstance(item.context_expr, ast.Call) and _name(item.context_expr.func) == "write"
        for node in _own(function)
        if isinstance(node, ast.With)
        for item in node.items
    )


def _outside_of_retry_transaction(tree: ast.AST, name: str) -> list[int]:
    """Lines where `name` is called by anything but `retry_transaction`."""
    inside = {
        id(inner)
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and _name(call.func) == "retry_transaction"
        for inner in ast.walk(call)
    }
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and _name(node.func) == name)
    return [call.lineno for call in calls if id(call) not in inside]


def _found(text: str, file: str) -> list[str]:
    tree = ast.parse(text)
    writing = [function.name for function in _functions(tree) if _writes(function)]
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and _name(node.func) == "retry_transaction"]
    handed = {_name(node) for call in calls for node in ast.walk(call)}
    return [
        f"{file}: {name}"
        for name in writing
        if f"{file}: {name}" not in ALONE and (name not in handed or _outside_of_retry_transaction(tree, name))
    ]


def test_every_transaction_that_writes_is_done_again_when_it_lost_a_race() -> None:
    found = []
    for package in ("ingest", "audit", "plans", "console", "stack"):
        for file in sorted((PROJECT / package).rglob("*.py")):
            if file.name != "db.py":
                found += _found(file.read_text(encoding="utf-8"), str(file.relative_to(PROJECT)))
    assert found == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("def a():\n    with write() as cur:\n        pass\n\ndef b():\n    retry_transaction(a)\n", []),
        ("def a():\n    with write() as cur:\n        pass\n\ndef b():\n    retry_transaction(lambda: a())\n", []),
        ("def a():\n    with write() as cur:\n        pass\n\ndef b():\n    a()\n", ["f: a"]),
        ("def a():\n    with write() as cur:\n        pass\n\ndef b():\n    retry_transaction(a)\n    a()\n", ["f: a"]),
        ("def a():\n    with write() as cur:\n        pass\n", ["f: a"]),
    ],
)
def test_the_rule_sees_what_it_is_about(text: str, found: list[str]) -> None:
    assert _found(text, "f") == found


class Rival:
    """Takes a window's row, then wants what the verb holds: once the verb wants the window, one of both must lose."""

    def __init__(self, wanted: str, keys: dict[str, object], win: int) -> None:
        from django.db import connections

        self._connection = connections["default"].copy()
        self._connection.inc_thread_sharing()
        self._wanted, self._keys, self._win = wanted, keys, win
        self._has_window = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.met = 0

    def __call__(self) -> None:
        """From within the verb's transaction. The rival's own look for a deadlock is over when the verb begins to wait:
        so PostgreSQL ends the verb's transaction and not the rival's."""
        self.met += 1
        if self.met > 1:
            return
        self._thread.start()
        assert self._has_window.wait(10)
        time.sleep(1.6)

    def _run(self) -> None:
        with self._connection.cursor() as cur:
            cur.execute("BEGIN")
            cur.execute("SELECT FROM run_window WHERE id = %s FOR UPDATE", [self._win])
            self._has_window.set()
            cur.execute(self._wanted, self._keys)
            cur.execute("ROLLBACK")

    def close(self) -> None:
        self._thread.join(20)
        self._connection.close()


def _armed(monkeypatch: pytest.MonkeyPatch, module: str, point: str, rival: Rival) -> None:
    monkeypatch.setattr(f"{module}.failpoint", lambda name: rival() if name == point else None)


POSITION = "SELECT FROM position WHERE lane = 'publish' AND source_id = %(source)s FOR UPDATE"


@pytest.mark.parametrize(
    ("module", "point", "fault"),
    [
        ("ingest.publish.lane", "prepare.after_attempt", ""),
        ("ingest.publish.lane", "acked.after_position", ""),
        ("ingest.publish.lane", "unknown.after_state", "never_sent"),
        ("ingest.publish.lane", "not_sent.after_requests", "refused"),
        ("ingest.publish.reconcile", "settle.after_queue", "answer_lost"),
    ],
)
def test_a_deadlock_stops_no_publish_lane(
    live: object, monkeypatch: pytest.MonkeyPatch, module: str, point: str, fault: str
) -> None:
    from ingest.core.outcome import Kind, Outcome
    from tests.flow import bus
    from tests.flow.world import Flow, thing

    flow = Flow()
    opened = flow.open()
    flow.produce([thing(n) for n in range(10)])
    flow.work("admission")
    rival = Rival(POSITION, {"source": flow.sources("inbox")[0]}, opened.win)
    faults: dict[str, Callable[..., Outcome]] = {
        "never_sent": bus.never_sent,
        "answer_lost": bus.answer_lost,
        "refused": lambda *_: Outcome(Kind.NOT_SENT, "_QUEUE_FULL: produce raised"),
    }
    if fault:
        bus.once(monkeypatch, faults[fault])
    _armed(monkeypatch, module, point, rival)
    stops: list[str] = []
    monkeypatch.setattr("ingest.worker.log.log", lambda *said: stops.append(str(said)))
    flow.work_until(lambda: "ACKED" in flow.attempts(), "publish", seconds=60)
    rival.close()
    assert rival.met >= 2  # the transaction was begun again
    assert not [said for said in stops if "40P01" in said or "ledger_refused" in said]
    flow.check()


def test_a_deadlock_ends_no_proof_of_a_gap(live: object, monkeypatch: pytest.MonkeyPatch) -> None:
    from audit.gaps import prove
    from tests.flow.world import Flow, thing

    flow = Flow()
    opened = flow.open()
    flow.produce([thing(n) for n in range(4)])
    flow.work("admission")
    source = flow.sources("inbox")[0]
    _leave_a_hole(flow)
    flow.produce([thing("after")])
    flow.work("admission")
    wanted = "SELECT FROM gap WHERE source_id = %(source)s FOR UPDATE"
    rival = Rival(wanted, {"source": source}, opened.win)
    _armed(monkeypatch, "audit.gaps", "gaps.after_proofs", rival)
    assert prove(opened.win) == {}
    rival.close()
    assert rival.met == 2
    states = flow.rows("SELECT DISTINCT state FROM gap WHERE source_id = %(source)s", source=source)
    assert [row.state for row in states] == ["PROVEN"]
    flow.check()


def _leave_a_hole(flow: object) -> None:
    """An aborted transaction's offsets: nothing is delivered there."""
    from ingest.kafka import TransactionalProducer

    producer = TransactionalProducer(flow.cluster, f"{flow.name}.hole")  # type: ignore[attr-defined]
    producer.init()
    inner = producer._producer
    assert inner is not None
    inner.begin_transaction()
    inner.produce(flow.inbox, b"{}", partition=0)  # type: ignore[attr-defined]
    inner.flush(10)
    inner.abort_transaction(10)
    producer.destroy()
