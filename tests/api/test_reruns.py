"""Redrives and reruns over HTTP: asked for, approved, run; the rerun's own gate, verdict and receipts."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from tests.api.test_plans import run
from tests.flow.world import CONTRACT, Flow, thing

if TYPE_CHECKING:
    from tests.api.caller import Caller

Call = Callable[..., "Caller"]
SMALL = CONTRACT.replace("value_bytes = 4096", "value_bytes = {value_bytes}")
PAD = "x" * 600


@pytest.fixture
def strict(make_flow: Callable[..., Flow]) -> Flow:
    """Two large records block window 1; the contract is mended since."""
    flow = make_flow(contract=SMALL.replace("{value_bytes}", "512"))
    flow.open()
    flow.produce([thing(1), thing(2, pad=PAD), thing(3, pad=PAD)])
    flow.work()
    flow.cut()
    flow.work()
    flow.judge()
    flow.contract = SMALL.replace("{value_bytes}", "4096")
    flow.load()
    return flow


def asked(flow: Flow, **more: Any) -> dict[str, Any]:
    return {"kind": "redrive", "stream": flow.name, "run": "r1"} | more


def items_of(call: Call, flow: Flow) -> list[int]:
    return [each["item"] for each in call("viewer").pages(f"quarantine/?stream={flow.name}&run=r1")]


def redriven(call: Call, flow: Flow, **more: Any) -> dict[str, Any]:
    ana, bo = call("operator"), call("approver")
    made = ana.post("plans/", asked(flow, **more) | {"reason": "the contract was too strict"})
    assert made.status_code == 201, made.json()
    found: dict[str, Any] = made.json()
    assert bo.post(f"plans/{found['plan']}/approve", {"digest": found["digest"]}).status_code == 200
    run(found["plan"])
    flow.work()
    flow.sample()
    return found


def test_from_preview_to_the_reruns_own_gate(call: Call, strict: Flow) -> None:
    ana = call("operator")
    seen = ana.post("plans/preview", asked(strict, reason_code="TOO_LARGE"))
    assert seen.status_code == 200 and seen.json()["outcomes"] == {"ADMITTED": 2}
    made = redriven(call, strict, reason_code="TOO_LARGE", digest=seen.json()["digest"])
    assert made["does"] == f"redrive 2 items of {strict.name}/r1 window 1 under contract v2" and made["rerun"] is None
    plan = ana.get(f"plans/{made['plan']}").json()
    assert (plan["state"], plan["rerun"], plan["outcomes"]) == ("DONE", 1, {"ADMITTED": 2})
    items = items_of(call, strict)
    listed = ana.pages(f"plans/{made['plan']}/items/?limit=1")
    assert [(each["ordinal"], each["subject"], each["outcome"]) for each in listed] == [
        (n, str(item), "ADMITTED") for n, item in enumerate(items)
    ]
    gate = f"gate/{strict.name}/r1/windows/1/reruns/1"
    early = ana.get(gate)
    assert (early.status_code, early.json()["code"]) == (403, "not_closed")
    assert ana.get(f"gate/{strict.name}/r1/windows/1/reruns/2").status_code == 404
    assert ana.get(f"gate/{strict.name}/r1/windows/1/reruns/99999999999").status_code == 404
    close = f"streams/{strict.name}/runs/r1/close"
    refused = ana.post(close, {"rerun": 1})
    assert [fault["pointer"] for fault in refused.json()["errors"]] == ["/rerun"]
    verdict = ana.post(close, {"window": 1, "rerun": 1}).json()
    assert (verdict["state"], verdict["window"], verdict["rerun"], verdict["number"]) == ("PASS", 1, 1, 2)
    assert verdict["sentence"].startswith("Window 1 rerun 1 is PASS: ")
    assert verdict["body"]["rerun"]["plan"] == made["plan"]
    granted = ana.get(gate).json()
    assert (granted["open"], granted["window"], granted["rerun"]) == (True, 1, 1)
    assert ana.get(f"gate/{strict.name}/r1/windows/1").status_code == 403, "the window is not judged anew yet"


def test_documents_list_reruns_beside_their_window(call: Call, strict: Flow) -> None:
    ana = call("viewer")
    made = redriven(call, strict, reason_code="TOO_LARGE")
    run_path = f"streams/{strict.name}/runs/r1"
    call("operator").post(f"{run_path}/close", {"window": 1, "rerun": 1})
    for document in (ana.get(run_path).json()["windows"], ana.pages(f"{run_path}/windows/")):
        (window,) = document
        (rerun,) = window["reruns"]
        assert (window["number"], window["reruns_total"], window["verdict"]["state"]) == (1, 1, "BLOCKED")
        assert (rerun["window"], rerun["rerun"], rerun["plan"], rerun["kind"]) == (1, 1, made["plan"], "redrive")
        assert (rerun["state"], rerun["contract"]["version"]) == ("CUT", 2)
        assert (rerun["verdict"]["state"], rerun["gate"]["shut_why"]) == ("PASS", None)
        assert rerun["requested_by"] == made["requested_by"]
    assert ana.get(run_path).json()["windows_total"] == 1
    verdicts = ana.pages(f"{run_path}/verdicts/")
    assert [(each["number"], each["window"], each["rerun"]) for each in verdicts] == [(2, 1, 1), (1, 1, None)]
    assert len(ana.pages(f"{run_path}/receipts/")) == 3
    own = ana.pages(f"{run_path}/receipts/?window=1&rerun=1")
    assert [(each["decision"], each["window"], each["rerun"]) for each in own] == [("ADMITTED", 1, 1)] * 2
    assert ana.get(f"{run_path}/receipts/?rerun=1").status_code == 400
    assert ana.get(f"{run_path}/receipts/?window=1&rerun=2").status_code == 404
    now = ana.get(f"{run_path}/checks?window=1&rerun=1").json()
    assert now["body"]["window"]["rerun"] == 1
    assert "rerun" not in ana.get(f"{run_path}/checks?window=1").json()["body"]["window"]


def test_an_item_has_its_redrives(call: Call, strict: Flow) -> None:
    ana = call("operator")
    (first, second) = items_of(call, strict)
    made = redriven(call, strict, items=[first])
    found = ana.get(f"quarantine/{first}").json()
    assert (found["state"], found["resolution"]["resolution"]) == ("RESOLVED", "REDRIVEN")
    (time,) = found["redrives"]
    assert (time["plan"], time["outcome"], time["reason"], time["corrected_by"]) == (
        made["plan"], "ADMITTED", None, None,
    )  # fmt: skip
    assert ana.get(f"receipts/{time['source']}/{time['offset']}").json()["decision"] == "ADMITTED"
    assert ana.get(f"quarantine/{second}").json()["redrives"] == []


def test_corrections_are_seen_by_whoever_may_see_payloads(call: Call, strict: Flow) -> None:
    item = items_of(call, strict)[0]
    raw = base64.b64encode(thing(7)).decode()
    made = call("operator").post("plans/", asked(strict, items=[item], corrections={str(item): raw}) | {"reason": "x"})
    assert made.status_code == 201, made.json()
    path = f"plans/{made.json()['plan']}"
    shown = call("approver").get(path).json()["binds"]["asked"]["corrections"]
    assert shown == {str(item): raw}
    hidden = call("viewer").get(path).json()["binds"]["asked"]["corrections"]
    assert hidden[str(item)].startswith("sha256:") and raw not in str(hidden)


def test_nobody_says_redriven(call: Call, strict: Flow) -> None:
    item = items_of(call, strict)[0]
    answer = call("operator").post(f"quarantine/{item}/resolve", {"resolution": "REDRIVEN", "reason": "x"})
    assert answer.status_code == 400
    assert [fault["pointer"] for fault in answer.json()["errors"]] == ["/resolution"]


@pytest.mark.parametrize(
    ("more", "pointer"),
    [
        ({}, "/items"),
        ({"items": [1], "reason_code": "TOO_LARGE"}, "/items"),
        ({"items": []}, "/items"),
        ({"items": ["1"]}, "/items/0"),
        ({"reason_code": "NO_SUCH"}, "/reason_code"),
        ({"reason_code": "TOO_LARGE", "contract": 0}, "/contract"),
        ({"reason_code": "TOO_LARGE", "corrections": {"1": 7}}, "/corrections/1"),
    ],
)
def test_a_body_that_asks_for_no_redrive(call: Call, strict: Flow, more: dict[str, Any], pointer: str) -> None:
    answer = call("operator").post("plans/preview", asked(strict, **more))
    assert answer.status_code == 400, answer.json()
    assert [fault["pointer"] for fault in answer.json()["errors"]] == [pointer]


def test_the_document_has_examples_that_hold(live: object) -> None:
    from jsonschema import Draft202012Validator

    from console.api.plans import EXAMPLES
    from tests.api.caller import document

    said = document()["paths"]["/plans/preview"]["post"]["requestBody"]["content"]["application/json"]
    assert len(said["examples"]) == len(EXAMPLES)
    for example in said["examples"].values():
        Draft202012Validator(said["schema"] | {"components": document()["components"]}).validate(example["value"])
