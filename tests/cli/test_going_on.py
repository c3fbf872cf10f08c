"""What a person is told who cuts a window and goes on, and who lists windows."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.cli.typed import Typed
from tests.flow.windows import run_of
from tests.flow.world import Flow, leave, thing

Passgate = Callable[..., Typed]


def test_going_on_says_what_is_cut_and_what_follows(passgate: Passgate, flow: Flow) -> None:
    run = f"{flow.name}/r1"
    passgate(f"run open {run}")
    flow.produce([thing(1)])
    flow.work()
    first = passgate(f"run cut {run} --go-on --window 1 --as ada")
    assert (first.code, first.out) == (
        0, f"{run} window 1 is cut: inbox/0 at 1.\n{run} window 2 is what follows.\n",
    )  # fmt: skip
    again = passgate(f"run cut {run} --go-on --window 1")
    assert (again.code, again.out) == (0, first.out.replace("is cut", "was cut already"))
    told = passgate(f"run cut {run} --go-on --window 2 --json").json
    assert (told["result"], told["window"], told["next"]) == ("cut", 2, {"run": "r1", "window": 3})
    other = passgate(f"run cut {run} --next-run r2")
    assert other.out.splitlines()[1] == f"{flow.name}/r2 window 1 is what follows."
    acts = flow.rows("SELECT actor FROM audit_log WHERE act = 'run.cut' AND subject = %(run)s ORDER BY id", run=run)
    assert acts[0].actor == "ada"


@pytest.mark.parametrize(
    ("line", "code", "word"),
    [
        ("run cut {run} --go-on --window 2", 3, "[window_not_open]"),
        ("run cut {run} --next-run r1", 3, "[run_name_taken]"),
        ("run cut {run} --window 1", 2, "goes with --go-on"),
        ("run cut {run} --go-on --wait 1s", 2, "nothing is waited for with --go-on"),
        ("run cut {run} --go-on --window 0", 2, "--window"),
        ("run cut {stream}/nope --go-on", 3, "[not_found]"),
    ],
)
def test_what_cannot_go_on_is_said_with_its_exit_code(
    passgate: Passgate, flow: Flow, line: str, code: int, word: str
) -> None:
    run = f"{flow.name}/r1"
    passgate(f"run open {run}")
    refused = passgate(line.format(run=run, stream=flow.name))
    assert (refused.code, word in refused.err) == (code, True), refused


def test_a_run_that_is_cut_does_not_go_on(passgate: Passgate, flow: Flow) -> None:
    run = f"{flow.name}/r1"
    passgate(f"run open {run}")
    passgate(f"run cut {run}")
    refused = passgate(f"run cut {run} --go-on")
    assert (refused.code, "[run_not_open]" in refused.err) == (3, True)


def test_windows_are_listed_and_no_list_hides_one_that_failed(passgate: Passgate) -> None:
    flow = Flow(automatic="false")
    run_of(flow, ["PASS", "FAIL", "PASS", "BLOCKED", "PASS", "OPEN"])
    run, stands = f"{flow.name}/r1", "window 2 FAIL, window 4 BLOCKED, 3 PASS, window 6 open"
    assert stands in passgate(f"run list {flow.name}").out
    assert f"The run: {stands}." in passgate(f"run show {run}").out
    listed = passgate(f"run windows {run}").out.splitlines()
    assert listed[0] == f"{run}: {stands}."
    assert [line.split()[0] for line in listed[2:]] == ["6", "5", "4", "3", "2", "1"]
    bad = passgate(f"run windows {run} --verdict FAIL").out.splitlines()
    assert [line.split()[:4] for line in bad[2:]] == [["2", "CUT", "#2", "FAIL"]]
    told = passgate(f"run windows {run} --limit 2 --json").json
    assert ([window["number"] for window in told["items"]], told["next"]) == ([6, 5], 5)
    assert "There are more: --before 5" in passgate(f"run windows {run} --limit 2").out
    rest = passgate(f"run windows {run} --before 5 --json").json
    assert ([window["number"] for window in rest["items"]], rest["next"]) == ([4, 3, 2, 1], None)
    gate = passgate(f"gate {run}")
    assert (gate.code, "3 of 6 windows are open to readers; not open: 2, 4 and 6." in gate.err) == (1, True), gate
    older = passgate(f"run show {run} --window 2").out
    assert f"{run}#2 FAIL" in older and f"{run}#5 PASS" not in older
    leave([flow.name])
