"""What a person is told who seals by hand."""

from __future__ import annotations

from collections.abc import Callable

from tests.cli.typed import Typed
from tests.flow.strangers import strangers_transaction
from tests.flow.world import Flow, thing

Passgate = Callable[..., Typed]


def test_sealing_says_what_lies_behind_the_cut_and_may_wait_for_it(passgate: Passgate, flow: Flow) -> None:
    run = f"{flow.name}/r1"
    passgate(f"run open {run}")
    flow.produce([thing(1)])
    with strangers_transaction(flow, thing(2)):
        sealed = passgate(f"run seal {run} --wait 1s")
        first, second = sealed.out.splitlines()
        assert first == f"{run} is sealed: window 1 is cut, inbox/0 at 1."
        assert second.startswith("1 offset of inbox/0 waits behind an open transaction since ")
        assert second.endswith(" and goes to the next window.")
        told = passgate(f"run seal {run} --json").json
    assert (told["result"], [x["to"] for x in told["behind"]]) == ("same", [2])
    refused = passgate(f"run totals {run} thing=1")
    assert (refused.code, "[totals_stand]" in refused.err) == (3, True)
