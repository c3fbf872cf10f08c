"""`passgate` on redrives and reruns, as the API has them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.api.test_reruns import strict
from tests.cli.test_plan import names
from tests.flow.world import Flow, thing

if TYPE_CHECKING:
    from tests.cli.typed import Typed

Typing = Callable[..., "Typed"]
__all__ = ["strict"]


def test_a_redrive_from_preview_to_the_reruns_gate(passgate: Typing, strict: Flow) -> None:
    ana, bo, run = names("operator"), names("approver"), f"{strict.name}/r1"
    seen = passgate(f"plan preview redrive {run} --reason-code TOO_LARGE")
    assert seen.code == 0 and "Under contract version 2: 2 would be admitted" in seen.out
    about = f"redrive {run} --window 1 --reason-code TOO_LARGE --first 1"
    made = passgate(f"plan submit {about} --as {ana} --because 'too strict' --json").json
    plan = made["plan"]
    passgate(f"plan approve {plan} --digest {made['digest']} --as {bo}")
    assert passgate(f"plan run {plan}").code == 4, "held after the first"
    passgate(f"plan resume {plan} --as {ana}")
    assert passgate(f"plan run {plan}").code == 0
    shown = passgate(f"plan show {plan}")
    assert "2 items: 2 ADMITTED" in shown.out
    assert f"rerun: passgate run show {run} --window 1 --rerun 1" in shown.out
    strict.work()
    strict.sample()
    assert passgate(f"gate {run} --window 1 --rerun 1").code == 4
    closed = passgate(f"run close {run} --window 1 --rerun 1")
    assert closed.code == 0 and "Window 1 rerun 1 is PASS" in closed.out
    gate = passgate(f"gate {run} --window 1 --rerun 1")
    assert gate.code == 0 and f"{run} window 1 rerun 1: the gate is OPEN" in gate.out
    assert passgate(f"gate {run} --window 1 --rerun 1 --json").json["rerun"] == 1
    assert passgate(f"gate {run} --window 1 --rerun 2").code == 2
    listed = passgate(f"run show {run}")
    _, _, reruns = listed.out.partition("Reruns of window 1")
    assert [word for word in ("CUT", "#2 PASS", "open", "v2", ana, bo) if word not in reruns] == []
    assert f"{run}#2 (window 1 rerun 1) PASS" in listed.out
    of_rerun = passgate(f"run show {run} --window 1 --rerun 1")
    assert of_rerun.out.startswith(f"{run} window 1 rerun 1 ·") and "Window 1 rerun 1 is PASS" in of_rerun.out
    assert passgate(f"run windows {run} --json").json["items"][0]["reruns"][0]["plan"] == plan


def test_items_with_a_correction(passgate: Typing, strict: Flow, tmp_path: Path) -> None:
    ana, bo, run = names("operator"), names("approver"), f"{strict.name}/r1"
    first, second = [each["item"] for each in passgate(f"quarantine list {run} --json").json["items"]]
    right = tmp_path / "right.json"
    right.write_bytes(thing(7))
    about = f"redrive {run} --items {first},{second} --contract 2 --correction {second}={right}"
    made = passgate(f"plan submit {about} --as {ana} --because why --json").json
    assert made["does"].startswith("redrive 2 items, 1 of them corrected, of")
    passgate(f"plan approve {made['plan']} --digest {made['digest']} --as {bo}")
    assert passgate(f"plan run {made['plan']}").code == 0
    shown = passgate(f"quarantine show {second}")
    assert f"redriven by plan {made['plan']}" in shown.out and f"ADMITTED, corrected by {ana}" in shown.out


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("plan preview redrive {run}", "a redrive needs --reason-code, or --items"),
        ("plan preview redrive {run} --reason-code TOO_LARGE --items 1", "a redrive needs --reason-code, or --items"),
        ("plan preview redrive {run} --items 1,x", "numbers of items are expected"),
        ("plan preview redrive {run} --items 1 --correction 1", "ITEM=FILE"),
        ("plan preview redrive {run} --items 1 --correction 1=/no/such/file", "No such file"),
        ("gate {run} --rerun 1", "--rerun goes with --window"),
        ("run close {run} --rerun 1", "goes with --window"),
        ("run show {run} --rerun 1", "goes with --window"),
        ("quarantine resolve 1 --resolution REDRIVEN --because x", "'REDRIVEN' is not one of"),
    ],
)
def test_what_is_no_command(passgate: Typing, line: str, said: str) -> None:
    answer = passgate(line.format(run="flights/r1"))
    assert answer.code == 2 and said in answer.err
