"""An act of the demo is tried again where its answer says so, in the open, and never where it does not."""

from __future__ import annotations

import io

import pytest

from console.cli import base
from trials.demo import acts
from trials.demo.telling import Teller

LATER = acts.Answer(3, f"Kafka does not answer\n  {base.CAN_SUCCEED_LATER}\n")
NEVER = acts.Answer(3, "there is no such run\n")
DONE = acts.Answer(0, "cut\n")


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    return io.StringIO()


def answers(monkeypatch: pytest.MonkeyPatch, *given: acts.Answer) -> list[acts.Answer]:
    left = list(given)
    monkeypatch.setattr(acts, "run", lambda words, stdin="": left.pop(0))
    return left


def test_what_can_succeed_later_is_run_again_and_shown(said: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    left = answers(monkeypatch, LATER, LATER, DONE)
    assert acts.Commands(Teller(said)).run("run", "cut") == DONE
    assert left == []
    assert said.getvalue().count("Kafka does not answer") == said.getvalue().count("again, in") == 2


def test_it_is_not_tried_for_ever(said: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    left = answers(monkeypatch, *[LATER] * (len(acts.PAUSES) + 1), DONE)
    with pytest.raises(acts.ActFailed, match="Kafka does not answer"):
        acts.Commands(Teller(said)).run("run", "cut")
    assert left == [DONE]


def test_what_cannot_is_not_run_again(said: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    left = answers(monkeypatch, NEVER, DONE)
    with pytest.raises(acts.ActFailed, match="no such run"):
        acts.Commands(Teller(said)).run("run", "cut")
    assert left == [DONE]


def test_an_exit_code_that_the_story_tells_is_its_end(said: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    left = answers(monkeypatch, LATER, DONE)
    assert acts.Commands(Teller(said)).run("run", "close", codes=(0, 3)) == LATER
    assert left == [DONE]
