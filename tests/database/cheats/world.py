"""The worlds themselves, and the values by which statements name what is in them."""

from __future__ import annotations

from typing import Any

from audit.close import window_of
from audit.enforce import decide_gate
from ingest.kafka import BusMessage, TransactionalProducer
from plans.core.plan import State
from plans.submit import submit
from tests.flow.test_behind import tell
from tests.flow.test_projections import WEATHER, report
from tests.flow.world import Flow, thing
from tests.plans.crowd import Crowd, run_to, say_yes
from tests.plans.test_waive import asked


def passed_run() -> dict[str, Any]:
    flow = Flow(quarantine_open_max=5)
    flow.open()
    flow.produce([thing(1), thing(2), thing(1), thing(2, other=True), b"not json"], headers=[("from", b"a test")])
    sender = TransactionalProducer(flow.cluster, f"{flow.name}.sender", delivery_timeout=10)
    sender.init()
    sender.send(
        flow.inbox, [BusMessage(0, b"k", thing(3), [])]
    )  # its marker is a gap, before or behind the next record
    sender.destroy()
    flow.produce([thing(4)])
    flow.work()
    flow.cut(totals={"thing": 4})
    flow.work()
    stored = flow.judge()
    assert stored.verdict.state == "PASS", stored.sentence
    assert decide_gate(flow.name, "r1", who="a reader").status == 200
    flow.open("r2")
    tell(flow)
    return values(flow)


def projected_run() -> dict[str, Any]:
    flow = Flow(contract=WEATHER)
    flow.open()
    flow.produce([report(1), report(2)])
    flow.work()
    flow.cut()
    flow.work()
    stored = flow.judge()
    assert stored.verdict.state == "PASS", stored.sentence
    return values(flow)


def values(flow: Flow) -> dict[str, Any]:
    """The numbers of the first run, its window, its stream, its contract, its inbox and the bus source with a place."""
    (row,) = flow.rows(
        "SELECT s.id AS stream, r.id AS run, w.id AS win, w.contract_id AS contract,"
        " (SELECT c.id FROM source c WHERE c.stream_id = s.id AND c.role = 'inbox') AS inbox,"
        " (SELECT min(p.bus_source_id) FROM place p JOIN source c ON c.id = p.source_id"
        "   WHERE c.stream_id = s.id) AS bus,"
        " (SELECT min(g.from_offset) FROM gap g JOIN source c ON c.id = g.source_id AND c.role = 'inbox'"
        "   WHERE c.stream_id = s.id) AS gap"
        " FROM stream s JOIN run r ON r.stream_id = s.id AND r.name = 'r1' JOIN run_window w ON w.run_id = r.id"
        " WHERE s.name = %(name)s"
    )
    return {"name": flow.name, **row._asdict()}


def waived() -> dict[str, Any]:
    """An item is open, and another person than who asked lets it stand."""
    crowd, flow = Crowd(), Flow()
    flow.open()
    flow.produce([thing(1), b"not json"])
    flow.work()
    flow.cut()
    flow.work()
    flow.judge()
    number = submit("waive", asked(flow, "QUARANTINE"), crowd.asker, "why", crowd.people)
    say_yes(crowd, number)
    run_to(crowd, number, State.DONE)
    assert flow.judge().verdict.title == "PASS (waived)"
    return {"name": flow.name, "plan": number, "win": window_of(flow.name, "r1")}
