"""`passgate gate`: the exit code is the answer, and a command runs on PASS only."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stack.place import PROJECT
from tests.cli.settled import passed, settle
from tests.cli.typed import Typed
from tests.flow.world import Flow, thing

Passgate = Callable[..., Typed]


def outside(*words: str, **more: str) -> subprocess.CompletedProcess[str]:
    """`passgate gate` as a process of its own."""
    environment = os.environ | {"PYTHONPATH": str(PROJECT), **more}
    command = [sys.executable, "-m", "console.cli.main", "gate", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


def test_the_codes(passgate: Passgate, flow: Flow) -> None:
    run = f"{flow.name}/r1"
    unknown = passgate(f"gate {run}")
    assert (unknown.code, unknown.out) == (2, "")
    passed(flow)
    open_ = passgate(f"gate {run}")
    assert (open_.code, open_.err) == (0, "")
    assert open_.out.startswith(f"{run}: the gate is OPEN [open]. Window 1 is PASS")
    assert passgate(f"gate {run} --window 1 --json").json["verdict"] == f"{run}#1"
    assert passgate(f"gate {run} --window 2").code == 2


def test_a_failed_run_is_one_and_nobody_waits_for_it(passgate: Passgate, monkeypatch: pytest.MonkeyPatch) -> None:
    from audit.core.gate import Code, refuse

    asked: list[Any] = []

    def failed(*given: Any) -> Any:
        asked.append(given)
        return refuse(Code.FAILED, "Window 1 is FAIL")

    monkeypatch.setattr("console.cli.gate.decide_gate", failed)
    assert passgate("gate a/b --wait 30m").code == 1
    assert len(asked) == 1
    monkeypatch.setattr("console.cli.gate.decide_gate", lambda *_: refuse(Code.UNAVAILABLE, "no"))
    assert passgate("gate a/b").code == 3


def test_a_command_runs_on_pass_only_and_its_code_is_ours(flow: Flow, tmp_path: Path) -> None:
    run, mark = f"{flow.name}/r1", tmp_path / "ran"
    flow.open("r1")
    shut = outside(run, "--", "touch", str(mark))
    assert (shut.returncode, mark.exists()) == (4, False)
    assert "not_closed" in shut.stderr
    flow.cut("r1")
    flow.judge("r1")  # its bus range ends here, and the next run's begins
    passed(flow, "r2")
    ran = outside(f"{flow.name}/r2", "--wait", "1s", "--", "sh", "-c", 'echo "out $DATABASE_URL"; exit 42')
    assert ran.returncode == 42
    assert ran.stdout.startswith("out ")
    assert "the gate is OPEN" in ran.stderr
    assert outside(f"{flow.name}/r2", "--", "no-such-command-anywhere").returncode == 127
    assert outside(f"{flow.name}/r2", "--", str(tmp_path)).returncode == 126


def test_a_command_gets_the_callers_environment_and_no_password_of_the_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    from console.cli import gate

    given: dict[str, Any] = {}
    monkeypatch.setattr(gate, "BEFORE", {"PATH": "/bin"})
    monkeypatch.setattr(gate.connections, "close_all", lambda: None)
    monkeypatch.setattr(gate.os, "execvpe", lambda file, args, env: given.update(file=file, args=args, env=env))
    gate.become(("psql", "-c", "select 1"))
    assert given == {"file": "psql", "args": ["psql", "-c", "select 1"], "env": {"PATH": "/bin"}}


def test_waiting_ends_when_the_gate_opens(passgate: Passgate, flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    from django.db import connection

    monkeypatch.setattr("console.cli.gate.PAUSES", (0.2,) * 100)
    flow.open("r1")
    flow.produce([thing(n) for n in range(3)])
    settle(flow)

    def work() -> None:
        flow.cut("r1")
        settle(flow)
        flow.judge("r1")
        connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    began = time.monotonic()
    waited = passgate(f"gate {flow.name}/r1 --wait 60s")
    thread.join()
    assert waited.code == 0
    assert time.monotonic() - began < 50
    assert waited.err.splitlines()[0].startswith("waiting: ")


def test_waiting_has_an_end(passgate: Passgate, flow: Flow) -> None:
    flow.open("r1")
    began = time.monotonic()
    assert passgate(f"gate {flow.name}/r1 --wait 1500ms").code == 4
    assert 1.4 < time.monotonic() - began < 10


def test_the_log_names_who_asked(passgate: Passgate, flow: Flow) -> None:
    from audit.models import GateDecision

    flow.open("r1")
    passgate(f"gate {flow.name}/r1 --as nightly-mart")
    assert [row.who for row in GateDecision.objects.filter(stream=flow.name)] == ["nightly-mart"]
