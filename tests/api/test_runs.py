"""Opening, cutting and closing over the API, on the real stack."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.settled import settle
from tests.flow.world import Flow, thing

if TYPE_CHECKING:
    from tests.api.caller import Caller

Call = Callable[..., "Caller"]


def test_a_run_is_created_once_and_found_again(call: Call, flow: Flow) -> None:
    ana = call("operator")
    made = ana.put(f"streams/{flow.name}/runs/2013-01")
    assert made.status_code == 201
    assert made.headers["Location"] == f"/api/v1/streams/{flow.name}/runs/2013-01"
    again = ana.put(f"streams/{flow.name}/runs/2013-01", {})
    assert (again.status_code, again.json()) == (200, made.json())
    assert made.json()["opened_by"] == ana.name
    assert ana.get(f"streams/{flow.name}/runs/2013-01").json() == made.json()


def test_another_contract_is_a_conflict(call: Call, flow: Flow) -> None:
    ana = call("operator")
    path = f"streams/{flow.name}/runs/r1"
    first = ana.put(path, {"contract": {"version": 1}}).json()
    flow.load(quarantine_open_max=7)
    assert ana.put(path, {"contract": {"version": 1}}).status_code == 200
    assert ana.put(path, {"contract": {"digest": first["contract"]["digest"]}}).status_code == 200
    refused = ana.put(path, {"contract": {"version": 2}})
    assert (refused.status_code, refused.json()["code"]) == (409, "run_conflict")


def test_a_stream_has_one_open_run(call: Call, flow: Flow) -> None:
    ana = call("operator")
    ana.put(f"streams/{flow.name}/runs/r1")
    refused = ana.put(f"streams/{flow.name}/runs/r2")
    assert (refused.status_code, refused.json()["code"]) == (409, "another_run_open")
    assert f"{flow.name}/r1" in refused.json()["next"]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"contract": {}}, "/contract"),
        ({"contract": {"version": "1"}}, "/contract/version"),
        ({"contract": {"version": True}}, "/contract/version"),
        ({"contract": {"version": 1, "digest": "0" * 64}}, "/contract"),
        ({"contract": {"digest": "xyz"}}, "/contract/digest"),
        ({"contrat": {"version": 1}}, "/contrat"),
        ({"pins": {"weather": 7}}, "/pins/weather"),
        ([], ""),
    ],
)
def test_a_wrong_body_is_answered_with_its_place(call: Call, flow: Flow, body: Any, pointer: str) -> None:
    refused = call("operator").put(f"streams/{flow.name}/runs/r1", body)
    assert refused.status_code == 400
    assert [error["pointer"] for error in refused.json()["errors"]] == [pointer]


@pytest.mark.parametrize("run", ["a%00b", "%20x", "a%0Ab", "x" * 201])
def test_a_run_name_that_cannot_be_one_is_refused(call: Call, flow: Flow, run: str) -> None:
    refused = call("operator").put(f"streams/{flow.name}/runs/{run}")
    assert (refused.status_code, refused.json()["code"]) == (400, "run_name_invalid")


def test_an_odd_run_name_is_found_by_its_digest_too(call: Call, flow: Flow) -> None:
    from console.links import run_segment

    ana = call("operator")
    assert ana.put(f"streams/{flow.name}/runs/January 2013").status_code == 201
    segment = run_segment("January 2013")
    assert segment.startswith("~")
    assert ana.get(f"streams/{flow.name}/runs/{segment}").json()["run"] == "January 2013"
    assert ana.put(f"streams/{flow.name}/runs/{segment}").status_code == 200
    assert ana.put(f"streams/{flow.name}/runs/~aaaaaaaaaaaaaaaa").status_code == 404


def test_from_open_to_a_verdict(call: Call, flow: Flow) -> None:
    ana = call("operator")
    path = f"streams/{flow.name}/runs/r1"
    ana.put(path)
    flow.produce([thing(n) for n in range(5)], run="r1")
    settle(flow)
    early = ana.post(f"{path}/close")
    assert (early.status_code, early.json()["code"]) == (409, "not_cut")
    declared = ana.put(f"{path}/totals", {"totals": {"thing": 4}}).json()
    assert [(t["event_class"], t["declared"], t["declared_by"]) for t in declared["totals"]] == [("thing", 4, ana.name)]
    cut = ana.post(f"{path}/cut", {"totals": {"thing": 5}}).json()
    assert (cut["state"], cut["windows"][0]["state"]) == ("CUT", "CUT")
    assert [t["declared"] for t in ana.get(f"{path}/totals").json()["totals"]] == [5]
    assert ana.post(f"{path}/cut").json()["cut_at"] == cut["cut_at"]
    settle(flow)
    checks = ana.get(f"{path}/checks").json()
    assert {check["check"] for check in checks["body"]["checks"]} >= {"COVERAGE", "APPLIED", "EXPECTED"}
    flow.sample()
    verdict = ana.post(f"{path}/close").json()
    assert (verdict["verdict"], verdict["state"]) == (f"{flow.name}/r1#1", "PASS"), verdict["sentence"]
    assert verdict["decided_by"] == ana.name
    assert ana.get(path).json()["state"] == "CLOSED"
    listed = ana.get(f"{path}/verdicts/").json()["items"]
    assert [line["number"] for line in listed] == [1]
    assert ana.get(f"{path}/verdicts/1").json() == verdict


def test_totals_of_a_class_that_is_not_there(call: Call, flow: Flow) -> None:
    ana = call("operator")
    ana.put(f"streams/{flow.name}/runs/r1")
    refused = ana.put(f"streams/{flow.name}/runs/r1/totals", {"totals": {"nothing": 1}})
    assert (refused.status_code, refused.json()["code"]) == (409, "totals_invalid")
    for wrong in (
        {},
        {"totals": {}},
        {"totals": {"thing": -1}},
        {"totals": {"thing": 1.5}},
        {"totals": {"thing": 2**63}},
    ):
        assert ana.put(f"streams/{flow.name}/runs/r1/totals", wrong).status_code == 400


def test_runs_are_listed_newest_first_page_by_page(call: Call, flow: Flow) -> None:
    ana = call("operator")
    for number in range(5):
        ana.put(f"streams/{flow.name}/runs/r{number}")
        ana.post(f"streams/{flow.name}/runs/r{number}/cut")
    found = ana.pages(f"streams/{flow.name}/runs/?limit=2")
    assert [run["run"] for run in found] == ["r4", "r3", "r2", "r1", "r0"]
    assert ana.get(f"streams/{flow.name}/runs/?state=OPEN").json() == {"items": [], "next": None}
    assert ana.get(f"streams/{flow.name}/runs/?state=open").status_code == 400


def test_streams_and_sources(call: Call, flow: Flow) -> None:
    ana = call("viewer")
    found = ana.get(f"streams/{flow.name}").json()
    assert (found["stream"], found["open_run"], found["inbox"]["topic"]) == (flow.name, None, flow.inbox)
    flow.open("r1")
    assert ana.get(f"streams/{flow.name}").json()["open_run"] == "r1"
    assert flow.name in [stream["stream"] for stream in ana.pages("streams/?limit=1")]
    sources = ana.pages(f"streams/{flow.name}/sources/?limit=1")
    assert [source["name"] for source in sources] == [f"{flow.inbox}/0", f"{flow.bus}/0", f"{flow.bus}/1"]


def test_what_is_not_there(call: Call, flow: Flow) -> None:
    ana = call("operator")
    streams = ("streams/nope", "streams/no%00pe", "streams/nope/runs/", "streams/nope/sources/")
    run = f"streams/{flow.name}/runs/nope"
    for path in (*streams, run, f"{run}/verdicts/", f"{run}/totals", f"{run}/receipts/", f"{run}/checks"):
        answer = ana.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), path
    flow.open("r1")
    assert ana.get(f"streams/{flow.name}/runs/r1/verdicts/99999999999999").status_code == 404
    assert ana.get(f"streams/{flow.name}/runs/r1/checks?window=9").status_code == 404
