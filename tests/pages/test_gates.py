"""What pages say of a gate is what a reader would be answered, whatever rows lie behind it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from django.test import Client

from audit import gate
from audit.enforce import decide_gate
from tests.audit.test_close import passed
from tests.audit.test_contexts import lapses
from tests.audit.test_fsck import cheat
from tests.flow.windows import run_of
from tests.flow.world import Flow, leave

if TYPE_CHECKING:
    from psycopg import Connection

pytestmark = pytest.mark.usefixtures("live")


def run_not_closed(flow: Flow) -> None:
    """Every window is open, and the run is not closed: a lease holds, and whoever asks for the run is refused."""
    spoil(flow, "UPDATE run r SET state = 'CUT', closed_at = NULL FROM stream s"
                " WHERE s.id = r.stream_id AND s.name = %s")  # fmt: skip


def gate_of_an_older_verdict(flow: Flow) -> None:
    """A lease that holds, of another verdict than the newest one."""
    spoil(flow, "UPDATE verdict v SET state = 'BLOCKED' FROM run r JOIN stream s ON s.id = r.stream_id"
                " WHERE r.id = v.run_id AND s.name = %s")  # fmt: skip


def spoil(flow: Flow, statement: str) -> None:
    connection: Connection[Any]
    with cheat(flow) as connection:
        connection.execute(statement, [flow.name])


def nothing(flow: Flow) -> None:
    """A gate that is open."""


@pytest.mark.parametrize("spoilt", [nothing, lapses, run_not_closed, gate_of_an_older_verdict])
def test_lists_and_pages_say_open_where_a_reader_is_let_in_and_nowhere_else(
    operator: Client, spoilt: Callable[[Flow], None]
) -> None:
    flow = Flow()
    assert passed(flow).verdict.state == "PASS"
    spoilt(flow)
    granted = decide_gate(flow.name, "r1", None, "mart").granted
    of_window = decide_gate(flow.name, "r1", 1, "mart").granted
    assert granted is (spoilt is nothing)
    listed = operator.get(f"/runs/?stream={flow.name}").content.decode()
    assert ("Gate OPEN" in listed, "Gate SHUT" in listed) == (granted, not granted)
    page = operator.get(f"/runs/{flow.name}/r1/gate").content.decode()
    words = [of_window, granted, of_window]  # line 2 of the header, the run, its window
    assert [word == "OPEN" for word in re.findall(r"Gate (OPEN|SHUT)", page)] == words
    leave([flow.name])


def test_a_standing_is_what_readers_are_answered_and_logs_nothing(live: object) -> None:
    from audit.models import GateDecision
    from ingest.core.ids import RunId, WindowId
    from ingest.models import Run, Window

    flow = Flow()
    passed(flow)
    run, window = Run.objects.get(stream__name=flow.name), Window.objects.get(run__stream__name=flow.name)
    of_run = gate.standing([RunId(run.id)])[RunId(run.id)]
    of_window = gate.standing_of([WindowId(window.id)])[WindowId(window.id)]
    assert not GateDecision.objects.filter(stream=flow.name).exists()
    asked = decide_gate(flow.name, "r1", None, "mart")
    assert (of_window.decision.code, of_window.decision.verdict) == (asked.code, asked.verdict)
    assert of_run.granted is asked.granted is True
    assert of_run.until == of_window.decision.open_until == asked.open_until
    assert (gate.standing([]), gate.standing_of([])) == ({}, {})
    leave([flow.name])


@pytest.mark.parametrize(
    "states",
    [["PASS"], ["PASS", "PASS"], ["PASS", "FAIL"], ["FAIL", "PASS"], ["BLOCKED", "PASS"], ["SHUT", "PASS"],
     ["PASS", "CUT"], ["PASS", "OPEN"], ["OPEN"]],
)  # fmt: skip
def test_a_run_of_several_windows_is_open_where_a_reader_is_let_in(live: object, states: list[str]) -> None:
    """Counted in one row, by the rule that readers are answered by."""
    from ingest.core.ids import RunId
    from ingest.models import Run

    flow = Flow()
    run_of(flow, states)
    asked = decide_gate(flow.name, "r1", None, "mart")
    run = RunId(Run.objects.get(stream__name=flow.name).id)
    found = gate.standing([run])[run]
    assert asked.covers is not None
    assert (found.granted, found.open, found.windows) == (asked.granted, asked.covers.open, asked.covers.windows)
    assert sorted(found.not_open) == sorted(number for number, _ in asked.covers.not_open)
    leave([flow.name])
