"""The drill as a person runs it: a stack of its own is killed, frozen and deceived, and nothing is left of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from console.cli.check import OF_A_RUNNING_STACK
from stack.place import PROJECT
from trials.drill.faults import chosen


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_quick_drill_finds_nothing_and_leaves_nothing(own_services: None, tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key not in OF_A_RUNNING_STACK}
    words = (sys.executable, "-m", "console.cli.main", "drill", "faults", "--quick", "--json")
    done = subprocess.run(
        words, cwd=PROJECT, env=environment | {"TMPDIR": str(tmp_path)}, capture_output=True, text=True,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    told = json.loads(done.stdout)
    assert [fault["fault"] for fault in told["faults"]] == [fault.name for fault in chosen(quick=True)]
    assert all(fault["injected"] and fault["wrong"] == [] for fault in told["faults"])
    by_name = {fault["fault"]: fault for fault in told["faults"]}
    assert by_name["broker-frozen"]["unknown"] >= 1
    assert by_name["topic-recreated"]["verdicts"][-1] == "FAIL"
    assert "worker-killed" in done.stderr
    assert list(tmp_path.glob("passgate-drill-*")) == []
