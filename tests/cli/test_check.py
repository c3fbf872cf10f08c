"""`passgate check`: each check has its line, one that is not good is exit code 1, and other words are Django's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.template import Engine

from console.cli import check, main
from console.cli.templates import LONGEST_LINE, crowded, faults
from stack.bootstrap import RUN_LOCK, TEST_LOCK, locks_for
from tests.cli.typed import Typed, typed

GOOD, BAD = ("-c", "print('all is well')"), ("-c", "print('line 7 is wrong'); raise SystemExit(1)")
LINE = re.compile(r"(\w+): +(good|FAILED) \([0-9]+\.[0-9] s\)")


def checked(line: str, monkeypatch: pytest.MonkeyPatch, **checks: tuple[str, ...]) -> tuple[Typed, dict[str, str]]:
    monkeypatch.setattr(check, "CHECKS", checks)
    answer = typed(line)
    return answer, dict(LINE.findall(answer.out))


def test_each_says_how_it_went_and_only_a_failed_one_what_it_said(monkeypatch: pytest.MonkeyPatch) -> None:
    answer, lines = checked("check", monkeypatch, types=GOOD, ruff=BAD, format=GOOD)
    assert answer.code == 1
    assert lines == {"types": "good", "ruff": "FAILED", "format": "good"}
    assert "line 7 is wrong" in answer.out and "all is well" not in answer.out


def test_where_all_is_good_the_code_is_0(monkeypatch: pytest.MonkeyPatch) -> None:
    answer, lines = checked("check", monkeypatch, types=GOOD, ruff=GOOD)
    assert (answer.code, lines) == (0, {"types": "good", "ruff": "good"})


def test_names_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    answer, lines = checked("check types", monkeypatch, types=GOOD, ruff=BAD)
    assert (answer.code, lines) == (0, {"types": "good"})


@pytest.mark.parametrize("words", ["--deploy", "--deploy --fail-level WARNING", "console", "--tag security"])
def test_other_words_are_djangos(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[list[str]] = []
    monkeypatch.setattr(main, "run_django", given.append)
    checked(f"check {words}", monkeypatch, ruff=BAD)
    assert given == [["check", *words.split()]]


def test_without_a_clone_all_of_it_is_djangos(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[list[str]] = []
    monkeypatch.setattr(main, "run_django", given.append)
    monkeypatch.setattr(check, "is_clone", lambda: False)
    checked("check", monkeypatch, ruff=BAD)
    assert given == [["check"]]


def test_linters_are_installed_for_the_code_and_not_for_a_deployment() -> None:
    assert TEST_LOCK in locks_for(["check"]) and TEST_LOCK in locks_for(["check", "ruff"])
    assert locks_for(["check", "--deploy"]) == (RUN_LOCK,)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{% if x %}", "Unclosed tag on line 1: 'if'"),
        ("{{ x|no_such_filter }}", "Invalid filter: 'no_such_filter'"),
        ("\n{% include 'none.html' %}", "line 2: there is no template none.html"),
        ("{% extends 'none.html' %}", "line 1: there is no template none.html"),
        ("{% if x %}\n{% url 'nowhere' %}{% endif %}", "line 2: there is no page called nowhere"),
        ("{% load static %}{% static 'none.css' %}", "line 1: there is no static file none.css"),
    ],
)
def test_a_template_that_cannot_be_rendered_is_named(text: str, fault: str, tmp_path: Path) -> None:
    (tmp_path / "bad.html").write_text(text)
    engine = Engine([str(tmp_path)], libraries=Engine.get_default().libraries)
    (found,) = faults(engine)
    assert found.startswith(f"{tmp_path}/bad.html: {fault}")


def test_what_is_known_only_later_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "good.html").write_text(
        "{% load static %}{% include part %}{% url page %}{% static sheet %}{% url 'now' %}{% include 'good.html' %}"
    )
    assert list(faults(Engine([str(tmp_path)], libraries=Engine.get_default().libraries))) == []


def test_ours_have_none() -> None:
    assert list(faults(Engine.get_default())) == []


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("<p>" + "x" * (LONGEST_LINE - 7) + "</p>", []),
        ("<p>" + "x" * (LONGEST_LINE - 6) + "</p>", ["line 1: 121 characters, and 120 are the most"]),
        ("<tr><td>7</td>", ["line 1: <tr> and <td> begin there: one element a line"]),
        ("<p>a <b>bold</b> word and <a href='/'>a link</a></p>", []),
    ],
)
def test_a_template_has_short_lines_and_one_block_element_in_each(line: str, told: list[str]) -> None:
    assert list(crowded(line)) == told
