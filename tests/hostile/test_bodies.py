"""Requests that hold no event one could tell apart: a 4xx that says why, within bounds; nothing of it is admitted."""

from __future__ import annotations

import resource

import pytest
from rest_framework.test import APIClient

from tests.flow.world import Flow
from tests.hostile.sent import JSON, client_for
from tests.hostile.table import BODIES, LIMIT, Body, thing

#: What one request may cost at most: the body packed and unpacked, its events, and the look at them.
MOST_MEMORY = 12 * LIMIT


@pytest.fixture(scope="module")
def flow(stack: object, django_db_blocker: pytest.FixtureRequest) -> Flow:
    with django_db_blocker.unblock():  # type: ignore[attr-defined]
        made = Flow(contract=JSON)
        made.open()
        return made


@pytest.fixture
def client(live: object) -> APIClient:
    return client_for("data engineer")


@pytest.mark.parametrize("body", BODIES, ids=[body.id for body in BODIES])
def test_a_body(flow: Flow, client: APIClient, body: Body) -> None:
    before, used = len(flow.receipts()), _peak()
    answer = client.generic(
        "POST", f"/api/v1/streams/{flow.name}/events", body.body, body.kind,
        **({"HTTP_CONTENT_ENCODING": body.encoding} if body.encoding else {}),
    )  # fmt: skip
    if answer.status_code == 200:
        (result,) = answer.data["results"]
        assert (body.status, body.code) == (200, result["reason"])
        assert len(flow.receipts()) == before + 1
    else:
        assert (answer.status_code, answer.data["code"]) == (body.status, body.code)
        assert len(flow.receipts()) == before
    assert _peak() - used < MOST_MEMORY
    assert _sent_after(flow, client) == 200


def _sent_after(flow: Flow, client: APIClient) -> int:
    url = f"/api/v1/streams/{flow.name}/events"
    return int(client.generic("POST", url, thing(f"after {len(flow.receipts())}"), "application/json").status_code)


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def test_few_bytes_that_dispute_large_events_are_taken_in_parts(flow: Flow, client: APIClient) -> None:
    """Comparing them all in one transaction would cost memory and outlast the lease."""
    url = f"/api/v1/streams/{flow.name}/events"
    large = [thing(f"large {n}", x="v" * 250_000) for n in range(72)]
    for part in (large[:30], large[30:60], large[60:]):
        assert client.generic("POST", url, b"\n".join(part), "application/x-ndjson").status_code == 200
    small = [thing(f"large {n}") for n in range(72)]
    answer = client.generic("POST", url, b"\n".join(small), "application/x-ndjson")
    assert (answer.status_code, answer.data["code"]) == (413, "too_many_events")
    assert client.generic("POST", url, b"\n".join(small[:60]), "application/x-ndjson").status_code == 200
    before = flow.decisions().count("QUARANTINED")
    flow.produce(small)
    flow.work("admission")
    assert flow.decisions().count("QUARANTINED") == before + 72
