"""Work until nothing is under way: a busy machine makes a publish unknown now and then, and its lane settles it."""

from __future__ import annotations

from tests.flow.world import Flow, thing


def settle(flow: Flow) -> None:
    """Every record is admitted, every admitted event published and applied, and every attempt has its outcome."""
    flow.work(seconds=5)
    flow.work_until(lambda: done(flow), seconds=60)


def done(flow: Flow) -> bool:
    behind = flow.rows(
        "SELECT 1 FROM position p JOIN stream s ON s.id = p.stream_id"
        " JOIN LATERAL (SELECT lso FROM sample WHERE source_id = p.source_id ORDER BY at DESC LIMIT 1) m ON true"
        " WHERE s.name = %(name)s AND p.lane = 'admission' AND p.next_offset < m.lso"
    )
    unsettled = {"PREPARED", "UNKNOWN", "UNDECIDABLE"} & set(flow.attempts())
    return not behind and not unsettled and flow.count("effect") == flow.count("event")


def passed(flow: Flow, run: str = "r1") -> str:
    """A run of this stream that was judged PASS."""
    flow.open(run)
    flow.produce([thing(n) for n in range(5)], run=run)
    settle(flow)
    flow.cut(run)
    settle(flow)
    verdict = flow.judge(run)
    assert verdict.verdict.state == "PASS", verdict.sentence
    return f"{flow.name}/{run}"
