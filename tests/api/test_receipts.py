"""Receipts and attempts over the API."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.flow.world import Flow, thing

if TYPE_CHECKING:
    from tests.api.caller import Caller

Call = Callable[..., "Caller"]


def test_every_receipt_of_a_run_once_in_order(call: Call, make_flow: Callable[..., Flow]) -> None:
    flow = make_flow(partitions=2)
    flow.open("r1")
    for partition in (0, 1):
        flow.produce(
            [thing(f"{partition}-{n}") for n in range(5)] + [thing(f"{partition}-0")], partition=partition, run="r1"
        )
    flow.work()
    ana = call("viewer")
    found = ana.pages(f"streams/{flow.name}/runs/r1/receipts/?limit=5")
    places = [(receipt["source"], receipt["offset"]) for receipt in found]
    assert places == sorted(set(places)) and len(places) == 12
    assert [receipt["decision"] for receipt in found] == (["ADMITTED"] * 5 + ["DUPLICATE"]) * 2
    assert all(receipt["place"] for receipt in found if receipt["decision"] == "ADMITTED")
    assert {receipt["run"] for receipt in found} == {"r1"}
    duplicates = ana.pages(f"streams/{flow.name}/runs/r1/receipts/?decision=DUPLICATE&limit=1")
    assert [receipt["offset"] for receipt in duplicates] == [5, 5]
    whole = ana.pages(f"receipts/?source={found[0]['source']}&limit=4")
    assert whole == found[:6]
    one = ana.get(f"receipts/{found[0]['source']}/0").json()
    assert one == found[0]
    assert one["event_class"] == "thing"


def test_receipts_belong_to_one_window(call: Call, flow: Flow) -> None:
    flow.open("r1")
    flow.produce([thing(n) for n in range(3)], run="r1")
    flow.work("admission")
    flow.cut("r1")
    flow.open("r2")
    flow.produce([thing(n) for n in range(4)], run="r2")
    flow.work("admission")
    ana = call("viewer")
    assert len(ana.pages(f"streams/{flow.name}/runs/r1/receipts/?window=1&limit=2")) == 3
    assert {receipt["run"] for receipt in ana.pages(f"streams/{flow.name}/runs/r2/receipts/")} == {"r2"}
    assert ana.get(f"streams/{flow.name}/runs/r1/receipts/?window=2").status_code == 404


def test_a_receipt_that_is_not_there(call: Call) -> None:
    for place in ("1/999999999999", "99999999999/1", "0/0"):
        assert call("viewer").get(f"receipts/{place}").status_code == 404


def test_pages_over_all_receipts_end(call: Call, scene: Flow) -> None:
    ana = call("viewer")
    places = [(r["source"], r["offset"]) for r in ana.pages("receipts/?limit=1000&decision=QUARANTINED")]
    assert places == sorted(set(places))
    assert len(places) >= 17


def test_an_unknown_publish_is_asked_about_once(call: Call, flow: Flow) -> None:
    from tests.pages.scene import leave_unknown

    flow.open("r1")
    leave_unknown(flow)
    ana = call("operator")
    listed = ana.pages(f"attempts/?stream={flow.name}&run=r1&state=UNKNOWN")
    assert [(a["state"], a["windows"], a["events"]) for a in listed] == [("UNKNOWN", [f"{flow.name}/r1/1"], 7)]
    path = f"attempts/{listed[0]['attempt']}"
    assert ana.get(path).json() == listed[0]
    asked = ana.post(f"{path}/reconcile")
    assert asked.status_code == 202
    assert asked.headers["Location"] == f"/api/v1/{path}"
    assert asked.json()["reconcile_requested"]["by"] == ana.name
    bob = call("approver")
    assert bob.post(f"{path}/reconcile", {}).json()["reconcile_requested"]["by"] == ana.name
    assert bob.post(f"{path}/reconcile", {"force": True}).status_code == 400


def test_a_settled_attempt_is_not_asked_about(call: Call, scene: Flow) -> None:
    ana = call("operator")
    settled = ana.pages(f"attempts/?stream={scene.name}&run=r1&state=ACKED")[0]
    refused = ana.post(f"attempts/{settled['attempt']}/reconcile")
    assert (refused.status_code, refused.json()["code"]) == (409, "attempt_settled")
    assert ana.post("attempts/999999999999/reconcile").status_code == 404
    assert ana.get("attempts/999999999999").status_code == 404
