"""Pages and the gate, over HTTP, on the run that the long run left."""

from __future__ import annotations

from typing import Any

from trials.bench.child import parts
from trials.bench.events import event_id
from trials.bench.http import Request, at_rate, cookie, flat_out, token
from trials.bench.meter import Meter
from trials.bench.streams import RUN, Bound, admitted_to, found

RATE = 500
CONNECTIONS = 16
MOST = 200
"""Requests of each page. One connection: what one person waits."""


def pages(stream: str, requests: int = MOST) -> dict[str, Any]:
    """Each page so often, alone; the answer is the slowest page's p95."""
    run = found(stream)
    headers = cookie("operator", "auditor")
    answers: dict[str, Any] = {}
    with Meter(parts()) as meter:
        for name, path in _paths(run).items():
            flat_out([Request("GET", path, headers)] * 3, 1)
            answers[name] = flat_out([Request("GET", path, headers)] * requests, 1).document()
    slowest = max(answers, key=lambda name: answers[name]["p95_ms"])
    total = sum(answer["requests"] for answer in answers.values())
    return meter.document(total, p95_ms=answers[slowest]["p95_ms"], slowest=slowest, pages=answers)


def gate(stream: str, seconds: float = 20.0) -> dict[str, Any]:
    """500 requests a second at fixed times, whether the last is answered or not."""
    path = f"/api/v1/gate/{stream}/{RUN}"
    request = Request("GET", path, token("operator"))
    flat_out([request] * 50, CONNECTIONS)
    with Meter(parts()) as meter:
        heard = at_rate(request, RATE, seconds, CONNECTIONS)
    return meter.document(len(heard.ms), **heard.document())


def _paths(run: Bound) -> dict[str, str]:
    here = f"/runs/{run.name}/{RUN}/"
    middle = admitted_to(run) // len(run.inbox) // 2
    wanted = event_id(middle).decode()
    return {
        "runs": "/runs/",
        "run": here,
        "receipts": f"{here}receipts",
        "receipts from the middle": f"{here}receipts?after={run.inbox[1 % len(run.inbox)]}@{middle}",
        "receipts, duplicates": f"{here}receipts?q=decision:duplicate",
        "receipts, quarantined": f"{here}receipts?q=decision:quarantined",
        "receipts, one id": f"{here}receipts?q=id:{wanted}",
        "find an event": f"/find?q={wanted}",
        "quarantine": "/quarantine/",
        "quarantine, items": f"/quarantine/?by=item&run={run.name}/{RUN}",
    }
