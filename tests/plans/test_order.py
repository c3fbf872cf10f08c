"""Projections that keep the order of each key: what comes late wants a consent, which verdict and page show."""

from __future__ import annotations

import html
from typing import Any

import pytest

from audit.close import window_of
from audit.core.verdict import State as Verdict
from audit.fsck import fsck
from console import links
from console.permissions import Role
from console.reads.offers import offer_command
from ingest.core.errors import SettingsError
from ingest.projections.base import check_projection, load_projection
from ingest.projections.weather import Weather
from plans.core.plan import State
from plans.errors import ConsentNeeded, SamePerson
from plans.offers import redrives_of
from plans.preview import preview
from plans.submit import submit
from tests.api.caller import caller
from tests.cli.typed import typed
from tests.flow.test_projections import WEATHER, report
from tests.flow.world import Flow
from tests.pages.conftest import signed_in
from tests.plans.crowd import Crowd, plan_row, run_to, say_yes
from tests.plans.test_free import alone, free_records
from tests.plans.test_redrive import PAD, judge_rerun
from tests.plans.test_waive import blocked, open_items

CLASS = "ingest.projections.weather:Weather"
SMALL = WEATHER.replace("value_bytes = 4096", "value_bytes = 512")


@pytest.fixture
def flow(live: object, monkeypatch: pytest.MonkeyPatch) -> Flow:
    """One report was too large, and two of its key came later; the contract takes it now, and 100 records are free."""
    monkeypatch.setattr("ingest.worker.IDLE_SECONDS", 0.3)
    monkeypatch.setattr(Weather, "order", "key")
    flow = blocked(Flow(contract=SMALL), [report(1), report(2, pad=PAD), report(3), report(4)])
    flow.contract = WEATHER + "[plans]\nfree_records = 100\n"
    flow.load()
    return flow


def asked(flow: Flow, **more: Any) -> dict[str, Any]:
    return {"stream": flow.name, "run": "r1", "items": open_items(flow), **more}


def test_what_comes_late_is_refused_without_a_consent_by_name(flow: Flow, crowd: Crowd) -> None:
    seen = preview("redrive", asked(flow))
    assert seen.prediction.lines[-2:] == (
        "2 later events of the same Kafka keys are applied already.",
        "The projection keeps the order of each key: asking for this wants an explicit consent (out_of_order).",
    )
    with pytest.raises(ConsentNeeded) as refused:
        submit("redrive", asked(flow), crowd.asker, "why", crowd.people)
    assert refused.value.code == "order_consent"
    with pytest.raises(ConsentNeeded):
        submit("replay", {**asked(flow), "window": 1, "whole": True}, crowd.asker, "why", crowd.people)
    consenting = preview("redrive", asked(flow, out_of_order=True))
    assert consenting.digest != seen.digest and consenting.binds["asked"]["out_of_order"] is True


def test_a_consent_is_signed_and_the_verdict_and_its_page_name_it(flow: Flow, crowd: Crowd) -> None:
    number = submit("redrive", asked(flow, out_of_order=True), crowd.asker, "it is needed", crowd.people)
    say_yes(crowd, number)
    run_to(crowd, number, State.DONE)
    flow.work()
    stored = judge_rerun(flow)
    assert stored.verdict.state is Verdict.PASS, stored.sentence
    (row,) = flow.rows(
        "SELECT v.body -> 'rerun' AS rerun FROM verdict v JOIN run r ON r.id = v.run_id"
        " JOIN stream s ON s.id = r.stream_id WHERE s.name = %(name)s AND v.body ? 'rerun'"
    )
    assert row.rerun["out_of_order"] is True and row.rerun["requested_by"] == crowd.asker.name
    consent = f"consented to by {crowd.asker.name}, approved by {crowd.approver.name}"
    client = signed_in("dora", Role.DATA_ENGINEER)
    name, _, verdict = stored.name.rpartition("#")
    for path in (links.rerun_url(flow.name, "r1", 1, 1), links.verdict_url(flow.name, "r1", int(verdict))):
        assert consent in html.unescape(client.get(path).content.decode()), path
    document = caller("data engineer").get(f"streams/{flow.name}/runs/r1").json()
    assert document["windows"][0]["reruns"][0]["out_of_order"] is True
    assert fsck(stream=flow.name) == []


def test_a_consent_is_nobody_s_alone(flow: Flow, crowd: Crowd) -> None:
    both = crowd.somebody("operator", "approver")
    number = submit("redrive", asked(flow, out_of_order=True), both, "why", crowd.people)
    assert free_records(number).says == "Not free: a plan like this one always wants a second person."
    with pytest.raises(SamePerson):
        alone(crowd, number, both)


def test_the_database_holds_a_consent_against_the_plan(
    flow: Flow, crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Weather, "order", "")
    number = submit("redrive", asked(flow), crowd.asker, "why", crowd.people)
    say_yes(crowd, number)
    monkeypatch.setattr("plans.kinds.redrive.consented", lambda binds: True)
    run_to(crowd, number, State.HELD)
    assert f"plan {number} asks for no such rerun" in plan_row(number).held_why


def test_an_order_that_is_kept_since_voids_what_nobody_consented_to(
    flow: Flow, crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Weather, "order", "")
    assert "out_of_order" not in preview("redrive", asked(flow, out_of_order=True)).binds["asked"], (
        "nothing to consent to"
    )
    number = submit("redrive", asked(flow), crowd.asker, "why", crowd.people)
    say_yes(crowd, number)
    monkeypatch.setattr(Weather, "order", "key")
    run_to(crowd, number, State.VOID)
    assert "nobody has consented" in plan_row(number).void_why


def test_each_face_takes_the_consent(flow: Flow, crowd: Crowd) -> None:
    (item,) = open_items(flow)
    body = {"kind": "redrive", "stream": flow.name, "run": "r1", "items": [item], "reason": "why"}
    api = caller("data engineer")
    told = api.post("plans/", body)
    assert (told.status_code, told.json()["code"]) == (409, "order_consent")
    assert api.post("plans/", body | {"out_of_order": True}).status_code == 201
    ask = f"plan submit redrive {flow.name}/r1 --items {item} --because why --as {crowd.asker.name}"
    assert typed(ask).code != 0 and "no consent" in typed(ask).err
    assert typed(f"{ask} --out-of-order").code == 0
    (offer,) = redrives_of(window_of(flow.name, "r1", 1))
    assert offer.lacks == ("out_of_order",) and "--out-of-order" in offer_command(offer, f"{flow.name}/r1")
    url = f"/plans/new?kind=redrive&items={item}"
    client = signed_in("dora", Role.DATA_ENGINEER)
    page = client.get(url).content.decode()
    assert 'name="out_of_order" type="checkbox"' in page and "wants an explicit consent" in page
    page = client.get(f"{url}&out_of_order=yes").content.decode()
    assert "whoever asks consents to what comes late" in page and "--out-of-order" in page


def test_an_order_that_is_none_is_refused_at_load(live: object, monkeypatch: pytest.MonkeyPatch) -> None:
    load_projection(CLASS)
    monkeypatch.setattr(Weather, "order", "id")
    with pytest.raises(SettingsError, match="order"):
        check_projection(CLASS)
