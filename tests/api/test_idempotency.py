"""Idempotency keys: one key, one act, one answer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.flow.world import Flow

if TYPE_CHECKING:
    from tests.api.caller import Caller

Call = Callable[..., "Caller"]
BECAUSE = {"resolution": "DISCARDED", "reason": "a test record"}


def items(flow: Flow, caller: Caller, count: int = 1) -> list[int]:
    flow.open("r1")
    flow.produce([b"x%d" % n for n in range(count)], run="r1")
    flow.work("admission")
    return [item["item"] for item in caller.pages(f"quarantine/?stream={flow.name}&run=r1")]


def test_the_same_request_is_done_once_and_answered_twice(call: Call, flow: Flow) -> None:
    from ingest.models import AuditLog

    ana = call("operator")
    (item,) = items(flow, ana)
    first = ana.post(f"quarantine/{item}/resolve", BECAUSE, key="k-1")
    again = ana.post(f"quarantine/{item}/resolve", dict(reversed(BECAUSE.items())), key="k-1")
    assert (first.status_code, again.status_code) == (200, 200)
    assert again.json() == first.json()
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert AuditLog.objects.filter(subject=f"{flow.name}/r1", act="quarantine.resolve").count() == 1


def test_a_key_is_of_one_request_and_one_person(call: Call, flow: Flow) -> None:
    ana, bob = call("operator"), call("operator")
    one, two = items(flow, ana, 2)
    ana.post(f"quarantine/{one}/resolve", BECAUSE, key="k-1")
    other_body = ana.post(f"quarantine/{one}/resolve", BECAUSE | {"reason": "another"}, key="k-1")
    other_path = ana.post(f"quarantine/{two}/resolve", BECAUSE, key="k-1")
    for refused in (other_body, other_path):
        assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_key_reused")
    assert bob.post(f"quarantine/{two}/resolve", BECAUSE, key="k-1").status_code == 200


def test_a_refusal_is_kept_and_what_may_change_is_not(call: Call, flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    ana = call("operator")
    flow.open("r1")
    path = f"streams/{flow.name}/runs/r1"
    assert ana.post(f"{path}/close", key="early").json()["code"] == "not_cut"
    ana.post(f"{path}/cut")
    assert ana.post(f"{path}/close", key="early").json()["code"] == "not_cut"

    from ingest.core.errors import BrokerError

    def gone(*_: Any, **__: Any) -> None:
        raise BrokerError(found="no answer")

    with monkeypatch.context() as patch:
        patch.setattr("console.api.runs.close_run", gone)
        assert ana.post(f"{path}/close", key="later").status_code == 503
    assert ana.post(f"{path}/close", key="later").status_code == 200


def test_the_location_of_a_202_is_kept(call: Call, scene: Flow) -> None:
    ana = call("operator")
    attempt = ana.pages(f"attempts/?stream={scene.name}&run=r1&state=UNKNOWN")[0]["attempt"]
    first = ana.post(f"attempts/{attempt}/reconcile", key="once")
    again = ana.post(f"attempts/{attempt}/reconcile", key="once")
    assert (again.status_code, again.headers["Location"]) == (202, first.headers["Location"])


def test_while_the_first_is_running_the_second_is_refused(
    call: Call, flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    import console.api.runs as runs

    ana = call("operator")
    flow.open("r1")
    started, go_on, answers = threading.Event(), threading.Event(), list[int]()
    real = runs.cut_run

    def slow(*given: Any) -> Any:
        started.set()
        assert go_on.wait(10)
        return real(*given)

    monkeypatch.setattr(runs, "cut_run", slow)

    def first() -> None:
        from django.db import connection

        answers.append(ana.post(f"streams/{flow.name}/runs/r1/cut", key="one").status_code)
        connection.close()

    thread = threading.Thread(target=first)
    thread.start()
    assert started.wait(10)
    second = ana.post(f"streams/{flow.name}/runs/r1/cut", key="one")
    go_on.set()
    thread.join(20)
    assert (second.status_code, second.json()["code"], second.json()["retry"]) == (409, "idempotency_key_running", True)
    assert answers == [200]
    assert ana.post(f"streams/{flow.name}/runs/r1/cut", key="one").headers["Idempotency-Replayed"] == "true"


def test_an_abandoned_key_is_taken_over(call: Call, flow: Flow) -> None:
    from django.utils import timezone

    from console.api.idempotency import ABANDONED
    from console.models import IdempotencyKey

    ana = call("operator")
    flow.open("r1")
    ana.post(f"streams/{flow.name}/runs/r1/cut", key="dead")
    row = IdempotencyKey.objects.filter(user=ana.user, key="dead")
    row.update(status=None, body=None)
    assert ana.post(f"streams/{flow.name}/runs/r1/cut", key="dead").status_code == 409
    row.update(started_at=timezone.now() - ABANDONED - timedelta(seconds=1))
    assert ana.post(f"streams/{flow.name}/runs/r1/cut", key="dead").status_code == 200


def test_keys_age(call: Call, flow: Flow) -> None:
    from django.utils import timezone

    from console.api.idempotency import KEPT
    from console.models import IdempotencyKey

    ana = call("operator")
    flow.open("r1")
    ana.post(f"streams/{flow.name}/runs/r1/cut", key="old")
    IdempotencyKey.objects.filter(user=ana.user).update(started_at=timezone.now() - KEPT - timedelta(seconds=1))
    answer = ana.post(f"streams/{flow.name}/runs/r1/cut", key="old")
    assert answer.status_code == 200
    assert "Idempotency-Replayed" not in answer.headers
    assert IdempotencyKey.objects.filter(user=ana.user).count() == 1


@pytest.mark.parametrize("key", [" ", "a b", "x" * 256])
def test_a_key_that_cannot_be_one(call: Call, flow: Flow, key: str) -> None:
    flow.open("r1")
    refused = call("operator").post(f"streams/{flow.name}/runs/r1/cut", key=key)
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (400, "Idempotency-Key")


def test_a_person_without_rights_leaves_no_key(call: Call, flow: Flow) -> None:
    from console.models import IdempotencyKey

    flow.open("r1")
    viewer = call("viewer")
    assert viewer.post(f"streams/{flow.name}/runs/r1/cut", key="k").status_code == 403
    assert not IdempotencyKey.objects.filter(user=viewer.user).exists()
