"""The pages that the demo leaves to be looked at are pages, and what it says of Now can fail."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from django.urls import resolve

from trials.demo import scenario
from trials.demo.summary import pages
from trials.demo.told import Expectations
from trials.demo.visitor import words_of

NOW = "Needs you <a>ana asks to let QUARANTINE of flights/2013-02 stand</a> <a>Approve</a>"
ELSEWHERE = "Needs you Nothing waits for you. Waits for other people flights/2013-02 Approve"


def play(**more: Any) -> Any:
    left = SimpleNamespace(run_name="2013-02")
    return SimpleNamespace(left=left, ticking="2026-11-30", waiting=3, **more)


def test_each_page_that_is_named_is_one() -> None:
    names = [resolve(place.path).url_name for place in pages(play())]
    assert len(names) == len({place.path for place in pages(play())})
    assert {"now", "run", "window", "rerun", "windows", "lineage", "gate", "plans", "plan"} <= set(names)


def test_what_a_page_says() -> None:
    assert words_of("<p class='a'>2 &lt; 3\n <b>so</b></p>") == "2 < 3 so"


class Opened:
    """A console that answers with one page, and with a status."""

    def __init__(self, now: str, status: int) -> None:
        self.now, self.status = now, status

    def read(self, path: str) -> tuple[int, str]:
        return 200, words_of(self.now)

    def open(self, path: str) -> tuple[int, str]:
        return self.status, ""


@pytest.mark.parametrize(("now", "status", "holds"), [(NOW, 200, 0), (ELSEWHERE, 200, 1), (NOW, 404, 1), ("", 500, 2)])
def test_what_waits_for_the_approver(monkeypatch: pytest.MonkeyPatch, now: str, status: int, holds: int) -> None:
    monkeypatch.setattr(scenario, "Visitor", lambda url, person: Opened(now, status))
    told = Expectations()
    stage = play(told=told, stack=SimpleNamespace(url="http://x"), sign_in=lambda role: None)
    scenario.Demo._waits_on_now(cast(Any, stage))
    assert len(told.points) == 2
    assert len(told.differences) == holds
