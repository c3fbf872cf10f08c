"""What keeps dying: a store ends the stack, which then says why; a service is started ever again, ever more slowly."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from console.cli.stack import status
from stack import Stack, record
from stack.services import Beat, Control, Lanes, Watch, Web
from stack.valkey import Valkey

pytestmark = pytest.mark.usefixtures("own_services")


def _dies(stack: Stack, times: int) -> None:
    until = time.monotonic() + 60.0
    while stack.status()[0]["restarts"] < times and stack.failure is None:
        assert time.monotonic() < until
        if stack.is_up("valkey"):
            stack.kill("valkey")
        time.sleep(0.05)


def test_a_service_that_keeps_dying_does_not_end_the_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not any(part.vital for part in (Beat, Control, Lanes, Watch, Web)) and Valkey.vital
    monkeypatch.setattr(Valkey, "vital", False)
    with Stack(tmp_path / "data", ("valkey",), restart_limit=1) as stack:
        _dies(stack, 3)
        assert stack.failure is None and not stack.wait(0)
        stack.wait_up("valkey", 30)
        assert "exit -9" in stack.status()[0]["why"]


def test_a_stack_that_ended_by_itself_says_why(tmp_path: Path) -> None:
    with Stack(tmp_path / "data", ("valkey",), restart_limit=1) as stack:
        _dies(stack, 9)
        assert stack.failure is not None
    assert "valkey to stay up" in (record.last_failure(tmp_path / "data") or "")
    said = CliRunner().invoke(status, ["--data", str(tmp_path / "data")])
    assert said.exit_code == 3 and "It stopped by itself" in said.output and "valkey to stay up" in said.output
    with Stack(tmp_path / "data", ("valkey",)):
        pass
    assert record.last_failure(tmp_path / "data") is None
