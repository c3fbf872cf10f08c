"""What the API answers to sealing, and to totals that come after it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.flow.strangers import strangers_transaction
from tests.flow.world import Flow, thing

if TYPE_CHECKING:
    from tests.api.caller import Caller

Call = Callable[..., "Caller"]


def test_sealing_answers_what_lies_behind_the_cut(call: Call, flow: Flow) -> None:
    ana = call("operator")
    path = f"streams/{flow.name}/runs/r1"
    ana.put(path)
    flow.produce([thing(1), thing(2)])
    with strangers_transaction(flow, thing("strange")):
        flow.sample()
        sealed = ana.post(f"{path}/seal").json()
        again = ana.post(f"{path}/seal").json()
    (behind,) = sealed["behind"]
    assert (behind["source"], behind["from"], behind["to"]) == ("inbox/0", 2, 3)
    assert behind["since"].endswith("Z")
    assert sealed["cuts"] == {"inbox/0": 2}
    assert again["behind"] == sealed["behind"]


def test_totals_after_the_cut_are_refused(call: Call, flow: Flow) -> None:
    ana = call("operator")
    path = f"streams/{flow.name}/runs/r1"
    ana.put(path)
    ana.post(f"{path}/seal", {"totals": {"thing": 5}})
    for refused in (
        ana.put(f"{path}/totals", {"totals": {"thing": 4}}),
        ana.post(f"{path}/seal", {"totals": {"thing": 4}}),
    ):
        assert (refused.status_code, refused.json()["code"]) == (409, "totals_stand")
    assert ana.put(f"{path}/totals", {"totals": {"thing": 5}}).status_code == 200
    assert [t["declared"] for t in ana.get(f"{path}/totals").json()["totals"]] == [5]
