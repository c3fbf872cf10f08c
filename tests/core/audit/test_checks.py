"""Each check by itself: what breaks it, what leaves it unmeasured, and what it says."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from audit.core import checks as c
from audit.core import facts as f
from audit.core.check import RERUN
from ingest.core import stops
from tests.core.audit import world as w

JUDGES = dict(c.ALL)


def judge(name: str, facts: f.WindowFacts) -> c.Check:
    check = JUDGES[c.CheckName(name)](facts, w.NOW)
    assert check is not None
    return check


def test_every_check_holds_in_the_good_window() -> None:
    checks = [judge(name, w.GOOD) for name in c.CheckName]
    assert [check.name for check in checks if check.state is not c.State.HOLDS] == []
    assert all(check.measured_at and check.source and check.observed for check in checks)


BROKEN = [
    # check, facts, severity, cause
    ("COVERAGE", w.partition("inbox", 5), "BLOCKED", "1 of 5 sources is not in the basis"),
    ("CAUGHT_UP", w.source("inbox/3", position=8, moved_at=w.NOW), "BLOCKED", "inbox/3 is 42 behind"),
    ("CAUGHT_UP", w.source("inbox/3", position=8), "BLOCKED", "inbox/3 is 42 behind and STALLED since 02:15"),
    ("CAUGHT_UP", w.source("flights.bus/1", position=9, moved_at=w.NOW), "BLOCKED", "flights.bus/1 is 41 behind"),
    ("ACCOUNTED", w.source("inbox/3", missing=12), "FAIL", "12 offsets of inbox/3 have no receipt"),
    ("ACCOUNTED", w.source("inbox/3", missing=1), "FAIL", "1 offset of inbox/3 has no receipt"),
    ("ACCOUNTED", w.source("inbox/3", doubled=2), "FAIL", "2 offsets of inbox/3 have two receipts"),
    ("ACCOUNTED", w.source("inbox/3", outside=1), "FAIL", "1 receipt of inbox/3 lies outside the basis"),
    (
        "ACCOUNTED",
        w.source("inbox/3", refuted=1),
        "FAIL",
        "1 offset of inbox/3 is in a gap where a second reader found records",
    ),
    ("BALANCED", w.changed("counts", records=123, admitted=103), "FAIL", "3 counted records have no receipt"),
    ("BALANCED", w.changed("counts", records=119, duplicates=14), "FAIL", "1 receipt is in no batch's count"),
    (
        "BALANCED",
        w.changed("counts", records=121, receipts_duplicate=16),
        "FAIL",
        "121 records are counted as 120 decisions and 1 receipt is counted under another decision",
    ),
    (
        "BALANCED",
        w.changed("counts", admitted=99, duplicates=16),
        "FAIL",
        "1 receipt is counted under another decision",
    ),
    ("BALANCED", w.changed("publishing", events=98), "FAIL", "2 admitted receipts and the events do not agree"),
    ("EXPECTED", replace(w.GOOD, totals=w.seen({"flight": 104})), "BLOCKED", "104 flights declared, 100 seen"),
    ("EXPECTED", replace(w.GOOD, totals=w.seen({"flight": 100, "x": 1})), "BLOCKED", "1 x declared, 0 seen"),
    ("PUBLISHED", w.changed("publishing", foreign=4), "BLOCKED", "4 records of flights.bus are FOREIGN"),
    ("PUBLISHED", w.changed("publishing", contradictions=1), "FAIL", "1 settled publish is contradicted by the bus"),
    ("PUBLISHED", w.changed("publishing", placed_once=88, queued=12), "BLOCKED", "12 events wait to be published"),
    ("PUBLISHED", w.changed("publishing", placed_once=95), "BLOCKED", "5 events have no place on flights.bus"),
    (
        "PUBLISHED",
        w.changed("publishing", placed_once=99, placed_more=1),
        "BLOCKED",
        "1 event has more than one ACKED place",
    ),
    ("APPLIED", w.changed("application", applied=88, missing=12), "FAIL", "12 events are not applied"),
    ("APPLIED", w.changed("application", surplus=1), "FAIL", "1 effect has no event"),
    ("QUARANTINE", w.changed("quarantine", open=1), "BLOCKED", "1 quarantine item is open"),
    ("QUARANTINE", w.changed("quarantine", discarded=51), "BLOCKED", "51 quarantine items are discarded (50 allowed)"),
    ("QUARANTINE", w.changed("quarantine", unsigned=1), "BLOCKED", "1 resolution names no person or no reason"),
    ("DEGRADED", w.changed("joins", matched=99, missing=1), "BLOCKED", "1 join MISSING, 0 allowed"),
    ("BASIS", w.changed("broker", cluster_id="b"), "FAIL", "the Kafka cluster was cluster-a and is b"),
    ("BASIS", w.topic("bus", topic_id="new"), "FAIL", "flights.bus was deleted and created again"),
    (
        "BASIS",
        w.topic("bus", w.partition("bus", 1, diverged="cut at 3", leader_epoch=0, high_watermark=2), topic_id="new"),
        "FAIL",
        "flights.bus was deleted and created again",
    ),
    ("BASIS", w.topic("inbox", topic_id=None), "BLOCKED", "flights.inbox is gone"),
    (
        "BASIS",
        w.partition("inbox", 3, w.source("inbox/3", position=4), log_start=7),
        "BLOCKED",
        "3 offsets of inbox/3 are gone unread: its log starts at 7",
    ),
    ("BASIS", w.source("inbox/3", lost=7), "FAIL", "7 offsets of inbox/3 were deleted before anybody read them"),
    (
        "BASIS",
        w.source("flights.bus/1", lost=1),
        "FAIL",
        "1 offset of flights.bus/1 was deleted before anybody read it",
    ),
    ("ACCOUNTED", w.source("inbox/3", lost=7), "FAIL", "7 offsets of inbox/3 were deleted before anybody read them"),
    ("BASIS", w.partition("bus", 1, high_watermark=49), "BLOCKED", "flights.bus/1 ends at 49, before the window's 50"),
    ("BASIS", w.partition("inbox", 0, diverged="cut at 3"), "BLOCKED", "inbox/0 was truncated: cut at 3"),
    (
        "BASIS",
        w.partition("inbox", 0, w.source("inbox/0", kept_to=3), diverged="cut at 3"),
        "FAIL",
        "inbox/0 was cut at 3, and is another log from there on",
    ),
    (
        "BASIS",
        w.topic("bus", posture={**w.POSTURE, "cleanup.policy": "compact"}),
        "BLOCKED",
        "cleanup.policy of flights.bus was delete and is compact",
    ),
    ("BASIS", w.changed("database", timeline=2), "BLOCKED", "Postgres was on timeline 1 and is on 2"),
    (
        "BASIS",
        w.changed("database", system_identifier="9"),
        "BLOCKED",
        "the database is not the one the window opened in",
    ),
    (
        "NOT_EMPTY",
        w.changed("counts", receipts_admitted=0, duplicates=10_002, quarantined=0),
        "BLOCKED",
        "0 admitted, 10,002 duplicates",
    ),
    ("NOT_EMPTY", w.changed("counts", by_class={"other": 100}), "BLOCKED", "0 flight admitted"),
]


@pytest.mark.parametrize(("name", "facts", "severity", "cause"), BROKEN, ids=[f"{b[0]}-{b[3]}" for b in BROKEN])
def test_broken(name: str, facts: f.WindowFacts, severity: str, cause: str) -> None:
    check = judge(name, facts)
    assert check.state is c.State.BROKEN
    assert check.cause == cause
    assert check.severity == severity
    assert check.follows_from is None


@pytest.mark.parametrize("fact", [fact for fact in w.FACTS if fact != "basis"])
def test_a_stale_sample_is_unmeasured(fact: str) -> None:
    """S10: the number may be right or wrong; nobody can say."""
    facts = w.aged(fact, timedelta(seconds=31))
    checks = [judge(name, facts) for name in c.CheckName]
    stale = [check for check in checks if check.state is c.State.UNMEASURED and check.follows_from is None]
    assert stale
    assert any("was not measured for 31 s" in cause.text for check in stale for cause in check.causes)


def test_a_sample_before_the_cut_does_not_count() -> None:
    """S11: a young sample may still be one from before the end."""
    facts = replace(w.GOOD, window=replace(w.WINDOW, cut_at=w.NOW - timedelta(seconds=1)))
    assert judge("CAUGHT_UP", facts).cause.startswith("Kafka was not measured since the cut")


def test_a_summary_older_than_the_newest_receipt_blocks() -> None:
    """S14."""
    facts = w.changed("counts", newest_receipt_at=w.NOW)
    assert judge("BALANCED", facts).cause == "the ledger's count was not measured since the newest receipt"


def test_a_sample_from_the_future_is_no_sample() -> None:
    facts = w.aged("broker", timedelta(seconds=-1))
    assert judge("BASIS", facts).state is c.State.UNMEASURED


def test_nothing_committed_is_a_measurement_and_holds() -> None:
    """K10: -1001 is neither 0 nor lag."""
    pairs = tuple(replace(pair, committed=None) for pair in w.COMMITTED)
    assert judge("COMMITTED", replace(w.GOOD, committed=w.seen(pairs))).state is c.State.HOLDS


@pytest.mark.parametrize(("ours", "severity"), [(None, "BLOCKED"), (50, "BLOCKED"), (90, "FAIL")])
def test_a_commit_ahead_of_the_position_is_fail_only_if_it_is_ours(ours: int | None, severity: str) -> None:
    pairs = tuple(replace(p, committed=90, ours=ours) if p.label == "inbox/3" else p for p in w.COMMITTED)
    check = judge("COMMITTED", replace(w.GOOD, committed=w.seen(pairs)))
    assert check.cause == "Kafka's commit of inbox/3 is 40 ahead of the durable position"
    assert check.severity == severity


def test_a_source_without_committed_offset_fact_is_unmeasured() -> None:
    check = judge("COMMITTED", replace(w.GOOD, committed=w.seen(w.COMMITTED[1:])))
    assert (check.state, check.cause) == (c.State.UNMEASURED, "inbox/0 was not measured")


def test_a_backlog_that_stands_still_is_stalled_after_the_contracts_time() -> None:
    """S18: what the heartbeat says does not matter; there is none here."""
    moved = w.source("inbox/3", position=8, moved_at=w.NOW - timedelta(seconds=59))
    stood = w.source("inbox/3", position=8, moved_at=w.NOW - timedelta(seconds=60))
    assert "STALLED" not in judge("CAUGHT_UP", moved).cause
    assert "STALLED since 02:19" in judge("CAUGHT_UP", stood).cause


def test_an_open_transaction_is_named_instead_of_lag() -> None:
    """K2: LSO < HW and the lane stands at the LSO."""
    facts = w.source("flights.bus/1", position=44)
    facts = w.partition("bus", 1, facts, lso=44)
    assert judge("CAUGHT_UP", facts).cause == "flights.bus/1 is held at 44 by an open transaction"


def test_several_running_lanes_are_one_cause() -> None:
    facts = w.source("inbox/3", w.source("inbox/0", position=60, moved_at=w.NOW), position=8, moved_at=w.NOW)
    assert judge("CAUGHT_UP", facts).cause == "inbox/0 and inbox/3 are 52 behind"


def test_a_cut_window_does_not_look_past_its_cut() -> None:
    """Records after the cut belong to the next window."""
    facts = w.partition("inbox", 3, lso=9_000, high_watermark=9_000)
    assert judge("CAUGHT_UP", facts).state is c.State.HOLDS


def test_a_partition_of_a_later_window_does_not_break_coverage() -> None:
    facts = w.changed("basis", w.partition("inbox", 7, high_watermark=0), later=frozenset({"inbox/7"}))
    assert judge("COVERAGE", facts).state is c.State.HOLDS


def test_a_missing_source_is_not_balanced_by_one_too_many() -> None:
    """Sets, not counts."""
    assert w.GOOD.inbox is not None
    rows = (w.INBOX_0, replace(w.INBOX_3, label="inbox/4"))
    check = judge("COVERAGE", replace(w.GOOD, inbox=w.seen(rows)))
    assert check.cause == "1 of 5 sources is not in the basis and inbox/3 was not measured"


def test_unsettled_publishes_make_applied_follow() -> None:
    facts = w.changed("application", applied=88, missing=12)
    facts = w.changed("publishing", facts, placed_once=88, unknown=(1, 12))
    check = judge("APPLIED", facts)
    assert (check.state, check.follows_from, check.severity) == (c.State.BROKEN, "PUBLISHED", "BLOCKED")


def test_applied_is_not_judged_before_the_bus_was_read_to_its_end() -> None:
    facts = w.source("flights.bus/1", w.changed("application", applied=88, missing=12), position=40)
    check = judge("APPLIED", facts)
    assert (check.follows_from, check.severity) == ("CAUGHT_UP", "BLOCKED")


def test_an_effect_without_event_is_fail_at_any_moment() -> None:
    facts = w.source("flights.bus/1", w.changed("application", surplus=1), position=40)
    assert judge("APPLIED", facts).severity is c.Severity.FAIL


def test_the_unread_end_of_the_bus_follows_from_unsettled_publishes() -> None:
    facts = w.source("flights.bus/1", w.changed("publishing", placed_once=88, unknown=(1, 12)), end=None)
    check = judge("CAUGHT_UP", facts)
    assert (check.state, check.follows_from) == (c.State.UNMEASURED, "PUBLISHED")


def test_claimed_gaps_are_unmeasured_not_fail() -> None:
    check = judge("ACCOUNTED", w.source("inbox/3", claimed=2))
    assert (check.state, check.cause) == (c.State.UNMEASURED, "2 offsets of inbox/3 are in a gap not proven yet")


def test_what_retention_took_of_claimed_gaps_asks_for_another_act() -> None:
    """Nobody can prove it any more: waiting would be for ever. Of a plan's it is asked for anew, without it."""
    facts = w.source("inbox/3", claimed=3, overtaken=1)
    check = judge("ACCOUNTED", facts)
    gone = "1 offset of inbox/3 is in a gap that nobody can prove any more: it is gone from the inbox"
    assert (check.state, [x.text for x in check.causes]) == (
        c.State.UNMEASURED,
        [gone, "2 offsets of inbox/3 are in a gap not proven yet"],
    )
    assert check.causes[0].act == RERUN
    by_plan = replace(facts, window=replace(facts.window, rerun=f.RerunName(1, 7, "replay", "a", "b", "why", 3, "c")))
    assert judge("ACCOUNTED", by_plan).causes[0].act.text == "ask for a replay plan of what is still there"
    all_of_it = judge("ACCOUNTED", w.source("inbox/3", claimed=2, overtaken=2))
    assert [x.text for x in all_of_it.causes] == [
        gone.replace("1 offset of inbox/3 is", "2 offsets of inbox/3 are").replace("it is", "they are")
    ]


def test_a_window_that_is_not_cut_is_not_caught_up() -> None:
    facts = replace(w.GOOD, window=replace(w.WINDOW, state=f.WindowState.OPEN, cut_at=None))
    assert judge("CAUGHT_UP", facts).cause == "the window is not cut"


def opened(facts: f.WindowFacts) -> f.WindowFacts:
    return replace(facts, window=replace(w.WINDOW, state=f.WindowState.OPEN, cut_at=None))


@pytest.mark.parametrize(
    ("facts", "observed"),
    [
        (w.source("inbox/3", cut=None, target=None), "0 behind, and inbox/3 not measured"),
        (w.source("inbox/3", cut=None, target=7, ends_before=True), "0 behind, and inbox/3 not measured"),
        (w.source("inbox/3", w.topic("inbox", topic_id="another"), cut=None, target=900), "not measured"),
        (w.source("inbox/3", cut=None, target=53, moved_at=w.NOW), "3 behind"),
    ],
)
def test_how_far_a_lane_is_from_the_end_of_a_log_that_is_lost_is_not_0(facts: f.WindowFacts, observed: str) -> None:
    """The topic is gone or was created again, or its log ends before where the lane stood when it was asked."""
    others = w.source("inbox/0", facts, cut=None, target=50)
    assert judge("CAUGHT_UP", opened(others)).observed == observed


def test_an_open_windows_receipts_may_be_newer_than_the_sample() -> None:
    facts = w.changed("counts", newest_receipt_at=w.NOW)
    facts = replace(facts, window=replace(w.WINDOW, state=f.WindowState.OPEN, cut_at=None))
    assert judge("BALANCED", facts).state is c.State.HOLDS


def test_what_was_read_and_receipted_may_expire_and_is_named() -> None:
    """Retention does its work, before the cut or after it: only what nobody read is missing."""
    check = judge("BASIS", w.partition("inbox", 3, log_start=50))
    assert (check.state, check.observed) == (c.State.HOLDS, "the same; REPLAY_ANCHOR_LOST: inbox/3 starts later now")
    late = w.partition("inbox", 3, w.source("inbox/3", position=49), log_start=50)
    assert judge("BASIS", late).state is c.State.BROKEN


def test_a_log_that_starts_behind_the_cut_says_nothing_of_this_window() -> None:
    assert judge("BASIS", w.partition("inbox", 3, log_start=60, high_watermark=70)).state is c.State.HOLDS


def test_a_window_behind_an_unreached_cut_has_lost_nothing_of_its_own() -> None:
    """Its lane is still in the window before; the log begins before this one does."""
    behind = w.source("inbox/3", start=40, position=3)
    assert judge("BASIS", w.partition("inbox", 3, behind, log_start=20)).state is c.State.HOLDS
    assert "2 offsets of inbox/3 are gone unread" in judge("BASIS", w.partition("inbox", 3, behind, log_start=42)).cause


def test_a_topic_that_began_late_is_said_to_the_reader_of_its_first_window() -> None:
    first = judge("BASIS", w.source("inbox/3", start=9, first=True))
    assert (first.state, first.observed) == (c.State.HOLDS, "the same; inbox/3 begins at 9, where its log began")
    assert judge("BASIS", w.source("inbox/3", start=9)).observed == "the same"


@pytest.mark.parametrize(
    ("key", "was", "is_"),
    [
        ("max.message.bytes", "1048588", "5000000"),
        ("retention.ms", "604800000", "-1"),
        ("min.insync.replicas", "1", "2"),
        ("replication.factor", "1", "3"),
        ("unclean.leader.election.enable", "true", "false"),
    ],
)
def test_a_topic_that_promises_more_is_no_drift_and_one_that_promises_less_is(key: str, was: str, is_: str) -> None:
    def between(then: str, now_: str) -> f.WindowFacts:
        facts = w.topic("bus", posture={**w.POSTURE, key: now_})
        return w.changed(
            "basis", facts, broker=replace(w.BROKER, bus=replace(w.BROKER.bus, posture={**w.POSTURE, key: then}))
        )

    better, worse = judge("BASIS", between(was, is_)), judge("BASIS", between(is_, was))
    assert better.state is c.State.HOLDS
    assert better.observed == f"the same; {key} of flights.bus was {was} and is {is_}, which promises more"
    assert (worse.state, worse.cause) == (c.State.BROKEN, f"{key} of flights.bus was {is_} and is {was}")


def test_no_plan_refreshes_the_basis_of_a_rerun() -> None:
    """A basis plan is about a window."""
    facts = w.topic("bus", posture={**w.POSTURE, "retention.ms": "1"})
    window = replace(facts.window, rerun=f.RerunName(1, 7, "replay", "ana", "ben", "why", 3, "c0ffee"))
    acts = [judge("BASIS", each).causes[0].act.text for each in (facts, replace(facts, window=window))]
    assert acts[0] == "set retention.ms of flights.bus back, or ask for a basis plan"
    assert acts[1] == "set retention.ms of flights.bus back"


def test_a_broker_more_or_less_is_no_promise() -> None:
    assert judge("BASIS", w.topic("bus", posture={**w.POSTURE, "brokers": "2"})).state is c.State.HOLDS


@pytest.mark.parametrize("when", ["then", "now"])
def test_a_posture_that_nobody_measured_is_not_the_same(when: str) -> None:
    facts = w.topic("inbox", posture=None)
    if when == "then":
        facts = w.changed("basis", broker=replace(w.BROKER, inbox=replace(w.BROKER.inbox, posture=None)))  # type: ignore[type-var]
    check = judge("BASIS", facts)
    said = {"then": "is not in the basis", "now": "was not measured"}[when]
    assert (check.state, check.cause) == (c.State.UNMEASURED, f"the posture of flights.inbox {said}")


@pytest.mark.parametrize("when", ["then", "now"])
def test_an_epoch_that_nobody_measured_is_not_the_same(when: str) -> None:
    facts = w.partition("inbox", 3, leader_epoch=None)
    if when == "then":
        facts = w.changed("basis", broker=facts.broker.value)  # type: ignore[union-attr]
    check = judge("BASIS", facts)
    assert check.state is c.State.UNMEASURED
    assert check.cause.startswith("the leader epoch of inbox/3")


@pytest.mark.parametrize("fault", ["missing", "doubled", "outside", "refuted"])
def test_a_state_in_motion_is_not_a_broken_invariant(fault: str) -> None:
    """Judged once its cut is reached: until then nobody can say."""
    facts = w.source("inbox/3", position=49, **{fault: 3})
    check = judge("ACCOUNTED", facts)
    assert (check.state, check.severity, check.follows_from) == (c.State.UNMEASURED, "BLOCKED", "CAUGHT_UP")
    lost = judge("ACCOUNTED", w.source("inbox/3", facts, lost=2))
    assert (lost.severity, lost.cause) == ("FAIL", "2 offsets of inbox/3 were deleted before anybody read them")


def test_a_commit_on_a_topic_created_again_is_not_held_against_the_old_position() -> None:
    """Our lanes read the new incarnation under the same name; the window fails by BASIS, not by a wrong reason."""
    pairs = tuple(replace(p, committed=90, ours=90) if p.label == "inbox/3" else p for p in w.COMMITTED)
    facts = w.topic("inbox", replace(w.GOOD, committed=w.seen(pairs)), topic_id="new")
    assert judge("COMMITTED", facts).severity is c.Severity.BLOCKED


def test_a_window_below_a_cut_of_its_log_passes_as_it_would_have() -> None:
    """Its log is the one that was read; Kafka's commit and the newest lane are of the one that follows."""
    pairs = tuple(replace(p, committed=90, ours=90) if p.label == "inbox/3" else p for p in w.COMMITTED)
    facts = w.source("inbox/3", replace(w.GOOD, committed=w.seen(pairs)), kept_to=50)
    facts = w.partition("inbox", 3, facts, diverged="truncation detected at offset 90")
    for name in ("COMMITTED", "BASIS"):
        assert judge(name, facts).state is c.State.HOLDS, name
    shorter = w.partition("inbox", 3, facts, high_watermark=49)
    assert judge("BASIS", shorter).cause == "inbox/3 ends at 49, before the window's 50"


def test_a_partition_added_after_the_cut_is_not_this_windows() -> None:
    facts = w.partition("inbox", 7, replace(w.GOOD, end=w.seen(w.BROKER)), high_watermark=0)
    assert judge("COVERAGE", facts).state is c.State.HOLDS
    before = w.partition("inbox", 7, high_watermark=0)
    assert judge("COVERAGE", replace(before, end=before.broker)).state is c.State.BROKEN


def test_an_attempt_whose_log_is_gone_is_named_and_can_not_be_cleared() -> None:
    check = judge("PUBLISHED", w.changed("publishing", placed_once=93, over=(1, 7), over_names=(17,)))
    assert check.severity is c.Severity.FAIL
    assert check.cause == "attempt 17 (7 events) went to a flights.bus that is gone"


@pytest.mark.parametrize(
    ("copies", "first", "said"),
    [
        (0, None, ""),
        (1, (2, 7), ", and 1 further copy by somebody else, at partition 2, offset 7"),
        (3, (0, 9), ", and 3 further copies by somebody else, the first at partition 0, offset 9"),
    ],
)
def test_copies_are_said_and_break_nothing(copies: int, first: tuple[int, int] | None, said: str) -> None:
    check = judge("PUBLISHED", w.changed("publishing", copies=copies, first_copy=first))
    assert (check.state, check.observed) == (c.State.HOLDS, f"100 of 100 events at one place{said}")


@pytest.mark.parametrize(
    ("absent", "whose"), [(4, "of what was decided absent, or by somebody else"), (0, "by somebody else")]
)
def test_a_copy_may_be_of_what_people_decided_to_be_absent(absent: int, whose: str) -> None:
    decision = f.AttemptDecision(17, 4, "ana", "bo", "why", 1, absent)
    facts = replace(w.changed("publishing", copies=1, first_copy=(2, 7)), decisions=(decision,))
    check = judge("PUBLISHED", facts)
    said = f"100 of 100 events at one place, and 1 further copy {whose}, at partition 2, offset 7"
    assert (check.state, check.observed) == (c.State.HOLDS, said)


def test_checks_nobody_asked_for_are_not_listed() -> None:
    assert c.expected(replace(w.GOOD, totals=w.seen({})), w.NOW) is None
    assert c.degraded(replace(w.GOOD, rules=replace(w.RULES, contexts=())), w.NOW) is None
    assert c.context(replace(w.GOOD, rules=replace(w.RULES, contexts=())), w.NOW) is None


def test_required_totals_that_nobody_declared_block() -> None:
    facts = replace(w.GOOD, totals=w.seen({}), rules=replace(w.RULES, totals_required=True))
    assert judge("EXPECTED", facts).cause == "no totals are declared"


def test_the_bound_on_degraded_joins_is_a_share_of_all_of_them() -> None:
    """January 2013: 52 of 27,004 = 0.0019 are within 0.005."""
    facts = w.changed("joins", matched=26_952, missing=52)
    facts = w.changed("application", facts, applied=27_004, events=27_004)
    facts = w.changed("publishing", facts, events=27_004, placed_once=27_004)
    assert judge("DEGRADED", facts).state is c.State.HOLDS
    facts = w.changed("joins", facts, matched=26_864, missing=140)
    assert judge("DEGRADED", facts).cause == "140 joins MISSING, 135 allowed"


def test_effects_that_say_nothing_of_their_join_are_unmeasured() -> None:
    check = judge("DEGRADED", w.changed("joins", matched=98))
    assert (check.state, check.cause) == (c.State.UNMEASURED, "2 effects say nothing of the join")


def with_a_door() -> f.WindowFacts:
    """The good window, with the HTTP door as one more source of its inbox: it has offsets, and no log in Kafka."""
    door = f.SourceLedger("door/a", 0, 9, 9, 9, 0, 0, 0, 0, 0, w.CUT_AT)
    basis = replace(w.BASIS, inbox=(*w.BASIS.inbox, f.BasisSource("door/a")))
    return replace(w.GOOD, basis=w.seen(basis, "basis"), inbox=w.seen((w.INBOX_0, w.INBOX_3, door)))


@pytest.mark.parametrize("name", ["COVERAGE", "CAUGHT_UP", "ACCOUNTED", "COMMITTED", "BASIS"])
def test_a_door_is_a_source_without_a_log(name: str) -> None:
    assert judge(name, with_a_door()).state is c.State.HOLDS


def test_an_inbox_that_kafka_says_nothing_of_is_gone() -> None:
    check = judge("BASIS", w.changed("broker", inbox=None))
    assert (check.state, [cause.text for cause in check.causes][:1]) == (c.State.BROKEN, ["flights.inbox is gone"])


#: By fact, the checks that nobody can judge while it is old.
READING = ["COVERAGE", "CAUGHT_UP", "PUBLISHED", "APPLIED", "DEGRADED", "BASIS"]
RESTS_ON = {
    "broker": READING,
    "bus": READING,
    "inbox": ["COVERAGE", "CAUGHT_UP", "ACCOUNTED", "BASIS"],
    "database": ["BASIS"],
    "counts": ["BALANCED", "EXPECTED", "NOT_EMPTY"],
    "totals": ["EXPECTED"],
    "publishing": ["PUBLISHED", "APPLIED"],
    "application": ["APPLIED", "DEGRADED"],
    "committed": ["COMMITTED"],
    "quarantine": ["QUARANTINE"],
    "joins": ["DEGRADED"],
    "context": ["CONTEXT"],
}


@pytest.mark.parametrize("fact", [fact for fact in w.FACTS if fact != "basis"])
def test_every_check_that_rests_on_an_old_fact_is_unmeasured(fact: str) -> None:
    """None of them is judged by the others it rests on alone."""
    facts = w.aged(fact, timedelta(seconds=31))
    assert [name for name in c.CheckName if judge(name, facts).state is c.State.UNMEASURED] == RESTS_ON[fact]


def test_a_sample_of_the_very_bound_is_young_enough_and_one_of_now_is_no_future() -> None:
    for age in (30, 0):
        assert judge("QUARANTINE", w.aged("quarantine", timedelta(seconds=age))).state is c.State.HOLDS


def test_a_sample_of_the_moment_of_the_cut_counts() -> None:
    facts = replace(w.GOOD, window=replace(w.WINDOW, cut_at=w.NOW - timedelta(seconds=2)))
    assert judge("BALANCED", facts).state is c.State.HOLDS


def test_a_sample_of_the_moment_of_the_newest_receipt_counts() -> None:
    facts = w.changed("counts", newest_receipt_at=w.NOW - timedelta(seconds=2))
    assert judge("QUARANTINE", facts).state is c.State.HOLDS


@pytest.mark.parametrize("log", [{"lso": None}, {"lso": 45}, {"lso": 44, "high_watermark": 44}])
def test_a_lane_is_not_held_by_a_transaction_that_nobody_saw_before_it(log: dict[str, int | None]) -> None:
    """The LSO is not known, lies ahead of the lane, or is the end of a log that was cut short."""
    facts = w.partition("bus", 1, w.source("flights.bus/1", position=44, moved_at=w.NOW), **log)
    assert judge("CAUGHT_UP", facts).cause == "flights.bus/1 is 6 behind"


def test_a_lane_that_goes_on_by_itself_in_seconds_is_behind_and_not_stopped() -> None:
    brief = next(code for code in stops.STOPS if stops.is_brief(code))
    stop = f.LaneStop("inbox/3", brief)
    assert (
        judge("CAUGHT_UP", w.source("inbox/3", position=8, moved_at=w.NOW, stop=stop)).cause == "inbox/3 is 42 behind"
    )


def test_a_lane_is_behind_though_kafka_says_nothing_of_its_topic() -> None:
    facts = w.source("inbox/3", w.changed("broker", inbox=None), position=8, moved_at=w.NOW)
    assert judge("CAUGHT_UP", facts).cause == "inbox/3 is 42 behind"


@pytest.mark.parametrize("name", ["PUBLISHED", "APPLIED", "DEGRADED"])
def test_what_is_good_so_far_does_not_hold_before_the_cut_is_known(name: str) -> None:
    assert judge(name, w.source("inbox/3", cut=None)).state is c.State.UNMEASURED


def test_offsets_of_a_window_without_a_cut_are_accounted_so_far() -> None:
    check = judge("ACCOUNTED", w.source("inbox/3", cut=None))
    assert (check.state, check.observed) == (c.State.UNMEASURED, "120 receipts so far")


def test_partitions_of_another_incarnation_are_not_later_ones() -> None:
    """A topic made again has the partitions it has, and the window's are gone."""
    assert w.GOOD.broker is not None
    then = replace(w.BROKER, bus=replace(w.BROKER.bus, topic_id="another"))
    facts = w.partition("inbox", 7, replace(w.GOOD, end=w.seen(then)), high_watermark=0)
    assert judge("COVERAGE", facts).state is c.State.BROKEN


def test_the_basis_says_how_much_of_it_differs() -> None:
    assert judge("BASIS", w.changed("database", timeline=2)).observed == "1 difference"
    assert judge("BASIS", w.partition("inbox", 3, diverged=None)).observed == "1 difference"


def test_what_a_topic_made_again_promises_is_not_held_against_the_one_before() -> None:
    """That it is another one is all there is to say."""
    worse = {**w.POSTURE, "cleanup.policy": "compact"}
    check = judge("BASIS", w.topic("inbox", topic_id="another", posture=worse))
    assert [cause.text for cause in check.causes] == ["flights.inbox was deleted and created again"]


def test_a_topic_that_is_gone_has_no_posture_to_ask_for() -> None:
    check = judge("BASIS", w.topic("bus", topic_id=None, posture=None))
    assert [cause.text for cause in check.causes] == ["flights.bus is gone"]


def test_a_promise_that_the_basis_does_not_know_is_not_compared() -> None:
    then = {key: value for key, value in w.POSTURE.items() if key != "cleanup.policy"}
    was = replace(w.BASIS, broker=replace(w.BROKER, bus=replace(w.BROKER.bus, posture=then)))
    check = judge("BASIS", replace(w.GOOD, basis=w.seen(was, "basis")))
    assert (check.state, check.cause) == (c.State.UNMEASURED, "cleanup.policy of flights.bus is not in the basis")


def test_a_first_window_that_starts_at_nothing_did_not_begin_late() -> None:
    assert judge("BASIS", w.source("inbox/3", first=True)).observed == "the same"


def test_a_window_that_had_nothing_of_a_source_has_lost_no_anchor_there() -> None:
    """The lane has gone on, in the next window."""
    facts = w.partition("inbox", 3, w.source("inbox/3", start=40, cut=40), log_start=45)
    assert judge("BASIS", facts).observed == "the same"


def test_a_topic_made_again_promises_nothing_more() -> None:
    better = {**w.POSTURE, "retention.ms": "-1"}
    assert "promises more" in judge("BASIS", w.topic("inbox", posture=better)).observed
    assert "promises more" not in judge("BASIS", w.topic("inbox", topic_id="another", posture=better)).observed


def test_ends_that_nobody_could_know_yet_are_not_missing() -> None:
    """An open window has no cut, so no bus end either: that it is not cut is the reason."""
    facts = w.source("flights.bus/1", w.source("inbox/3", cut=None), end=None)
    facts = replace(facts, window=replace(w.WINDOW, state=f.WindowState.OPEN, cut_at=None))
    assert judge("CAUGHT_UP", facts).cause == "the window is not cut"


def test_the_unread_end_of_the_bus_follows_from_nothing_where_nobody_counted_publishes() -> None:
    facts = replace(w.source("flights.bus/1", end=None), publishing=None)
    check = judge("CAUGHT_UP", facts)
    assert (check.state, check.follows_from) == (c.State.UNMEASURED, None)


def test_commits_follow_from_the_basis_only_where_a_topic_is_another() -> None:
    assert judge("COMMITTED", w.GOOD).follows_from is None
    assert judge("COMMITTED", w.topic("bus", topic_id="another")).follows_from is c.CheckName.BASIS
    assert judge("COMMITTED", w.changed("broker", inbox=None)).follows_from is c.CheckName.BASIS


def test_a_commit_of_ours_ahead_is_fail_though_another_topic_was_made_again() -> None:
    pairs = tuple(replace(p, committed=90, ours=90) if p.label == "inbox/3" else p for p in w.COMMITTED)
    facts = replace(w.topic("bus", topic_id="another"), committed=w.seen(pairs))
    assert judge("COMMITTED", facts).severity is c.Severity.FAIL


def test_a_stream_without_a_kafka_inbox_has_the_commits_of_its_bus() -> None:
    """And a basis that names none."""
    basis = replace(w.BASIS, broker=replace(w.BROKER, inbox=None), inbox=(f.BasisSource("door/a"),))
    facts = replace(w.changed("broker", inbox=None), basis=w.seen(basis), committed=w.seen(w.COMMITTED[2:]))
    assert judge("COMMITTED", facts).state is c.State.HOLDS


def test_a_truth_table_that_lacks_an_effect_is_fail_at_any_moment() -> None:
    """A row is written in the transaction of its effect: what lacks one now lacks it for good."""
    table = f.TruthTable("truth.flights", taken=88, missing=1, surplus=0)
    facts = w.source("flights.bus/1", w.changed("application", tables=(table,)), position=40)
    assert judge("APPLIED", facts).severity is c.Severity.FAIL


def test_effects_are_counted_against_events_where_none_is_named() -> None:
    one = w.changed("application", applied=101, surplus=1)
    assert judge("APPLIED", one).cause == "1 effect has no event"
    assert judge("APPLIED", w.changed("application", applied=99)).cause == "99 effects for 100 events"


def test_too_many_degraded_joins_are_broken_before_the_bus_was_read_to_its_end() -> None:
    facts = w.source("flights.bus/1", w.changed("joins", matched=90, missing=10), position=40)
    assert judge("DEGRADED", facts).state is c.State.BROKEN


def test_only_contexts_that_stand_are_said_to() -> None:
    fell = replace(w.PINNED, why="weather/2013-01#1 fell", fallen=True)
    assert judge("CONTEXT", replace(w.GOOD, context=w.seen((fell,)))).observed == "none stands"
    assert judge("CONTEXT", replace(w.GOOD, context=w.seen((w.PINNED, fell)))).observed == "weather/2013-01#1 stands"


def test_as_many_discarded_as_the_contract_allows_are_allowed() -> None:
    assert judge("QUARANTINE", w.changed("quarantine", discarded=50)).state is c.State.HOLDS
    assert judge("QUARANTINE", w.changed("quarantine", discarded=51)).state is c.State.BROKEN


def test_what_nobody_can_say_is_never_fail() -> None:
    cause = c.Cause("the invariant is broken", c.Act("open a new run"), c.Severity.FAIL)
    broken = c.Check(c.CheckName.APPLIED, c.State.BROKEN, "", "", None, None, (cause,))
    assert broken.severity is c.Severity.FAIL
    assert replace(broken, state=c.State.UNMEASURED).severity is c.Severity.BLOCKED
