"""What a person is told who cuts by hand."""

from __future__ import annotations

from collections.abc import Callable

from tests.cli.typed import Typed
from tests.flow.strangers import strangers_transaction
from tests.flow.world import Flow, thing

Passgate = Callable[..., Typed]


def test_cutting_says_what_lies_behind_the_cut_and_may_wait_for_it(passgate: Passgate, flow: Flow) -> None:
    run = f"{flow.name}/r1"
    passgate(f"run open {run}")
    flow.produce([thing(1)])
    with strangers_transaction(flow, thing(2)):
        cut = passgate(f"run cut {run} --wait 1s")
        first, second = cut.out.splitlines()
        assert first == f"{run} is cut: window 1, inbox/0 at 1."
        assert second.startswith("1 offset of inbox/0 waits behind an open transaction since ")
        assert second.endswith(" and goes to the next window.")
        told = passgate(f"run cut {run} --json").json
    assert (told["result"], [x["to"] for x in told["behind"]]) == ("same", [2])
    refused = passgate(f"run totals {run} thing=1")
    assert (refused.code, "[totals_stand]" in refused.err) == (3, True)


def test_the_name_of_before_cuts_too_and_says_what_to_type(passgate: Passgate, flow: Flow) -> None:
    run = f"{flow.name}/r1"
    passgate(f"run open {run}")
    old = passgate(f"run seal {run} --totals thing=0 --as ada")
    assert old.err == (
        f"passgate: `run seal` is deprecated and goes with the next version. Type: passgate run cut {run}\n"
    )
    new = passgate(f"run cut {run}")
    assert (old.code, old.out.replace("is cut", "was cut already"), new.err) == (0, new.out, "")
    assert (
        flow.rows("SELECT actor FROM audit_log WHERE act = 'run.cut' AND subject = %(run)s", run=run)[0].actor == "ada"
    )
    assert "seal" not in passgate("run --help").out
