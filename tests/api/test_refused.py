"""What a no costs, and what it says: refusals are counted, forms answer with the right status, echoes are bounded."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from tests.flow.world import Flow, thing

if TYPE_CHECKING:
    from tests.api.caller import Caller

Call = Callable[..., "Caller"]
NAMES_OF_PATHS = ("a/b", "r 1", "~r", "été", "..", "x" * 150)


def rows_of(actor: str) -> list[int]:
    """How many refusals each row of the audit log speaks for."""
    from ingest.models import AuditLog

    details = AuditLog.objects.filter(actor=actor, refused=True).order_by("pk").values_list("reason", "detail")
    return [detail.get("held_back", 0) + (not reason.startswith("refused ")) for reason, detail in details]


def test_refusals_that_come_fast_are_counted_in_one_row(call: Call) -> None:
    """The chain's head is what every act waits for: whoever is told no all the time does not hold it all the time."""
    from console.refusals import flush

    viewer = call("viewer")
    began, times = time.monotonic(), 40
    for _ in range(times):
        assert viewer.post("streams/nope/runs/r/cut").status_code == 403
    took = time.monotonic() - began
    assert rows_of(viewer.name)[0] == 1
    assert len(rows_of(viewer.name)) <= 1 + took
    time.sleep(1.1)
    flush()
    assert sum(rows_of(viewer.name)) == times
    assert flush() == 0


def test_another_act_and_another_person_are_rows_of_their_own(call: Call) -> None:
    viewer, other = call("viewer"), call("viewer")
    for somebody in (viewer, other):
        somebody.post("streams/nope/runs/r/cut")
        somebody.post("streams/nope/runs/r/close")
        assert rows_of(somebody.name) == [1, 1]


def test_counts_are_never_lost_between_two_that_are_refused_at_once(live: object) -> None:
    from concurrent.futures import ThreadPoolExecutor

    from django.db import connection

    from console.models import Refusal
    from console.refusals import refused

    name = f"racer-{time.monotonic_ns()}"

    def many() -> None:
        for _ in range(20):
            refused(name, "api.cut", "/", "no", {})
        connection.close()

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(many) for _ in range(4)]:
            done.result()
    row = Refusal.objects.get(actor=name)
    assert row.seen == 80
    assert sum(rows_of(name)) == row.told


def test_a_token_for_one_act_may_ask_what_it_may(call: Call) -> None:
    reader = call("viewer", acts=["gate"])
    assert reader.get("me").json()["acts"] == ["gate"]
    assert reader.get("streams/").json()["code"] == "out_of_scope"
    assert call("none").get("me").status_code == 403


@pytest.mark.parametrize("run_name", NAMES_OF_PATHS)
def test_a_run_whose_id_cannot_stand_in_a_path(call: Call, flow: Flow, run_name: str) -> None:
    """It is opened, looked at, cut and asked about under the name that the pages give it."""
    from console.links import run_segment

    ana = call("operator")
    segment = run_segment(run_name)
    assert segment.startswith("~")
    place = f"streams/{flow.name}/runs/{segment}"
    missing = ana.put(place)
    assert (missing.status_code, missing.json()["next"]) == (404, "to open it, name its id in `run`")
    wrong = ana.put(place, {"run": "another"})
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (400, "/run")
    opened = ana.put(place, {"run": run_name})
    assert (opened.status_code, opened.json()["run"]) == (201, run_name), opened.content
    assert opened.headers["Location"] == f"/api/v1/{place}"
    assert ana.put(place, {"run": run_name}).status_code == 200
    assert ana.put(place).status_code == 200
    assert ana.get(opened.headers["Location"]).json()["run"] == run_name
    assert ana.get(f"gate/{flow.name}/{segment}").json()["code"] == "not_closed"
    assert ana.post(f"{place}/cut").status_code == 200


def test_a_run_in_a_path_may_be_named_in_the_body_too(call: Call, flow: Flow) -> None:
    ana = call("operator")
    place = f"streams/{flow.name}/runs/r1"
    assert ana.put(place, {"run": "r2"}).status_code == 400
    assert ana.put(place, {"run": "r1"}).status_code == 201


def test_what_fails_before_the_api_is_reached_is_a_problem_document_too(live: object) -> None:
    from django.test import Client

    answer = Client().get("/api/v1/me", headers={"host": "somebody.example"})
    assert (answer.status_code, answer.headers["Content-Type"]) == (400, "application/problem+json")
    assert answer.json()["code"] == "request_invalid"
    assert "text/html" in Client().get("/", headers={"host": "somebody.example"}).headers["Content-Type"]


LONG = 900_000


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("streams/{s}/runs/r1/totals", {"totals": {"n" * LONG: 1}}),
        ("streams/{s}/runs/r1/totals", {"totals": {"thing": "n" * LONG}}),
        ("streams/{s}/runs/r1/totals", {"n" * LONG: 1}),
        ("streams/{s}/runs/r1/totals", {f"n{n}": 1 for n in range(50_000)}),
        ("streams/{s}/runs/r2", {"pins": {"n" * LONG: "x"}}),
        ("streams/{s}/runs/r2", {"run": "n" * LONG}),
    ],
    ids=["a class", "a total", "a member", "members", "a pin", "a run"],
)
def test_what_was_sent_comes_back_no_longer_than_a_few_lines(
    call: Call, flow: Flow, path: str, body: dict[str, object]
) -> None:
    flow.open()
    answer = call("operator").put(path.format(s=flow.name), body)
    assert answer.status_code >= 400
    assert len(answer.content) < 20_000


# ---- pages ----------------------------------------------------------------------------------------------------------


def test_refused_forms_answer_with_the_status_of_the_reason(call: Call, flow: Flow) -> None:
    """403 for who may not, 422 for what is missing, 409 for what cannot be now: as the API answers."""
    from django.test import Client

    from ingest.models import QuarantineItem
    from tests.api.caller import person

    flow.open()
    flow.produce([thing(1), b"not json"])
    flow.work_until(lambda: len(flow.receipts()) == 2, "admission")
    item = QuarantineItem.objects.get(win__run__stream__name=flow.name)
    viewer, operator = Client(), Client()
    viewer.force_login(person("viewer"))
    operator.force_login(person("operator"))
    run = f"/runs/{flow.name}/r1"
    for path in (f"{run}/cut", f"{run}/close", f"/quarantine/{item.pk}/resolve"):
        assert viewer.post(path).status_code == 403, path
    assert operator.post(f"/quarantine/{item.pk}/resolve", {"resolution": "DISCARDED"}).status_code == 422
    assert operator.post(f"{run}/close").status_code == 409
    whole = {"resolution": "DISCARDED", "reason": "a test"}
    assert operator.post(f"/quarantine/{item.pk}/resolve", whole).status_code == 302


def test_a_form_whose_permission_cannot_be_looked_up_may_be_sent_again(
    live: object, flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.test import Client

    from console.permissions import NOT_KNOWN
    from tests.api.caller import person

    flow.open()
    client = Client()
    client.force_login(person("operator"))
    monkeypatch.setattr("console.pages.frame.confirm.may", lambda user, act: NOT_KNOWN)
    assert client.post(f"/runs/{flow.name}/r1/cut").status_code == 503
