"""What pages do with values, without a database: text from outside, numbers, charts, searches, differences."""

from __future__ import annotations

import enum
import json
import re
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from django.db import DatabaseError
from django.template import Context, Template
from django.template.loader import render_to_string
from hypothesis import given
from hypothesis import strategies as st

from audit.core import verdict as v
from audit.core.checks import State
from audit.core.verdict import State as VerdictState
from console import links, permissions, phrases, safe_text
from console.pages.find import search
from console.pages.frame import charts, checks, contexts, fields, icons, words
from console.phrases import age_words
from console.templatetags.passgate import event_id
from ingest.core.masking import Masks
from ingest.core.reason import Decision, Flag, Reason
from ingest.models import AttemptState, ContextState, GapState, ItemState, RunState, WindowState
from tests.core.audit import world as w

NOW = datetime(2026, 1, 31, 2, 14, 7, 12_000, UTC)


# ---- text from outside


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("UA/1545", "UA/1545"),
        ("a\u202eb", "a\\u202Eb"),
        ("zero\u200bwidth\ufeff", "zero\\u200Bwidth\\uFEFF"),
        ("cafe\u0301", "cafe\\u0301"),
        ("caf\u00e9", "caf\u00e9"),
        ("a\r\n\x1b[31m\x00", "a\\r\\n\\u001B[31m\\u0000"),
        (" two  spaces ", "\\x20two \\x20spaces\\x20"),
        ("no\u00a0break", "no\\u00A0break"),
        ("\udcff", "\\xFF"),
        ("\ud800", "\\uD800"),
        ("\U000e0041", "\\U000E0041"),
    ],
)
def test_what_does_not_print_stands_as_its_code(text: str, expected: str) -> None:
    assert safe_text.plainly(text) == expected


@given(st.binary(max_size=200))
def test_any_bytes_can_be_shown(raw: bytes) -> None:
    text = "".join(piece.text for piece in safe_text.pieces(safe_text.text_of(raw)))
    assert text.isprintable()


def test_text_is_cut_and_the_rest_is_counted() -> None:
    assert safe_text.plainly("x" * 5_000, limit=10) == "xxxxxxxxxx… 4,990 more characters"


def test_html_is_escaped_and_direction_isolated() -> None:
    html = Template("{% load passgate %}{{ text|shown }}").render(Context({"text": '<script>"\u202e'}))
    assert html == ('<bdi class="shown">&lt;script&gt;&quot;<span class="esc">\\u202E</span></bdi>')


def test_template_syntax_from_outside_is_text() -> None:
    html = Template("{% load passgate %}{{ text|shown }}").render(Context({"text": "{{ 7|add:7 }}{% load x %}"}))
    assert "{{ 7|add:7 }}{% load x %}" in html


@pytest.mark.parametrize("value", ['["UA", 1545, "<b>"]', "not json", '{"a": 1}', "[]", '["\\u0000"]'])
def test_an_event_id_is_shown_whatever_it_is(value: str) -> None:
    assert "<b>" not in event_id(value)


# ---- numbers and times


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.4, "0.4 s ago"),
        (4, "4 s ago"),
        (362, "6 min 02 s ago"),
        (11_520, "3 h 12 min ago"),
        (190_000, "2 d 4 h ago"),
        (-7, "in 7 s"),
    ],
)
def test_ages_are_words(seconds: float, expected: str) -> None:
    assert age_words(seconds) == expected


def test_what_waits_says_since_when_or_nothing() -> None:
    """A line that stands for many has no time of its own: "since never" is none."""
    lines = [
        contexts.Todo("2 more runs are shut.", "/runs/", "GATE SHUT", "", None),
        contexts.Todo("A lane stopped.", "/system/lanes", "STOPPED", "", NOW - timedelta(seconds=4)),
    ]
    html = render_to_string("parts/now/todo.html", {"todos": lines, "shell": SimpleNamespace(now=NOW)})
    many, one = (re.sub(r"<[^>]+>", "", line).split() for line in html.split("<li>")[1:])
    assert (many[-2:], one[-4:]) == (["Gate", "SHUT"], ["since", "4", "s", "ago"])


def test_what_was_not_measured_is_a_dash_and_never_zero() -> None:
    render = Template("{% load passgate %}{{ a|n }} {{ b|n }} {{ c|n }}").render
    assert render(Context({"a": None, "b": 0, "c": 1_234_567})) == "— 0 1,234,567"


# ---- charts


@given(st.lists(st.integers(0, 10_000), min_size=3, max_size=3), st.integers(0, 5))
def test_a_ledger_bar_is_full_and_hides_nothing(counts: list[int], missing: int) -> None:
    bar = charts.LedgerBar(sum(counts) + missing, *counts)
    assert bar.missing == missing
    kinds = zip(("admitted", "duplicate", "quarantined", "missing"), [*counts, missing], strict=True)
    assert {part.kind for part in bar.parts} == {kind for kind, count in kinds if count}
    if bar.parts:
        assert 99.5 < sum(part.width for part in bar.parts) < 100.5
        assert all(part.width > 1 for part in bar.parts)


def test_a_bar_without_records_is_unmeasured_not_balanced() -> None:
    assert charts.LedgerBar(0, 0, 0, 0).state == "UNMEASURED"
    assert charts.LedgerBar(3, 1, 1, 0).state == "NOT BALANCED"


def test_a_hole_in_the_samples_is_a_hole_in_the_line() -> None:
    values = [5, 10, None, None, 7, 3]
    chart = charts.line_chart([charts.Sample(NOW + timedelta(seconds=n), value) for n, value in enumerate(values)])
    assert len(chart.lines) == 2
    assert chart.most == 10


def test_no_sample_draws_nothing() -> None:
    assert not charts.line_chart([charts.Sample(NOW, None)]).drawn
    assert not charts.line_chart([]).drawn


# ---- every state has a look, and none is green by default


STATES: tuple[type[enum.Enum], ...] = (State, VerdictState, RunState, WindowState, AttemptState, GapState, Decision)


@pytest.mark.parametrize("states", STATES)
def test_every_state_has_a_look(states: type[enum.Enum]) -> None:
    names = [state.name if issubclass(states, Decision) else state.value for state in states]
    assert [name for name in names if name not in words.LOOKS] == []


def test_every_join_has_a_look() -> None:
    assert [state.label for state in ContextState if state.label not in words.LOOKS] == []


def test_a_state_nobody_described_is_hatched() -> None:
    found = words.look("SOMETHING NEW")
    assert (found.tone, found.shape) == (words.Tone.UNMEASURED, words.Shape.HATCH)


def test_every_icon_of_a_look_is_drawn() -> None:
    assert all(icons.svg(look.icon) for look in words.LOOKS.values())


def test_every_reason_and_flag_has_words() -> None:
    assert set(phrases.REASONS) == set(Reason)
    assert set(phrases.FLAGS) == {flag for flag in Flag if flag}
    assert set(ItemState.values) == {"OPEN", "RESOLVED"}


def test_a_reason_of_a_later_version_does_not_break_a_page() -> None:
    assert phrases.reason_name(9_999) == "reason 9999"


def test_a_verdict_of_another_shape_shows_no_checks() -> None:
    """S15: fields may have other names there, and a check that is guessed would look like one that was made."""
    body = v.body(v.verdict(w.GOOD, w.NOW), 1, "said")
    assert [line.state for line in checks.checks_of_body(body, "#1", lambda check: None).lines].count("HOLDS") == 13
    other = checks.checks_of_body(body | {"schema": "passgate.verdict/2"}, "#1", lambda check: None)
    assert other.lines == ()
    assert other.failed is not None and "its checks are unmeasured here" in other.failed


# ---- searching


def test_a_filter_is_understood() -> None:
    asked = search.understand("decision:quarantined class:flight source:inbox/3 offset:88,201 id:UA/1545/x")
    assert (asked.decision, asked.class_name, asked.source, asked.offset) == (
        Decision.QUARANTINED,
        "flight",
        "inbox/3",
        88_201,
    )
    assert asked.ids[0] == ("UA", 1545, "x")
    assert ("UA", "1545", "x") in asked.ids
    assert asked.wrong == ()


NOT_SEARCHED = ("hello", "colour:red", "decision:maybe", "offset:-1", "id:", "reason:NOT_JSON", "offset:" + "9" * 40)


@pytest.mark.parametrize("q", NOT_SEARCHED)
def test_what_is_not_searched_is_said(q: str) -> None:
    assert search.understand(q).wrong


@given(st.text(max_size=300))
def test_any_filter_is_read(q: str) -> None:
    asked = search.understand(q)
    assert len(asked.ids) <= search.MOST_READINGS


def test_an_id_in_json_says_exactly_what_its_parts_are() -> None:
    assert search.readings('["UA", "1545"]') == (("UA", "1545"),)
    assert search.readings("[1.5]") == ()


# ---- differences


def test_fields_that_differ_are_told_from_those_that_do_not() -> None:
    first = json.dumps({"a": 1, "b": {"c": [1, 2]}, "gone": None}).encode()
    arrived = json.dumps({"a": 1, "b": {"c": [1, 3]}, "new": ""}).encode()
    found = fields.difference(first, arrived)
    assert {(row.pointer, row.first, row.arrived) for row in found.differing} == {
        ("/b/c/1", "2", "3"),
        ("/gone", "null", None),
        ("/new", None, '""'),
    }
    assert [row.pointer for row in found.equal] == ["/a", "/b/c/0"]


def test_masked_fields_say_that_they_differ_and_nothing_else() -> None:
    at = Masks((("t",),))
    found = fields.difference(b'{"t": {"n": "N1"}, "x": 1}', b'{"t": {"n": "N2"}, "x": 1}', (at, at))
    assert found.differing == (fields.DiffRow("/t/n", "masked, differs", "masked, differs"),)


def test_numbers_keep_every_digit() -> None:
    found = fields.flat(b'{"n": 9007199254740993, "d": 0.1000000000000000055511151231257827}')
    assert found == {"/n": "9007199254740993", "/d": "0.1000000000000000055511151231257827"}


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b"[" * 100_000, b'{"a": ' + b"9" * 140_000 + b"}"])
def test_no_payload_breaks_a_difference(raw: bytes) -> None:
    found = fields.difference(raw, b"{}")
    assert found.only_digests or found.differing


def test_a_difference_is_bounded() -> None:
    many = json.dumps({str(n): n for n in range(2_000)}).encode()
    found = fields.difference(many, b'{"x": 1}')
    assert len(found.differing) == fields.MOST_FIELDS
    assert found.left_out == 2_001 - fields.MOST_FIELDS


# ---- links


@pytest.mark.parametrize("run", ["2013-01", "A.b_c-9"])
def test_plain_runs_stand_in_paths_as_they_are(run: str) -> None:
    assert links.run_segment(run) == run


@given(st.text(min_size=1, max_size=40))
def test_every_run_has_a_segment_that_its_converter_takes(run: str) -> None:
    import re

    assert re.fullmatch(links.RunConverter.regex, links.run_segment(run))


# ---- permissions


class Broken:
    """A user whose groups cannot be looked up."""

    is_authenticated = is_active = True

    class groups:  # noqa: N801 - stands for the manager of that name
        @staticmethod
        def values_list(*_: object, **__: object) -> list[str]:
            raise DatabaseError("gone")


class Stranger:
    is_authenticated = False


def test_a_permission_that_cannot_be_looked_up_is_a_no() -> None:
    for act in permissions.Act:
        assert permissions.may(Broken(), act) == permissions.NOT_KNOWN
    assert permissions.permitted(Broken()) == frozenset()


def test_strangers_and_unknown_acts_are_refused() -> None:
    assert permissions.may(Stranger(), permissions.Act.LOOK) == permissions.SIGN_IN
    assert not permissions.allows(frozenset(permissions.Role), "drop the ledger")


def test_every_act_has_words_and_roles_and_nobody_without_a_role_may_anything() -> None:
    assert set(permissions.ALLOWED) == set(permissions.WORDS) == set(permissions.Act)
    for act in permissions.Act:
        answer = permissions.allows(frozenset(), act)
        assert not answer
        assert answer.reason.endswith("you have no role.")


def test_the_second_signature_is_not_the_operators() -> None:
    assert not permissions.allows(frozenset({permissions.Role.OPERATOR}), permissions.Act.APPROVE)
    assert permissions.allows(frozenset({permissions.Role.APPROVER}), permissions.Act.APPROVE)
