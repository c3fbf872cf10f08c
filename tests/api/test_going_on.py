"""What the API answers to a cut that goes on, and to who asks for the windows that follow one another."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.flow.windows import run_of
from tests.flow.world import Flow, leave, thing

if TYPE_CHECKING:
    from tests.api.caller import Caller

Call = Callable[..., "Caller"]


def test_going_on_cuts_and_opens_in_one_answer(call: Call, flow: Flow) -> None:
    ana, path = call("operator"), f"streams/{flow.name}/runs/r1"
    ana.put(path)
    flow.produce([thing(1), thing(2)])
    flow.work()
    cut = ana.post(f"{path}/cut", {"go_on": True, "window": 1}).json()
    assert (cut["cuts"], cut["window"], cut["notes"]) == ({"inbox/0": 2}, 1, [])
    assert cut["next"] == {"run": "r1", "window": 2}
    assert (cut["state"], [w["state"] for w in cut["windows"]]) == ("OPEN", ["CUT", "OPEN"])
    again = ana.post(f"{path}/cut", {"go_on": True, "window": 1}).json()
    assert (again["window"], again["next"], again["windows_total"]) == (1, {"run": "r1", "window": 2}, 2)


def test_the_next_window_may_be_the_first_of_another_run(call: Call, flow: Flow) -> None:
    ana, path = call("operator"), f"streams/{flow.name}/runs/r1"
    ana.put(path)
    cut = ana.post(f"{path}/cut", {"next_run": "r2"}).json()
    assert (cut["state"], cut["next"]) == ("CUT", {"run": "r2", "window": 1})
    assert ana.get(f"streams/{flow.name}/runs/r2").json()["state"] == "OPEN"


def test_what_cannot_go_on_is_refused_by_its_code(call: Call, flow: Flow) -> None:
    ana, path = call("operator"), f"streams/{flow.name}/runs/r1"
    ana.put(path)
    cases: list[tuple[dict[str, Any], int, str]] = [
        ({"go_on": True, "window": 2}, 409, "window_not_open"),
        ({"next_run": "r1"}, 409, "run_name_taken"),
        ({"window": 1}, 400, "request_invalid"),
        ({"go_on": False, "window": 1}, 400, "request_invalid"),
        ({"go_on": True, "window": 0}, 400, "request_invalid"),
    ]
    for body, status, code in cases:
        refused = ana.post(f"{path}/cut", body)
        assert (refused.status_code, refused.json()["code"]) == (status, code), body
    assert [fault["pointer"] for fault in ana.post(f"{path}/cut", {"window": 1}).json()["errors"]] == ["/window"]
    assert ana.get(path).json()["windows_total"] == 1, "nothing was cut by what was refused"
    ana.post(f"{path}/cut")
    refused = ana.post(f"{path}/cut", {"go_on": True})
    assert (refused.status_code, refused.json()["code"], refused.json()["retry"]) == (409, "run_not_open", False)


def test_the_same_key_goes_on_once(call: Call, flow: Flow) -> None:
    ana, path = call("operator"), f"streams/{flow.name}/runs/r1"
    ana.put(path)
    key = {"Idempotency-Key": f"go-on-{flow.name}"}
    first = ana.post(f"{path}/cut", {"go_on": True}, **key)
    again = ana.post(f"{path}/cut", {"go_on": True}, **key)
    assert first.json() == again.json()
    assert again.headers["Idempotency-Replayed"] == "true"
    assert ana.get(path).json()["windows_total"] == 2
    other = ana.post(f"{path}/cut", {"go_on": True, "window": 2}, **key)
    assert other.status_code == 422


# ---- the windows of a run

MIXED = ["PASS", "PASS", "FAIL", "PASS", "SHUT", "BLOCKED", "CUT", "OPEN"]


def numbers(answer: Any) -> list[int]:
    return [window["number"] for window in answer.json()["items"]]


def test_a_run_says_how_all_of_its_windows_stand(call: Call) -> None:
    flow = Flow(automatic="false")
    run_of(flow, MIXED)
    run = call("viewer").get(f"streams/{flow.name}/runs/r1").json()
    assert run["verdicts"] == {"PASS": 4, "BLOCKED": 1, "FAIL": 1, "none": 2}
    assert (run["windows_total"], run["gates_shut"]) == (8, 1)
    assert run["worst"] == {"verdict": "FAIL", "window": 3}
    leave([flow.name])


def test_windows_are_listed_newest_first_in_pages_and_filtered(call: Call) -> None:
    flow = Flow(automatic="false")
    run_of(flow, MIXED)
    ana, path = call("viewer"), f"streams/{flow.name}/runs/r1/windows/"
    first = ana.get(f"{path}?limit=5")
    assert numbers(first) == [8, 7, 6, 5, 4]
    rest = ana.get(first.json()["next"].removeprefix("/api/v1/"))
    assert (numbers(rest), rest.json()["next"]) == ([3, 2, 1], None)
    assert first.json()["items"][0]["records"] == 0
    expected = {
        "verdict=FAIL": [3],
        "verdict=BLOCKED": [6],
        "verdict=PASS": [5, 4, 2, 1],
        "verdict=none": [8, 7],
        "state=OPEN": [8],
        "state=CUT&verdict=none": [7],
    }
    assert {query: numbers(ana.get(f"{path}?{query}")) for query in expected} == expected
    for query in ("verdict=GREEN", "verdict=", "state=open", "after=x", "limit=0", "page=2"):
        assert ana.get(f"{path}?{query}").status_code == 400, query
    assert ana.get("streams/nope/runs/r1/windows/").status_code == 404
    leave([flow.name])


def test_a_run_of_a_thousand_windows_is_as_long_as_it_says(call: Call) -> None:
    """Its document, the list's, its gate's and its receipts': as many statements as for a run of eight."""
    few, many = Flow(automatic="false"), Flow(automatic="false")
    run_of(few, MIXED)
    run_of(many, ["FAIL", *["PASS"] * 998, "OPEN"])
    ana, reader = call("operator"), call("data engineer")
    found = ana.get(f"streams/{many.name}/runs/r1").json()
    assert [window["number"] for window in found["windows"]] == list(range(901, 1001))
    assert (found["windows_total"], found["worst"]) == (1000, {"verdict": "FAIL", "window": 1})
    listed = ana.get(f"streams/{many.name}/runs/").json()["items"][0]
    assert [window["number"] for window in listed["windows"]] == list(range(981, 1001))
    gate = reader.get(f"gate/{many.name}/r1").json()
    assert gate["covers"] == {
        "windows": 1000, "first": 1, "last": 1000, "open": 998,
        "not_open": [{"window": 1, "code": "failed"}, {"window": 1000, "code": "not_closed"}],
    }  # fmt: skip
    assert (gate["code"], gate["detail"]) == ("failed", "Window 1 is FAIL: made so.")
    of_stream = ("runs/r1", "runs/", "runs/r1/windows/", "runs/r1/totals", "runs/r1/receipts/", "runs/r1/verdicts/")
    for part in of_stream:
        assert asked(ana, f"streams/{many.name}/{part}") == asked(ana, f"streams/{few.name}/{part}"), part
    assert asked(reader, f"gate/{many.name}/r1") == asked(reader, f"gate/{few.name}/r1")
    leave([few.name, many.name])


def asked(somebody: Caller, path: str) -> int:
    with CaptureQueriesContext(connection) as queries:
        somebody.get(path)
    return len(queries)


@pytest.mark.parametrize(("window", "covers"), [(3, (1, 3, 3, 0)), (4, (1, 4, 4, 1))])
def test_the_gate_of_one_window_covers_that_window(call: Call, window: int, covers: tuple[int, ...]) -> None:
    flow = Flow(automatic="false")
    run_of(flow, MIXED)
    gate = call("data engineer").get(f"gate/{flow.name}/r1/windows/{window}").json()
    assert tuple(gate["covers"][name] for name in ("windows", "first", "last", "open")) == covers
    leave([flow.name])
