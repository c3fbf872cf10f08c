"""While a verdict is being counted, however long, lanes are sampled and dispatched and gates are looked at."""

from __future__ import annotations

from console.celery import app
from stack import Stack
from tests.flow.world import Flow, thing
from tests.patience import until

WATCHED = {"passgate.sample", "passgate.dispatch", "passgate.enforce"}


def test_what_gates_and_lanes_live_by_has_a_queue_of_its_own() -> None:
    def queue(task: str) -> str:
        return str(app.amqp.router.route({}, task)["queue"].name)

    assert {queue(task) for task in WATCHED} == {"watch"}
    assert queue("passgate.close") == "control" and queue("passgate.slice") == "lanes"


def test_lanes_go_on_while_judging_is_held_up(serving: Stack, flow: Flow) -> None:
    """Both processes that judge stand still, as they do for the time of a long count."""
    serving.freeze("control")
    try:
        flow.open()
        flow.produce([thing(n) for n in range(10)])
        until(lambda: flow.count("effect") == 10, 90.0, 0.2)
        newest = "SELECT max(at) AS at FROM sample WHERE source_id = ANY(%(s)s)"
        before = flow.rows(newest, s=flow.sources())[0].at
        until(lambda: flow.rows(newest, s=flow.sources())[0].at > before, 90.0, 0.2)
    finally:
        serving.thaw("control")
