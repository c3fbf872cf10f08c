"""What a window processed, and what of it can be replayed, over the API."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from audit import capture
from tests.audit.test_gate import broker_away
from tests.cli.settled import passed
from tests.flow.world import Flow

if TYPE_CHECKING:
    from tests.api.caller import Caller

Call = Callable[..., "Caller"]


def test_both_answers_come_in_one(call: Call, flow: Flow) -> None:
    passed(flow)
    flow.open("r2")
    viewer = call("viewer")
    found = viewer.get(f"streams/{flow.name}/runs/r1/anchors").json()
    assert (found["stream"], found["run"], found["window"], found["state"]) == (flow.name, "r1", 1, "CUT")
    inbox, *bus = found["processed"]["sources"]
    assert (inbox["name"], inbox["start"], inbox["end"], inbox["records"], inbox["unaccounted"]) == (
        "inbox/0",
        0,
        5,
        5,
        0,
    )
    assert len(inbox["batches_root"]) == 64
    assert {(each["records"], each["batches_root"], each["unaccounted"]) for each in bus} == {(None, None, None)}
    assert found["processed"]["cut"]["by"] == "test"
    assert [each["generation"] for each in found["processed"]["basis"]] == [1]
    kept = found["replay"]["sources"][0]
    assert (kept["reach"], kept["first"], kept["gone"], kept["measured_by"]) == ("ALL", 0, 0, "kafka")
    assert 0 <= kept["age"] < 60
    assert viewer.get(f"streams/{flow.name}/runs/r1/anchors?window=1").json()["processed"]["sources"][0] == inbox


def test_a_window_or_a_run_that_is_not_there(call: Call, flow: Flow) -> None:
    flow.open()
    viewer = call("viewer")
    path = f"streams/{flow.name}/runs"
    for missing in (f"{path}/r1/anchors?window=2", f"{path}/r9/anchors", "streams/nope/runs/r1/anchors"):
        answer = viewer.get(missing)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), missing
    assert viewer.get(f"{path}/r1/anchors?windo=1").status_code == 400


def test_with_kafka_away_the_first_is_answered_and_the_second_unmeasured(call: Call, flow: Flow) -> None:
    passed(flow)
    viewer = call("viewer")
    with broker_away():
        capture._recent.clear()
        answer = viewer.get(f"streams/{flow.name}/runs/r1/anchors")
    assert answer.status_code == 200
    found = answer.json()
    assert found["processed"]["sources"][0]["records"] == 5
    assert (found["replay"]["asked_at"], found["replay"]["age"]) == (None, None)
    assert found["replay"]["why"]
    kept = found["replay"]["sources"][0]
    assert (kept["reach"], kept["first"], kept["why"]) == ("UNMEASURED", None, [found["replay"]["why"]])
