"""A fault that cannot be played to its end is a problem, and the others are played all the same."""

from __future__ import annotations

import io
from typing import Any

import pytest

from trials.demo.telling import Teller
from trials.drill import runner
from trials.drill.faults import Fault
from trials.drill.judgement import Expectation, Observation, ProblemKind, exit_code
from trials.drill.scenario import DrillFailed, Ground

IDS = frozenset({"1"})


class Acted:
    """A stage on which nothing is real."""

    def __init__(self, ground: Ground, name: str) -> None:
        self.ground, self.name = ground, name
        self.stuck = name == "stuck"

    def conclude(self, expected: Expectation, injected: str) -> Observation:
        if self.stuck:
            raise DrillFailed(expected="the run to be cut", found="no answer")
        return Observation(
            self.name, injected, IDS, {"1": 2 if self.name == "doubling" else 1}, strange=0, effects=1,
            verdicts=("PASS",), sentence="PASS", open_after=True,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("names", "code", "wrong"),
    [
        (["good", "good-too"], 0, []),
        (["good", "doubling"], 1, [ProblemKind.DOUBLED]),
        (["stuck", "good"], 1, [ProblemKind.NOT_PLAYED]),
        (["missed", "good"], 1, [ProblemKind.NOT_PLAYED]),
    ],
)
@pytest.mark.parametrize("waits", [False, True])
def test_all_are_played_and_any_problem_is_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, names: list[str], code: int, wrong: list[ProblemKind], waits: bool
) -> None:
    monkeypatch.setattr(runner, "Stage", Acted)
    ground: Any = Ground(None, None, Teller(io.StringIO()))  # type: ignore[arg-type]
    faults = [Fault(name, lambda stage: "" if stage.name == "missed" else "done", waits=waits) for name in names]
    results = [runner.play_one(ground, fault)() for fault in faults]
    assert [seen.name for seen, _ in results] == names
    assert [problem.kind for _, found in results for problem in found] == wrong
    assert exit_code({seen.name: found for seen, found in results}) == code
