"""What windows go on without is said on their run's page, by `passgate run show` and in the API, while it is so."""

from __future__ import annotations

import html
import uuid

import pytest
from django.test import Client

from audit.close import close_run
from audit.go_on import go_on
from audit.notices import notices_of
from console.documents.runs import one_run_document
from console.phrases import notice_words
from ingest.core.ids import RunId
from ingest.models import Run
from stack import Stack
from tests.audit.test_contexts import contradicted
from tests.audit.test_gate import broker_away
from tests.cli.typed import typed
from tests.flow import test_projections as p
from tests.flow.world import Flow, thing


def said(flow: Flow, operator: Client) -> list[tuple[int, str, str]]:
    """The same on all three faces."""
    run = Run.objects.select_related("stream", "contract").get(stream__name=flow.name, name="r1")
    found = notices_of(RunId(run.pk))
    told = [{"window": each.window, "text": each.text, "next": each.act} for each in found]
    assert one_run_document(run)["notices"] == told
    page = html.unescape(operator.get(f"/runs/{flow.name}/r1/").content.decode())
    shown = typed(f"run show {flow.name}/r1")
    assert shown.code == 0, shown.err
    words = " ".join(shown.out.split())
    for each in found:
        assert notice_words(each) in page
        assert notice_words(each) in words
    if not found:
        assert 'class="notice"' not in page
    return [(each.window, each.text, each.act) for each in found]


def test_a_contract_that_cannot_be_used_yet(live: Stack, operator: Client) -> None:
    flow = Flow()
    flow.open()
    assert said(flow, operator) == []
    usable, flow.contract = (
        flow.contract,
        flow.contract.replace('[bus]\ntopic = "{name}.bus"', '[bus]\ntopic = "other.bus"'),
    )
    assert usable != flow.contract
    flow.load()
    held = "contract v1 holds on: v2 names other topics or partitions, which takes a new run"
    act = "load a version that can be used, or open a new run under this one"
    assert said(flow, operator) == [(1, held, act)]
    assert held in go_on(flow.name, "r1", "test").notes
    assert said(flow, operator) == [(2, held, act)]
    flow.contract = usable
    flow.load()
    assert said(flow, operator) == []  # the next window goes on under it


def test_an_end_that_kafka_did_not_tell(live: Stack, operator: Client) -> None:
    flow = Flow()
    flow.open()
    flow.produce([thing(1)])
    flow.work()
    with broker_away():
        go_on(flow.name, "r1", "test")
    ((window, text, act),) = said(flow, operator)
    assert (window, text) == (1, "what Kafka says of its end is not known, for it did not answer at the cut")
    assert act == "make Kafka reachable: its end is then looked at by itself"
    flow.work()
    flow.sample()
    assert close_run(flow.name, "r1", "test", 1).verdict.title == "PASS"
    assert said(flow, operator) == []


@pytest.fixture
def weather(live: Stack) -> Flow:
    flow = Flow(contract=p.WEATHER, name=f"weather{uuid.uuid4().hex[:8]}")
    flow.open()
    weather_passes(flow, 1)
    return flow


def weather_passes(weather: Flow, hour: int) -> None:
    before = weather.count("effect")
    weather.produce([p.report(hour)])
    weather.work_until(lambda: weather.count("effect") == before + 1)
    window = go_on(weather.name, "r1", "test").cut.window
    weather.sample()
    assert close_run(weather.name, "r1", "test", window).verdict.title == "PASS"


def test_a_context_of_which_nothing_stands_any_more(weather: Flow, operator: Client) -> None:
    flow = p.joined(weather)
    flow.open()
    go_on(flow.name, "r1", "test")
    assert said(flow, operator) == []  # the same PASS again is no want
    contradicted(weather, 1)
    assert close_run(weather.name, "r1", "test", 1).verdict.title == "FAIL"
    go_on(flow.name, "r1", "test")
    ((window, text, act),) = said(flow, operator)
    assert (window, act) == (3, f"see to {weather.name}: the next window takes its next PASS")
    assert text == f"context weather is {weather.name}/r1#1, as for the window before: no PASS of {weather.name} stands"
    weather_passes(weather, 2)
    assert said(flow, operator) == []


def test_a_context_of_the_cuts_time_that_has_no_pass_yet(weather: Flow, operator: Client) -> None:
    text = p.FLIGHTS.replace("{weather}", weather.name).replace("[context.", '[context]\npin = "cut"\n[context.')
    flow = Flow(contract=text, name=f"flights{uuid.uuid4().hex[:8]}")
    flow.open()
    assert said(flow, operator) == []
    go_on(flow.name, "r1", "test")
    ((window, words, act),) = said(flow, operator)
    assert (window, act) == (1, "wait until that window has PASS")
    assert words.endswith(f"({weather.name}/r1 window 2) is not cut yet")
    weather_passes(weather, 2)
    flow.sample()
    close_run(flow.name, "r1", "test", 1)
    assert said(flow, operator) == []
