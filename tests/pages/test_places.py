"""A window that failed, and the run that took its place: what pages say of each, and what they offer to ask for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from django.test import Client

from console.reads.needs import needs
from plans.models import Plan
from tests.flow.world import Flow, leave, thing
from tests.pages.test_pages import get
from tests.pages.test_reruns import leases_last, words
from tests.plans.crowd import Crowd
from tests.plans.test_redrive import large, small_flow
from tests.plans.test_replay import fail_window, fresh, replayed

pytestmark = pytest.mark.usefixtures("live")


@dataclass(frozen=True)
class PlaceStage:
    """A run whose only window failed; later another run takes its place."""

    flow: Flow
    crowd: Crowd

    @property
    def path(self) -> str:
        return f"/runs/{self.flow.name}/r1/"

    @property
    def asks(self) -> str:
        return f"/plans/new?kind=replay&run={self.flow.name}%2Fr1&window=1&mode=fresh&ranges=whole"


@pytest.fixture(scope="module")
def lost(stack: object, django_db_blocker: object) -> Iterator[PlaceStage]:
    with django_db_blocker.unblock(), pytest.MonkeyPatch.context() as patch:  # type: ignore[attr-defined]
        patch.setattr("ingest.worker.IDLE_SECONDS", 0.3)
        flow = small_flow(Flow, automatic="false", quarantine_open_max=1)
        flow.open()
        flow.produce([thing(1), thing(2), large(3)])
        flow.work()
        fail_window(flow)
        flow.cut()
        flow.work()
        assert flow.judge().verdict.title == "FAIL"
        yield PlaceStage(flow, Crowd())
        leave([flow.name])


@pytest.fixture(scope="module")
def replaced(lost: PlaceStage, django_db_blocker: object) -> PlaceStage:
    with django_db_blocker.unblock():  # type: ignore[attr-defined]
        replayed(lost.crowd, lost.flow, whole=True, mode="fresh")
        lost.flow.work()
        return lost


def test_a_window_that_failed_stands_on_now(lost: PlaceStage) -> None:
    assert lost.flow.name in [each.run.stream for each in needs().fallen]


def test_a_window_that_failed_leads_to_asking_for_a_run_in_its_place(operator: Client, lost: PlaceStage) -> None:
    for path in (lost.path, f"{lost.path}windows/1/"):
        page = get(operator, path)
        assert lost.asks in page.links, path
        assert "Request redrive of 1 TOO_LARGE" in page.text, path


def test_nothing_is_offered_that_is_refused_once_a_run_takes_the_place(operator: Client, replaced: PlaceStage) -> None:
    name = f"{replaced.flow.name}/r1.r1"
    for path in (replaced.path, f"{replaced.path}windows/1/"):
        page = get(operator, path)
        assert not [link for link in page.links if link.startswith("/plans/new")], path
        assert f"Its place is taken by {name} once that has passed." in words(page), path


def test_both_say_who_is_read_in_whose_place(operator: Client, replaced: PlaceStage) -> None:
    name = replaced.flow.name
    ahead = f"Will take, once it has passed, the place of window 1 of {name}/r1 which stays shut."
    assert ahead in words(get(operator, f"/runs/{name}/r1.r1/"))
    assert fresh(replaced.flow).verdict.title == "PASS"
    leases_last(replaced.flow)
    for part in ("", "gate", "windows/1/", "basis", "lineage"):
        page = get(operator, f"{replaced.path}{part}")
        assert f"Superseded: {name}/r1.r1 is read in its place." in words(page), part
        assert f"/runs/{name}/r1.r1/" in page.links, part
    page = get(operator, f"/runs/{name}/r1.r1/")
    assert f"Takes the place of window 1 of {name}/r1 which stays shut." in words(page)
    assert f"{replaced.path}windows/1/" in page.links
    assert f"The latest verdict is FAIL. {name}/r1.r1 is read in its place." in words(get(operator, replaced.path))
    assert f"superseded: {name}/r1.r1" in words(get(operator, f"{replaced.path}windows/"))
    plan = Plan.objects.get(run__stream__name=name)
    page = get(operator, f"/plans/{plan.pk}")
    assert f"It goes into {name}/r1.r1 , which is judged and read by itself." in words(page)


def test_what_is_superseded_waits_for_nobody(lost: PlaceStage, replaced: PlaceStage) -> None:
    assert replaced.flow.name not in [each.run.stream for each in needs().fallen]


def test_the_lineage_names_the_place_and_does_not_chain_it(operator: Client, replaced: PlaceStage) -> None:
    page = get(operator, f"{replaced.path}lineage")
    plan = Plan.objects.get(run__stream__name=replaced.flow.name)
    assert "r1.r1 for window 1 of r1" in words(page)
    assert "r1.r1 in the place of window 1 of r1" in words(page)
    assert f"/plans/{plan.pk}" in page.links
    assert 'class="chain"' not in page.text


def test_a_plan_says_into_what_it_reads(operator: Client, replaced: PlaceStage) -> None:
    plan = Plan.objects.get(run__stream__name=replaced.flow.name)
    name, said = replaced.flow.name, words(get(operator, f"/plans/{plan.pk}"))
    into = f"again, into {name}/r1.r1, which takes its place."
    assert f"asks to read 3 offsets of {name}/r1 window 1 {into}" in said
    assert "{" not in said.partition("The facts it is about")[2].partition("What is signed")[0]
