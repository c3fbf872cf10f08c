"""A rerun covers its window only where all of that was measured and holds: spoil anything, and it does not."""

# ruff: noqa: E501  a list of what is spoilt reads best line by line

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from audit.core import cover
from audit.core import facts as f
from audit.core import verdict as v
from tests.core.audit import world as w

RERUN = f.RerunName(2, 9, "replay", "ana", "bo", "is it whole", 3, "c0ffee")
PASSED = v.Verdict(v.State.PASS, replace(w.WINDOW, rerun=RERUN), (), (), w.NOW)
FAILED: dict[str, Any] = {"state": "FAIL", "waivers": [], "checks": [{"check": "ACCOUNTED", "severity": "FAIL"}]}
#: One record was not read: its gap was claimed, and a second reader found it. The rerun admitted it.
WINDOW = w.source("inbox/0", replace(w.GOOD, totals=w.seen({"flight": 101})), receipts=69, refuted=1, claimed=1)
GOOD = cover.CoverFacts(
    number=1, revision=4, failed=FAILED, contract_digest="c0ffee",
    ranges=(cover.ReadRange("inbox/0", 0, 70, True), cover.ReadRange("inbox/3", 0, 50, True)),
    others=(cover.OtherRerun(1, "PASS"),),
    window=WINDOW,
    sets=cover.EventSets(100, 100, 100, 100, {"flight": 101}),
    roots=cover.BatchRoots(3, 0),
    places=cover.PlaceCount(100, 100),
)  # fmt: skip


def lacks(facts: cover.CoverFacts, verdict: v.Verdict = PASSED) -> tuple[str, ...]:
    return cover.covering(verdict, facts, w.NOW).lacks


def test_a_rerun_that_read_all_of_a_window_that_failed_covers_it() -> None:
    found = cover.covering(PASSED, GOOD, w.NOW)
    assert found == f.Cover(1, 4, (), events=100, referred=100, effects=100, places=100, batches=3)
    body = v.body(replace(PASSED, cover=found), 3, "")
    assert body["covers"] == {
        "window": 1, "revision": 4, "events": 100, "referred": 100, "effects": 100, "places": 100, "batches": 3,
    }  # fmt: skip


def spoilt(**fields: Any) -> cover.CoverFacts:
    return replace(GOOD, **fields)


def failed(**said: Any) -> cover.CoverFacts:
    return spoilt(failed=FAILED | said)


def sets(**fields: Any) -> cover.CoverFacts:
    assert GOOD.sets is not None
    return spoilt(sets=replace(GOOD.sets, **fields))


def window(facts: f.WindowFacts) -> cover.CoverFacts:
    return spoilt(window=facts)


FAIL = {"severity": "FAIL"}
MISSED, ROWS_MISSED = "3 events are not applied", "1,002 effects are not in truth.flights"


def by(check: str, *texts: str) -> dict[str, Any]:
    """A check that fails for these causes; others beside them only block."""
    causes = [{"text": text, "severity": "FAIL"} for text in texts] + [{"text": "more", "severity": "BLOCKED"}]
    return {"check": check, "severity": "FAIL", "causes": causes}


SPOILT: dict[str, tuple[cover.CoverFacts, str]] = {
    "it has passed": (failed(state="PASS"), "has not failed: it is PASS"),
    "it is blocked": (failed(state="BLOCKED"), "has not failed: it is BLOCKED"),
    "it is not judged": (spoilt(failed=None), "not judged yet"),
    "a broken ledger": (failed(checks=[{"check": "BALANCED", **FAIL}]), "failed by BALANCED"),
    "a broken seal": (failed(checks=[{"check": "SEALED", **FAIL}]), "failed by SEALED"),
    "another database": (failed(checks=[{"check": "BASIS", **FAIL}]), "failed by BASIS"),
    "rows of no event": (failed(checks=[{"check": "APPLIED", **FAIL}]), "failed by APPLIED"),
    "a row of no effect then": (failed(checks=[by("APPLIED", MISSED, "1 identity of truth.t has no effect")]), "failed by APPLIED"),
    "an effect of no event then": (failed(checks=[by("APPLIED", "1 effect has no event")]), "failed by APPLIED"),
    "effects missing still": (window(w.changed("application", WINDOW, applied=97, missing=3)), "APPLIED of window 1: 3 events are not applied"),
    "a contradiction then": (failed(checks=[{"check": "PUBLISHED", **FAIL}]), "failed by PUBLISHED"),
    "a waiver": (failed(waivers=[{"check": "QUARANTINE"}]), "names a waiver"),
    "a part": (spoilt(ranges=(GOOD.ranges[0], replace(GOOD.ranges[1], read=False))), "not all of inbox/3"),
    "no range": (spoilt(ranges=()), "no range of the inbox"),
    "another contract": (spoilt(contract_digest="dead"), "another contract"),
    "a fresh run": (spoilt(taken_by="flights/2013-01.r1"), "flights/2013-01.r1 takes the place"),
    "a contradiction": (spoilt(contradictions=1), "1 settled publish is contradicted"),
    "an earlier rerun that is blocked": (spoilt(others=(cover.OtherRerun(1, "BLOCKED"),)), "rerun 1 admitted events and is BLOCKED"),
    "an earlier rerun that is not judged": (spoilt(others=(cover.OtherRerun(1, None),)), "is not judged yet"),
    "no window": (spoilt(window=None), "window 1 was not measured"),
    "two receipts": (window(w.source("inbox/3", WINDOW, doubled=1)), "receipts lie twice"),
    "receipts elsewhere": (window(w.source("inbox/3", WINDOW, outside=1)), "outside of its ranges"),
    "deleted unread": (window(w.source("inbox/3", WINDOW, lost=1)), "ACCOUNTED of window 1: records were deleted"),
    "an event not applied": (window(w.changed("application", WINDOW, applied=99, missing=1)), "APPLIED of window 1"),
    "an effect of no event": (window(w.changed("application", WINDOW, surplus=1)), "APPLIED of window 1"),
    "a truth row of no effect": (window(w.changed("application", WINDOW, tables=(f.TruthTable("truth.t", 100, 0, 1),))), "APPLIED of window 1"),
    "an event without place": (window(w.changed("publishing", WINDOW, placed_once=99)), "PUBLISHED of window 1"),
    "counts that differ": (window(w.changed("counts", WINDOW, admitted=99)), "BALANCED of window 1"),
    "an open item": (window(w.changed("quarantine", WINDOW, open=1)), "QUARANTINE of window 1"),
    "too many unmatched": (window(w.changed("joins", WINDOW, matched=90, missing=10)), "DEGRADED of window 1"),
    "a context that fell": (window(replace(WINDOW, context=w.seen((replace(w.PINNED, why="it fell", fallen=True),)))), "CONTEXT of window 1"),
    "a bus created again": (window(w.topic("bus", WINDOW, topic_id="another")), "BASIS of window 1"),
    "an inbox created again": (window(w.topic("inbox", WINDOW, topic_id="another")), "BASIS of window 1"),
    "another PostgreSQL": (window(w.changed("database", WINDOW, system_identifier="1")), "BASIS of window 1"),
    "Kafka's commit ahead": (window(replace(WINDOW, committed=w.seen((f.CommitFact("inbox/0", 71, 70, 71), *w.COMMITTED[1:])))), "COMMITTED of window 1"),
    "nobody asked Kafka": (window(replace(WINDOW, broker=None)), "COVERAGE of window 1"),
    "an old look": (window(w.aged("broker", timedelta(minutes=2), WINDOW)), "was not measured for"),
    "no sets": (spoilt(sets=None), "were not read again"),
    "no roots": (spoilt(roots=None), "were not read again"),
    "no places": (spoilt(places=None), "were not read again"),
    "an event of no record": (sets(referred=99), "1 event of it is in no record"),
    "an event without receipt": (sets(admitted=99), "its receipts admitted 100"),
    "a receipt without event": (sets(receipts=101), "its receipts admitted 101"),
    "another digest": (spoilt(roots=cover.BatchRoots(3, 1)), "1 batch of it has another digest"),
    "a place not met": (spoilt(places=cover.PlaceCount(100, 99)), "99 of 100 events were met"),
    "an event twice on the bus": (spoilt(places=cover.PlaceCount(101, 101)), "101 of 100 events were met"),
    "fewer than declared": (sets(by_class={"flight": 100}), "EXPECTED of window 1"),
    "nothing of a class": (sets(by_class={}), "NOT_EMPTY of window 1"),
}  # fmt: skip


@pytest.mark.parametrize("what", SPOILT)
def test_it_does_not_cover(what: str) -> None:
    facts, said = SPOILT[what]
    found = cover.covering(PASSED, facts, w.NOW)
    assert any(said in line for line in found.lacks), found.lacks
    assert not found.whole and found.places == 0
    assert "covers" not in v.body(replace(PASSED, cover=found), 3, "")


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        (replace(PASSED, state=v.State.BLOCKED), "the rerun is BLOCKED"),
        (replace(PASSED, state=v.State.FAIL), "the rerun is FAIL"),
        (replace(PASSED, window=replace(w.WINDOW, rerun=replace(RERUN, kind="redrive"))), "only a replay that proves"),
        (replace(PASSED, window=replace(w.WINDOW, rerun=replace(RERUN, number=None))), "only a replay that proves"),
        (replace(PASSED, window=w.WINDOW), "only a replay that proves"),
    ],
)
def test_what_is_no_rerun_with_a_pass_covers_nothing(verdict: v.Verdict, said: str) -> None:
    assert any(said in line for line in lacks(GOOD, verdict))


def test_what_the_ledger_measured_of_the_window_is_missed_wherever_it_lacks() -> None:
    for fact in w.FACTS:
        assert lacks(window(replace(WINDOW, **{fact: None}))), fact


def test_a_waiver_of_the_window_is_not_its_covers() -> None:
    until = w.NOW + timedelta(hours=1)
    waiver = f.Waiver("QUARANTINE", 3, "ana", "bo", "known", until, "x", "x")
    opened = w.changed("quarantine", replace(WINDOW, waivers=(waiver,)), open=1)
    assert any("QUARANTINE of window 1" in line for line in lacks(window(opened)))


def test_before_anything_is_read_what_can_be_said_is_said() -> None:
    asked = replace(GOOD, sets=None, roots=None, places=None)
    assert cover.foreseen(asked, "c0ffee", w.NOW) == []
    part = replace(asked, ranges=(replace(GOOD.ranges[0], read=False),))
    assert cover.foreseen(part, "dead", w.NOW) == [
        "not all of inbox/0 is read again, which is [0, 70)", "the rerun is under another contract than window 1",
    ]  # fmt: skip


# ---- effects that were missing --------------------------------------------------------------------------------------


@pytest.mark.parametrize("texts", [[MISSED], [ROWS_MISSED], ["1 event is not applied", "1 effect is not in truth.t_2"]])
def test_effects_that_were_missing_and_stand_again_are_covered(texts: list[str]) -> None:
    found = cover.covering(PASSED, replace(failed(checks=[by("APPLIED", *texts)]), mended=3), w.NOW)
    assert found.whole and found.mended == 3
    body = v.body(replace(PASSED, cover=found), 3, "")
    assert body["covers"]["mended"] == 3


def test_what_would_be_written_again_is_not_missing_beforehand() -> None:
    tables = (f.TruthTable("truth.a", 97, 0, 0), f.TruthTable("truth.b", 97, 2, 0))
    facts = w.changed("application", WINDOW, applied=97, missing=3, tables=tables)
    asked = replace(window(facts), failed=FAILED | {"checks": [by("APPLIED", MISSED)]}, sets=None)
    assert cover.foreseen(asked, "c0ffee", w.NOW, cover.MendedAhead(3, {"truth.b": 2})) == []
    for fewer in (cover.MendedAhead(2, {"truth.b": 2}), cover.MendedAhead(3, {"truth.b": 1}), cover.MendedAhead()):
        assert any("APPLIED of window 1" in line for line in cover.foreseen(asked, "c0ffee", w.NOW, fewer))


def test_the_words_for_what_was_missing_are_those_of_verdicts() -> None:
    for missing, rows, surplus in ((1, 0, 0), (2_000, 0, 0), (0, 1, 0), (0, 2, 0), (3, 4, 0), (3, 4, 1)):
        table = f.TruthTable("truth.flights_weather", 100, rows, surplus)
        facts = w.changed("application", applied=100 - missing, missing=missing, tables=(table,))
        (said,) = [x for x in v.body(v.verdict(facts, w.NOW), 1, "")["checks"] if x["check"] == "APPLIED"]
        lines = lacks(failed(checks=[said]))
        assert any("failed by APPLIED" in line for line in lines) == bool(surplus), (said, lines)


# ---- a bus that was created again -----------------------------------------------------------------------------------

BUS = w.BROKER.bus
ANEW = replace(BUS, topic_id="anew", partitions={0: w.log(9), 1: w.log(7)})
LANES = (f.BusPosition("flights.bus/0", 0, 9, 9, 9, w.CUT_AT), f.BusPosition("flights.bus/1", 1, 7, 7, 7, w.CUT_AT))
COMMITS = (f.CommitFact("flights.bus/0", 9, 9), f.CommitFact("flights.bus/1", 7, 7))
OF_NOW = cover.BusOfNow(ANEW, w.BASIS.bus, 0, 0, LANES, COMMITS)
WAS = "flights.bus was deleted and created again"
GONE = "attempt 7 (3 events) went to a flights.bus that is gone"
#: All of it was published and read, and then its bus was created again. What its own lanes read there says nothing any more.
UNREAD = w.source("flights.bus/0", w.topic("bus", topic_id="anew", partitions=ANEW.partitions), end=None)


def anew(
    *checks: dict[str, Any], bus: cover.BusOfNow | None = OF_NOW, facts: f.WindowFacts = UNREAD
) -> cover.CoverFacts:
    said = checks or (by("BASIS", WAS),)
    whole = replace(
        GOOD, failed=FAILED | {"checks": list(said)}, sets=cover.EventSets(100, 100, 100, 100, {"flight": 100})
    )
    return replace(whole, bus=bus, window=facts)


def test_a_window_whose_bus_was_created_again_is_judged_on_the_one_of_now() -> None:
    found = cover.covering(PASSED, anew(), w.NOW)
    assert found.lacks == () and found.whole
    assert cover.covering(PASSED, anew(by("BASIS", WAS), by("PUBLISHED", GONE)), w.NOW).lacks == ()
    assert cover.foreseen(replace(anew(), sets=None, roots=None, places=None), "c0ffee", w.NOW) == []


INBOX_WAS = "flights.inbox was deleted and created again"
NOT_BY_ITS_BUS: dict[str, tuple[cover.CoverFacts, str]] = {
    "the same bus": (anew(bus=None), "failed by BASIS"),
    "its inbox, too": (anew(by("BASIS", WAS, INBOX_WAS)), "failed by BASIS"),
    "its inbox alone": (anew(by("BASIS", INBOX_WAS)), "failed by BASIS"),
    "another cluster": (anew(by("BASIS", "the Kafka cluster was a and is b")), "failed by BASIS"),
    "deleted unread": (anew(by("BASIS", WAS, "2 offsets of inbox/0 were deleted before anybody read them")), "failed by BASIS"),
    "a basis that says nothing": (anew({"check": "BASIS", "severity": "FAIL"}), "failed by BASIS"),
    "a contradiction": (anew(by("BASIS", WAS), by("PUBLISHED", GONE, "1 settled publish is contradicted by the bus")), "failed by PUBLISHED"),
    "applied otherwise": (anew(by("BASIS", WAS), by("APPLIED", "1 effect has no event")), "failed by APPLIED"),
    "what is bound": (anew(bus=replace(OF_NOW, bound=2)), "2 publishes of it went to a flights.bus that is gone: ask for a republish plan first"),
    "what another rerun is bound by": (anew(bus=replace(OF_NOW, bound_reruns=1)), "events of another rerun of it went to a flights.bus that is gone"),
    "a lane behind": (anew(bus=replace(OF_NOW, positions=(replace(LANES[0], position=8), LANES[1]))), "CAUGHT_UP of window 1"),
    "a lane of none": (anew(bus=replace(OF_NOW, positions=LANES[:1])), "of window 1"),
    "no lane": (anew(bus=replace(OF_NOW, positions=None)), "of window 1"),
    "a commit ahead": (anew(bus=replace(OF_NOW, commits=(replace(COMMITS[0], committed=10, ours=10), COMMITS[1]))), "COMMITTED of window 1"),
    "no commit": (anew(bus=replace(OF_NOW, commits=())), "COMMITTED of window 1"),
    "a third bus": (anew(facts=w.topic("bus", UNREAD, topic_id="third")), "BASIS of window 1"),
    "a log that ends before": (anew(facts=w.partition("bus", 0, UNREAD, high_watermark=8)), "BASIS of window 1"),
    "a log that was cut": (anew(facts=w.partition("bus", 0, UNREAD, diverged="it ends at 3")), "BASIS of window 1"),
    "a partition gone": (anew(facts=w.topic("bus", UNREAD, partitions={0: ANEW.partitions[0]})), "of window 1"),
    "its inbox created again": (anew(facts=w.topic("inbox", UNREAD, topic_id="another")), "BASIS of window 1"),
    "another cluster now": (anew(facts=w.changed("broker", UNREAD, cluster_id="cluster-b")), "BASIS of window 1"),
    "another PostgreSQL": (anew(facts=w.changed("database", UNREAD, timeline=9)), "BASIS of window 1"),
    "an event without place": (anew(facts=w.changed("publishing", UNREAD, placed_once=99)), "PUBLISHED of window 1"),
    "an event in two": (anew(facts=w.changed("publishing", UNREAD, placed_more=1)), "PUBLISHED of window 1"),
    "a place not met": (replace(anew(), places=cover.PlaceCount(100, 99)), "99 of 100 events were met"),
    "an event not applied": (anew(facts=w.changed("application", UNREAD, applied=99, missing=1)), "APPLIED of window 1"),
}  # fmt: skip


@pytest.mark.parametrize("what", NOT_BY_ITS_BUS)
def test_nothing_else_is_mended_by_the_bus_of_now(what: str) -> None:
    facts, said = NOT_BY_ITS_BUS[what]
    found = cover.covering(PASSED, facts, w.NOW)
    assert any(said in line for line in found.lacks), found.lacks
    assert not found.whole


def test_the_words_that_a_cover_goes_by_are_those_of_verdicts() -> None:
    facts = w.changed("publishing", w.topic("bus", topic_id="anew"), over=(1, 3), over_names=(7,), placed_once=97)
    body = v.body(v.verdict(facts, w.NOW), 1, "")
    causes = [x["text"] for x in body["checks"] for x in x["causes"] if x["severity"] == "FAIL"]
    assert set(causes) >= {WAS, GONE}
