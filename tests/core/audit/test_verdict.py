"""PASS only by positive measurement: drop, age or spoil any fact and the window does not pass."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from audit.core import checks as c
from audit.core import facts as f
from audit.core import verdict as v
from audit.core.diagnosis import diagnose
from tests.core.audit import world as w


def judged(facts: f.WindowFacts) -> v.Verdict:
    return v.verdict(facts, w.NOW)


def test_the_good_window_passes() -> None:
    verdict = judged(w.GOOD)
    assert verdict.state is v.State.PASS
    assert len(verdict.checks) == 13
    assert [n.name for n in verdict.not_listed] == ["SEALED"]


@pytest.mark.parametrize("fact", w.FACTS)
def test_no_pass_without_each_fact(fact: str) -> None:
    verdict = judged(w.without(fact))
    assert verdict.state is v.State.BLOCKED
    assert any(check.state is c.State.UNMEASURED for check in verdict.checks)


@given(st.sets(st.sampled_from(w.FACTS), min_size=1))
def test_no_pass_without_any_set_of_facts(missing: set[str]) -> None:
    assert judged(w.without(*missing)).state is v.State.BLOCKED


@given(st.sampled_from([x for x in w.FACTS if x != "basis"]), st.integers(min_value=31, max_value=10**6))
def test_no_pass_on_an_old_sample(fact: str, seconds: int) -> None:
    assert judged(w.aged(fact, timedelta(seconds=seconds))).state is v.State.BLOCKED


def test_no_pass_without_each_element_of_a_measured_set() -> None:
    for fact in ("inbox", "bus", "committed"):
        measured = getattr(w.GOOD, fact)
        for gone in range(len(measured.value)):
            rest = measured.value[:gone] + measured.value[gone + 1 :]
            facts = replace(w.GOOD, **{fact: replace(measured, value=rest)})
            assert judged(facts).state is not v.State.PASS, (fact, gone)


def test_no_pass_without_each_partition_or_offset_of_the_sample() -> None:
    for name in ("inbox", "bus"):
        topic = getattr(w.BROKER, name)
        for number in topic.partitions:
            rest = {p: log for p, log in topic.partitions.items() if p != number}
            assert judged(w.topic(name, partitions=rest)).state is not v.State.PASS
            for offset in ("log_start", "high_watermark", "diverged"):
                assert judged(w.partition(name, number, **{offset: None})).state is v.State.BLOCKED
        assert judged(w.topic(name, posture=None)).state is v.State.BLOCKED


SMALL = st.integers(min_value=0, max_value=3)


@st.composite
def spoiled(draw: st.DrawFn) -> tuple[f.WindowFacts, bool]:
    """Facts with random deficits, and whether anything is wrong at all."""
    facts, bad = w.GOOD, False
    deficits: dict[str, tuple[str, ...]] = {
        "publishing": ("placed_more", "queued", "foreign", "mismatching", "contradictions"),
        "application": ("missing", "surplus"),
        "quarantine": ("open", "unsigned"),
    }
    for fact, names in deficits.items():
        values = {name: draw(SMALL) for name in names}
        bad = bad or any(values.values())
        facts = w.changed(fact, facts, **values)
    for label in ("inbox/0", "inbox/3"):
        values = {name: draw(SMALL) for name in ("missing", "doubled", "outside", "claimed", "refuted")}
        bad = bad or any(values.values())
        facts = w.source(label, facts, **values)
    behind = draw(SMALL)
    facts = w.source("flights.bus/0", facts, position=60 - behind)
    return facts, bad or behind > 0


@given(spoiled())
def test_passes_exactly_when_nothing_is_wrong(case: tuple[f.WindowFacts, bool]) -> None:
    facts, bad = case
    assert (judged(facts).state is v.State.PASS) is (not bad)


ORDER = {v.State.PASS: 0, v.State.BLOCKED: 1, v.State.FAIL: 2}
COUNTERS = [
    ("publishing", "foreign"), ("publishing", "mismatching"), ("publishing", "contradictions"),
    ("publishing", "placed_more"), ("application", "surplus"), ("quarantine", "open"), ("quarantine", "discarded"),
    ("quarantine", "unsigned"),
]  # fmt: skip


@given(st.sampled_from(COUNTERS), st.integers(0, 80), st.integers(0, 80), spoiled())
def test_more_of_something_wrong_is_never_better(
    counter: tuple[str, str], less: int, more: int, case: tuple[f.WindowFacts, bool]
) -> None:
    fact, name = counter
    less, more = sorted((less, more))
    better, worse = (judged(w.changed(fact, case[0], **{name: n})).state for n in (less, more))
    assert ORDER[better] <= ORDER[worse]


@given(spoiled(), st.sets(st.sampled_from(w.FACTS)))
def test_what_follows_names_a_check_that_does_not_hold(case: tuple[f.WindowFacts, bool], gone: set[str]) -> None:
    facts = replace(case[0], **dict.fromkeys(gone))
    verdict = judged(facts)
    for check in verdict.checks:
        if check.follows_from is not None:
            root = verdict.check(check.follows_from)
            assert root is not None and root.severity is not None and root.follows_from is None


@given(spoiled(), st.sets(st.sampled_from(w.FACTS)))
def test_a_window_that_does_not_pass_says_why_and_what_next(case: tuple[f.WindowFacts, bool], gone: set[str]) -> None:
    verdict = judged(replace(case[0], **dict.fromkeys(gone)))
    said = diagnose(verdict)
    if verdict.state is not v.State.PASS:
        assert said.causes
        assert "Next: " in said.sentence or "This cannot be cleared." in said.sentence


def test_an_open_window_never_passes() -> None:
    facts = replace(w.GOOD, window=replace(w.WINDOW, state=f.WindowState.OPEN))
    assert judged(facts).state is v.State.BLOCKED


def test_what_is_fail_and_what_is_blocked() -> None:
    """BROKEN in these is FAIL; everything else that does not hold is BLOCKED."""
    fails = [
        w.source("inbox/0", missing=1),
        w.changed("counts", records=121),
        w.changed("application", missing=1, applied=99),
        w.changed("publishing", contradictions=1),
        w.changed("broker", cluster_id="other"),
        w.topic("bus", topic_id="other"),
    ]
    assert {judged(facts).state for facts in fails} == {v.State.FAIL}
    blocks = [
        w.changed("publishing", foreign=1),
        w.changed("quarantine", open=1),
        w.topic("bus", topic_id=None),
        w.changed("database", timeline=2),
        w.partition("inbox", 9),
    ]
    assert {judged(facts).state for facts in blocks} == {v.State.BLOCKED}


# ---- waivers --------------------------------------------------------------------------------------------------------

EMPTY = w.changed("counts", records=20, admitted=0, receipts_admitted=0, duplicates=15, quarantined=5, by_class={})
EMPTY = w.changed("publishing", EMPTY, events=0, placed_once=0)
EMPTY = w.changed("application", EMPTY, events=0, applied=0)
EMPTY = replace(w.changed("joins", EMPTY, matched=0), totals=w.seen({}))


WAIVER = f.Waiver("NOT_EMPTY", 7, "Ana", "Bo", "nothing flew", w.NOW + timedelta(days=1), "ab12", "ab12")


def waived(check: str, facts: f.WindowFacts, **more: Any) -> f.WindowFacts:
    return replace(facts, waivers=(replace(WAIVER, check=check, **more),))


def test_an_empty_window_passes_only_with_an_approved_waiver() -> None:
    """S1, S6."""
    assert judged(EMPTY).state is v.State.BLOCKED
    verdict = judged(waived("NOT_EMPTY", EMPTY))
    assert (verdict.state, verdict.title) == (v.State.PASS, "PASS (waived)")
    who = "(asked for by Ana, approved by Bo: nothing flew)"
    assert f"NOT_EMPTY is waived until 2026-02-02 02:20 by plan 7 {who}" in diagnose(verdict).sentence


def test_a_contract_may_forbid_empty_windows_for_good() -> None:
    never = replace(EMPTY, rules=replace(w.RULES, empty_waivable=False))
    assert judged(waived("NOT_EMPTY", never)).state is v.State.BLOCKED


@pytest.mark.parametrize(
    ("check", "facts"),
    [
        ("PUBLISHED", w.changed("publishing", foreign=1)),
        ("ACCOUNTED", w.source("inbox/0", missing=1)),
        ("APPLIED", w.changed("application", missing=1, applied=99)),
        ("BALANCED", w.changed("counts", records=121)),
        ("BASIS", w.topic("bus", topic_id="other")),
        ("QUARANTINE", w.without("quarantine")),
        ("CAUGHT_UP", w.without("broker")),
    ],
)
def test_what_a_waiver_does_not_reach(check: str, facts: f.WindowFacts) -> None:
    """What no waiver may touch, what cannot be cleared, and what nobody measured."""
    assert judged(waived(check, facts)).state is not v.State.PASS


def test_nothing_but_four_checks_is_ever_waived() -> None:
    """Every check that can be broken without being for good, each with a waiver of its own."""
    assert {"NOT_EMPTY", "QUARANTINE", "EXPECTED", "DEGRADED"} == c.WAIVABLE


def test_a_waiver_that_is_over_waives_nothing() -> None:
    assert judged(waived("NOT_EMPTY", EMPTY, until=w.NOW + timedelta(microseconds=1))).state is v.State.PASS
    assert judged(waived("NOT_EMPTY", EMPTY, until=w.NOW)).state is v.State.BLOCKED


def test_a_waiver_is_of_the_facts_it_was_approved_for() -> None:
    assert judged(waived("NOT_EMPTY", EMPTY, measured="cd34")).state is v.State.BLOCKED


def test_of_several_waivers_the_first_that_stands_counts() -> None:
    over, other, stands = (replace(WAIVER, plan=n) for n in (1, 2, 3))
    over, other = replace(over, until=w.NOW), replace(other, bound="")
    verdict = judged(replace(EMPTY, waivers=(over, other, stands)))
    assert [waiver.plan for waiver in verdict.waivers] == [3]


def test_a_pass_follows_a_pass_only_where_that_one_leaned_on_a_waiver() -> None:
    leaning, other = judged(waived("NOT_EMPTY", EMPTY)), judged(waived("NOT_EMPTY", EMPTY, plan=8))
    plain, before = judged(w.GOOD), v.body(leaning, 1, "")
    assert v.passes_anew(before, plain) and v.passes_anew(before, other)
    assert not v.passes_anew(before, leaning)
    assert not v.passes_anew(before, judged(EMPTY))
    assert not v.passes_anew(v.body(plain, 1, ""), other)


def test_a_stored_waiver_is_read_as_it_was() -> None:
    (told,) = v.body(judged(waived("NOT_EMPTY", EMPTY)), 1, "")["waivers"]
    assert v.read_waiver(told) == WAIVER


DECISION = f.AttemptDecision(17, 4, "ana", "bo", "the broker was restored", 3, 7)


@pytest.mark.parametrize("facts", [w.GOOD, EMPTY])
def test_every_verdict_names_what_was_decided_and_stands_as_it_would(facts: f.WindowFacts) -> None:
    """A decision is no check: it lets nothing pass and keeps nothing from passing."""
    before, after = judged(facts), judged(replace(facts, decisions=(DECISION,)))
    assert (after.state, after.title) == (before.state, before.title)
    assert "decisions" not in v.body(before, 1, "")
    assert v.body(after, 1, "")["decisions"] == [
        {
            "attempt": 17,
            "plan": 4,
            "requested_by": "ana",
            "approved_by": "bo",
            "reason": "the broker was restored",
            "present": 3,
            "absent": 7,
        }  # fmt: skip
    ]


def test_a_waiver_reaches_the_check_it_names_and_no_other() -> None:
    assert judged(waived("QUARANTINE", EMPTY)).state is v.State.BLOCKED


def test_a_waiver_waits_for_what_its_check_follows_from() -> None:
    """An inbox that was not read yet may still hold the events: that nothing was admitted is not waived before."""
    behind = w.source("inbox/0", waived("NOT_EMPTY", EMPTY), position=60)
    check = judged(behind).check(c.CheckName.NOT_EMPTY)
    assert check is not None and (check.state, check.waiver) == (c.State.BROKEN, None)


def test_a_window_that_does_not_pass_is_not_called_waived() -> None:
    verdict = judged(w.changed("quarantine", waived("NOT_EMPTY", EMPTY), open=1))
    assert [waiver.check for waiver in verdict.waivers] == ["NOT_EMPTY"]
    assert (verdict.title, v.body(verdict, 1, "")["waived"]) == ("BLOCKED", False)


def test_only_what_keeps_a_window_from_passing_has_failed() -> None:
    assert [check.name for check in judged(EMPTY).failed()] == [c.CheckName.NOT_EMPTY]


# ---- rendering ------------------------------------------------------------------------------------------------------


def leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in leaves(item)]
    if isinstance(value, list):
        return [leaf for item in value for leaf in leaves(item)]
    return [value]


@given(spoiled(), st.sets(st.sampled_from(w.FACTS)))
def test_a_body_is_strings_integers_and_booleans(case: tuple[f.WindowFacts, bool], gone: set[str]) -> None:
    verdict = judged(replace(case[0], **dict.fromkeys(gone)))
    body = v.body(verdict, 7, diagnose(verdict, 7).sentence)
    assert {type(leaf) for leaf in leaves(body)} <= {str, int, bool}
    assert rfc8785.dumps(body)
    assert body["schema"] == v.SCHEMA


def test_a_digest_does_not_depend_on_the_order_of_keys() -> None:
    body = v.body(judged(w.GOOD), 1, "said")
    assert v.digest(body) == v.digest(dict(reversed(body.items())))
    assert v.digest(body) != v.digest({**body, "state": "FAIL"})


def test_time_alone_is_no_change() -> None:
    later = v.verdict(w.GOOD, w.NOW + timedelta(seconds=3))
    before, after = v.body(judged(w.GOOD), 1, ""), v.body(later, 2, "")
    assert v.unchanged(before, after)
    spoiled_ = v.body(judged(w.changed("quarantine", open=2)), 3, "")
    assert not v.unchanged(before, spoiled_)
    assert not v.unchanged({"schema": "passgate.verdict/0"}, after)


def test_the_verdict_names_what_it_was_joined_with() -> None:
    pinned = f.PinnedVerdict("weather", "weather/2013-01#1", "ab12")
    body = v.body(judged(replace(w.GOOD, context=w.seen((pinned,)))), 1, "")
    assert body["context"] == [{"name": "weather", "verdict": "weather/2013-01#1", "digest": "ab12"}]


def test_joins_that_the_contract_does_not_ask_for_are_not_counted() -> None:
    assert "joins" in v.body(judged(w.GOOD), 1, "")
    assert "joins" not in v.body(judged(replace(w.GOOD, rules=replace(w.RULES, contexts=()))), 1, "")


def test_a_single_broker_is_labelled_development() -> None:
    assert judged(w.GOOD).durability == "development"
    assert judged(w.without("basis")).durability == "unmeasured"


def test_every_fact_is_one_that_the_tests_drop() -> None:
    apart = {"window", "rules", "end", "behind", "waivers", "ended", "decisions"}
    optional = {x.name for x in fields(f.WindowFacts)} - apart
    assert optional == set(w.FACTS)


def test_what_changed_is_a_line_for_each_check() -> None:
    before, after = v.body(judged(w.changed("quarantine", open=2)), 1, ""), v.body(judged(w.GOOD), 2, "")
    assert v.changes(before, after) == ["QUARANTINE broken → holds"]
    worse = v.body(judged(w.changed("quarantine", open=3)), 3, "")
    assert v.changes(before, worse) == ["QUARANTINE 2 open, 5 resolved, 3 discarded → 3 open, 5 resolved, 3 discarded"]
    fewer = after | {"checks": after["checks"][1:]}
    assert v.changes(fewer, after) == ["COVERAGE is new"]
    assert v.changes(after, fewer) == ["COVERAGE is no longer listed"]
    assert v.changes(after, after) == ["nothing changed"]


@pytest.mark.parametrize(
    ("state", "observed", "follows_from", "told"),
    [
        ("BROKEN", "3 open", None, ["QUARANTINE 2 open → 3 open"]),
        ("BROKEN", "2 open", None, ["nothing changed"]),
        ("BROKEN", "3 open", "COVERAGE", ["nothing changed"]),
        ("HOLDS", "3 open", None, ["nothing changed"]),
    ],
)
def test_another_number_is_a_change_where_it_is_why_a_check_is_broken(
    state: str, observed: str, follows_from: str | None, told: list[str]
) -> None:
    """What holds may count on, and what follows from another check is told by that one."""

    def of(observed: str) -> dict[str, Any]:
        check = {"check": "QUARANTINE", "state": state, "observed": observed}
        return {"checks": [check | ({"follows_from": follows_from} if follows_from else {})]}

    assert v.changes(of("2 open"), of(observed)) == told
