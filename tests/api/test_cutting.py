"""What the API answers to cutting, and to totals that come after it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.flow.strangers import strangers_transaction
from tests.flow.world import Flow, thing

if TYPE_CHECKING:
    from tests.api.caller import Caller

Call = Callable[..., "Caller"]


def test_cutting_answers_what_lies_behind_the_cut(call: Call, flow: Flow) -> None:
    ana = call("operator")
    path = f"streams/{flow.name}/runs/r1"
    ana.put(path)
    flow.produce([thing(1), thing(2)])
    with strangers_transaction(flow, thing("strange")):
        flow.sample()
        cut = ana.post(f"{path}/cut").json()
        again = ana.post(f"{path}/cut").json()
    (behind,) = cut["behind"]
    assert (behind["source"], behind["from"], behind["to"]) == ("inbox/0", 2, 3)
    assert behind["since"].endswith("Z")
    assert cut["cuts"] == {"inbox/0": 2}
    assert again["behind"] == cut["behind"]


def test_totals_after_the_cut_are_refused(call: Call, flow: Flow) -> None:
    ana = call("operator")
    path = f"streams/{flow.name}/runs/r1"
    ana.put(path)
    ana.post(f"{path}/cut", {"totals": {"thing": 5}})
    for refused in (
        ana.put(f"{path}/totals", {"totals": {"thing": 4}}),
        ana.post(f"{path}/cut", {"totals": {"thing": 4}}),
    ):
        assert (refused.status_code, refused.json()["code"]) == (409, "totals_stand")
    assert ana.put(f"{path}/totals", {"totals": {"thing": 5}}).status_code == 200
    assert [t["declared"] for t in ana.get(f"{path}/totals").json()["totals"]] == [5]


def test_the_path_and_the_words_of_before_answer_for_one_version(call: Call, flow: Flow) -> None:
    ana, path = call("operator"), f"streams/{flow.name}/runs/r1"
    ana.put(path)
    old = ana.post(f"{path}/seal", {"totals": {"thing": 0}})
    assert (old.status_code, old.json()["state"]) == (200, "CUT")
    assert old.json()["sealed_at"] == old.json()["cut_at"] is not None
    assert old.headers["Deprecation"] == "@1796083200"  # RFC 9745: a Date of structured fields
    assert old.headers["Link"] == f'</api/v1/{path}/cut>; rel="successor-version"'
    new = ana.post(f"{path}/cut")
    assert new.json()["cuts"] == old.json()["cuts"]
    assert "Deprecation" not in new.headers and "Link" not in new.headers
    listed = ana.get(f"streams/{flow.name}/runs/?state=SEALED")
    assert ([run["run"] for run in listed.json()["items"]], listed.headers["Deprecation"]) == (["r1"], "@1796083200")
    assert "Deprecation" not in ana.get(f"streams/{flow.name}/runs/?state=CUT").headers


def test_a_refusal_on_the_path_of_before_says_so_too(call: Call) -> None:
    refused = call("viewer").post("streams/nope/runs/~aaaaaaaaaaaaaaaa/seal")
    assert (refused.status_code, refused.headers["Deprecation"]) == (403, "@1796083200")
    assert refused.headers["Link"].startswith("</api/v1/streams/nope/runs/~aaaaaaaaaaaaaaaa/cut>")


def test_the_document_marks_what_is_deprecated() -> None:
    from tests.api.caller import document

    runs = "/streams/{stream}/runs/{run}"
    deprecated = {path: document()["paths"][runs + path]["post"].get("deprecated", False) for path in ("/seal", "/cut")}
    assert deprecated == {"/seal": True, "/cut": False}
    members = document()["components"]["schemas"]["RunAnswer"]["properties"]
    assert [name for name, shape in members.items() if shape.get("deprecated")] == ["sealed_at"]
