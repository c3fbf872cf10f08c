"""The benchmark runs through with small numbers, and what it says it counted is what it sent. Never how fast."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from trials.bench.ground import Ground
from trials.bench.measures import BY_KEY
from trials.bench.notebook import BenchOptions, Say
from trials.bench.run import run

EVENTS = 2_000
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def document(own_services: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Everything, once, on a stack of the benchmark's own."""
    folders: list[Path] = []

    class Noted(Ground):
        def __init__(self, say: Say) -> None:
            super().__init__(say)
            folders.append(self.folder)

    out = tmp_path_factory.mktemp("bench") / "out.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trials.bench.run.Ground", Noted)
        made = run(BenchOptions(EVENTS, rounds=1, long=4 * EVENTS, apart=False), out, lambda text: None)
    assert out.stat().st_size > 0
    assert [folder for folder in folders if folder.exists()] == [], "what was measured is removed"
    return made


def test_every_measure_answers(document: dict[str, Any]) -> None:
    assert document["failed"] == []
    assert set(document["rounds"]) == set(BY_KEY)


def test_what_was_counted(document: dict[str, Any]) -> None:
    rounds = document["rounds"]
    admitted = rounds["d1"][0]["counts"]
    assert admitted["records"] == EVENTS
    assert rounds["d2"][0]["counts"]["admitted"] == admitted["admitted"]
    assert rounds["i"][0]["counts"] | {"batches": 0} == {
        "records": EVENTS, "admitted": 0, "duplicates": EVENTS - admitted["quarantined"],
        "quarantined": admitted["quarantined"], "batches": 0,
    }  # fmt: skip
    assert rounds["c"][0]["records"] == rounds["c20"][0]["records"] == EVENTS
    assert (
        rounds["e1"][0]["records"] == rounds["f1"][0]["records"] == rounds["f1"][0]["applied"] == admitted["admitted"]
    )
    assert rounds["n"][0]["counts"]["records"] == EVENTS


def test_the_flow_the_door_and_the_long_run_lose_nothing(document: dict[str, Any]) -> None:
    rounds = document["rounds"]
    flow = rounds["g"][0]
    assert flow["counts"]["records"] == EVENTS
    assert flow["applied"] == flow["counts"]["admitted"]
    door = rounds["h"][0]
    assert set(door["statuses"]) == {"200"}
    assert door["counts"]["records"] == door["sent"]["records"]
    # connections overtake each other: which of two payloads came first may differ, never how many events there are
    assert door["counts"]["admitted"] == door["sent"]["events"]
    assert [rounds[key][0]["verdict"] for key in ("j1", "j10")] == ["PASS", "PASS"]
    assert [each["there"] for each in rounds["l"][0]["sizes"]] == sorted(
        each["there"] for each in rounds["l"][0]["sizes"]
    )
    assert rounds["j10"][0]["records"] >= 4 * EVENTS


def test_every_page_and_the_gate_answered(document: dict[str, Any]) -> None:
    for page in document["rounds"]["k"][0]["pages"].values():
        assert set(page["statuses"]) <= {"200", "302"}
    assert set(document["rounds"]["kg"][0]["statuses"]) == {"200"}
