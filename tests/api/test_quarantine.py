"""Listing, looking at and resolving quarantined records over the API."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.flow.world import CONTRACT, Flow, thing

if TYPE_CHECKING:
    from tests.api.caller import Caller

Call = Callable[..., "Caller"]
BECAUSE = {"resolution": "DISCARDED", "reason": "a test record"}


def test_items_are_listed_by_run_reason_and_state(call: Call, scene: Flow) -> None:
    ana = call("viewer")
    run = f"stream={scene.name}&run=r1"
    every = ana.pages(f"quarantine/?{run}&limit=3")
    assert len(every) == len({item["item"] for item in every}) == 17
    assert {item["state"] for item in every} == {"OPEN"}
    mismatches = ana.pages(f"quarantine/?{run}&reason=PAYLOAD_MISMATCH&limit=4")
    assert len(mismatches) == 6
    assert all(item["first"] and item["event_id"] for item in mismatches)
    assert ana.pages(f"quarantine/?{run}&state=RESOLVED") == []
    assert ana.get("quarantine/?stream=nope&run=r1").status_code == 404


def test_payloads_need_a_role(call: Call, scene: Flow) -> None:
    viewer, ana = call("viewer"), call("operator")
    item = viewer.pages(f"quarantine/?stream={scene.name}&run=r1&reason=PAYLOAD_MISMATCH&limit=1")[0]["item"]
    hidden = viewer.get(f"quarantine/{item}").json()
    assert (hidden["payload"]["value"], hidden["first_payload"]["value"]) == (None, None)
    assert "needs operator or approver" in hidden["payload"]["hidden"]
    shown = ana.get(f"quarantine/{item}").json()
    assert '"gate": "B7"' in shown["payload"]["text"]
    assert '"gate"' not in shown["first_payload"]["text"]
    assert base64.b64decode(shown["payload"]["value"]).decode() == shown["payload"]["text"]
    assert base64.b64decode(shown["payload"]["key"]) == b"k"


def test_bytes_that_are_no_text_are_given_as_they_came(call: Call, scene: Flow) -> None:
    ana = call("operator")
    listed = ana.pages(f"quarantine/?stream={scene.name}&run=r1&reason=NOT_UTF8")
    found = ana.get(f"quarantine/{listed[0]['item']}").json()
    assert found["payload"]["text"] is None
    assert base64.b64decode(found["payload"]["value"]) == b'{"type": "thing", "id": "\xff"}'
    assert [header["name"] for header in found["payload"]["headers"]] == ["<b>", "", "hx-get", "a" * 300]
    tombstone = ana.pages(f"quarantine/?stream={scene.name}&run=r1&reason=TOMBSTONE")[0]
    assert tombstone["payload_bytes"] is None


def test_masked_fields_stay_masked(call: Call, make_flow: Callable[..., Flow]) -> None:
    contract = CONTRACT + '[payload]\nmask = ["/secret", "/deep/0/x"]\n'
    flow = make_flow(contract=contract)
    flow.open("r1")
    flow.produce([thing(1, secret="a", deep=[{"x": 1}]), thing(1, secret="b", deep=[{"x": 2}]), b"{secret"], run="r1")
    flow.work("admission")
    ana = call("operator")
    items = {item["reason"]: item["item"] for item in ana.pages(f"quarantine/?stream={flow.name}&run=r1")}
    found = ana.get(f"quarantine/{items['PAYLOAD_MISMATCH']}").json()
    for payload in (found["payload"], found["first_payload"]):
        assert '"secret": "masked"' in payload["text"]
        assert '{"x": "masked"}' in payload["text"]
        assert payload["hidden"] == "masked: /deep/0/x, /secret"
    unreadable = ana.get(f"quarantine/{items['NOT_JSON']}").json()["payload"]
    assert (unreadable["value"], unreadable["text"]) == (None, None)


def test_a_resolution_names_a_person_and_stands(call: Call, flow: Flow) -> None:
    flow.open("r1")
    flow.produce([b"x", b"y", b"z"], run="r1")
    flow.work("admission")
    ana = call("operator")
    first, *others = [item["item"] for item in ana.pages(f"quarantine/?stream={flow.name}&run=r1")]
    done = ana.post(f"quarantine/{first}/resolve", BECAUSE).json()
    assert done["state"] == "RESOLVED"
    assert (done["resolution"]["by"], done["resolution"]["reason"]) == (ana.name, "a test record")
    again = ana.post(f"quarantine/{first}/resolve", BECAUSE)
    assert (again.status_code, again.json()["code"]) == (409, "resolution_refused")
    one_is_done = ana.post("quarantine/resolve", {"items": [first, *others], **BECAUSE})
    assert one_is_done.status_code == 409
    assert ana.post("quarantine/resolve", {"items": others, **BECAUSE}).json() == {"resolved": 2}
    assert ana.pages(f"quarantine/?stream={flow.name}&run=r1&state=OPEN") == []


def test_a_resolution_needs_a_reason(call: Call, scene: Flow) -> None:
    ana = call("operator")
    item = ana.pages(f"quarantine/?stream={scene.name}&run=r1")[0]["item"]
    for body, pointer in (
        ({"resolution": "DISCARDED"}, "/reason"),
        ({"resolution": "DISCARDED", "reason": " "}, "/reason"),
        ({"resolution": "DISCARDED", "reason": 7}, "/reason"),
        ({"resolution": "GONE", "reason": "x"}, "/resolution"),
    ):
        refused = ana.post(f"quarantine/{item}/resolve", body)
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (400, pointer)
    for items in ([], ["1"], [0], "1"):
        refused = ana.post("quarantine/resolve", {"items": items, **BECAUSE})
        assert refused.status_code == 400
        assert refused.json()["errors"][0]["pointer"].startswith("/items")
    assert ana.post("quarantine/999999999999/resolve", BECAUSE).status_code == 404
