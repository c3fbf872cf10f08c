"""The HTTP door: 500 events a request as NDJSON, on connections that stay open, against the real web part."""

from __future__ import annotations

import itertools
from typing import Any

from trials.bench.child import parts
from trials.bench.events import Recipe, RecipeOutput, make
from trials.bench.http import Request, flat_out, token
from trials.bench.meter import Meter
from trials.bench.streams import counts, opened

EVENTS = 500
CONNECTIONS = 4
WARM = 20


def measure(topic: str, events: int) -> dict[str, Any]:
    """The bodies are made before the clock starts; each request is answered after its events' commit."""
    stream = opened(topic, http=True)
    headers = token("operator") | {"Content-Type": "application/x-ndjson"}
    path = f"/api/v1/streams/{stream.name}/events"
    sent = RecipeOutput()
    values = (record.value for record in make(Recipe(events + WARM * EVENTS), sent))
    bodies = iter(lambda: b"\n".join(itertools.islice(values, EVENTS)), b"")
    requests = [Request("POST", path, headers, body) for body in bodies]
    flat_out(requests[:WARM], CONNECTIONS)
    with Meter(parts()) as meter:
        heard = flat_out(requests[WARM:], CONNECTIONS)
    good = heard.statuses.get("200", 0) * EVENTS
    return meter.document(
        min(events, good), **heard.document(), counts=counts(stream), connections=CONNECTIONS, sent=sent.document()
    )
