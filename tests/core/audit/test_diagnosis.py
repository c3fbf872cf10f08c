"""The golden table of sentences: every check in every state it can be in, word for word.

golden_sentences.txt is for people to read; a change of a sentence is a change of that file. To write it anew:
`python -m tests.core.audit.test_diagnosis > tests/core/audit/golden_sentences.txt`.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from audit.core import checks as c
from audit.core import facts as f
from audit.core.diagnosis import checks_in, diagnose, not_known, told
from audit.core.verdict import body, verdict
from tests.core.audit import world as w
from tests.core.audit.test_verdict import EMPTY, waived

GOLDEN = Path(__file__).parent / "golden_sentences.txt"
EVERYTHING = {"reconcile", "resolve", "cut", "totals", "operate"}
GONE_UNREAD = w.source("inbox/3", position=9, moved_at=w.NOW)
UNKNOWN_3 = w.changed("publishing", events=1000, placed_once=188, unknown=(3, 812))
UNKNOWN_3 = w.changed("application", UNKNOWN_3, events=1000, applied=188, missing=812)
UNKNOWN_3 = w.changed(
    "counts", UNKNOWN_3, records=1020, admitted=1000, receipts_admitted=1000, by_class={"flight": 1000}
)
UNKNOWN_3 = replace(w.changed("joins", UNKNOWN_3, matched=188), totals=w.seen({}))
UNKNOWN_3_BUS = w.source("flights.bus/1", w.source("flights.bus/0", UNKNOWN_3, end=None), end=None)
OPEN_12 = w.changed("quarantine", UNKNOWN_3_BUS, open=12)
TWO_ALLOWED = replace(w.GOOD, rules=replace(w.RULES, quarantine_open_max=2))
OPEN = replace(w.GOOD, window=replace(w.WINDOW, state=f.WindowState.OPEN, cut_at=None))


def committed(label: str, offset: int, ours: int | None = None) -> f.WindowFacts:
    pairs = tuple(replace(p, committed=offset, ours=ours) if p.label == label else p for p in w.COMMITTED)
    return replace(w.GOOD, committed=w.seen(pairs, "kafka"))


def pinned(why: str, fallen: bool = False) -> f.WindowFacts:
    return replace(w.GOOD, context=w.seen((replace(w.PINNED, why=why, fallen=fallen),)))


GONE = "the topic or partition does not exist: expected topic flights.inbox; found none; next: create it"

CASES: dict[str, f.WindowFacts] = {
    "PASS": w.GOOD,
    "PASS waived": waived("NOT_EMPTY", EMPTY),
    "issue": OPEN_12,
    "console": w.aged("broker", timedelta(minutes=6), OPEN_12),
    "somebody's act before waiting": w.changed(
        "publishing", OPEN_12, placed_once=100, queued=88, in_flight=(1, 10)
    ),
    "more than three": w.topic("bus", w.source("inbox/3", OPEN_12, position=8), topic_id=None),
    "FAIL beside BLOCKED": w.source("inbox/3", OPEN_12, missing=12),
    "COVERAGE BROKEN": w.partition("inbox", 5, w.partition("inbox", 6)),
    "COVERAGE UNMEASURED": w.topic("inbox", partitions={0: w.log(70)}),
    "CAUGHT_UP BROKEN": w.source("inbox/3", position=8, moved_at=w.NOW),
    "CAUGHT_UP BROKEN stalled": w.source("inbox/3", position=8),
    "CAUGHT_UP BROKEN held": w.partition("bus", 1, w.source("flights.bus/1", position=44), lso=44),
    "CAUGHT_UP BROKEN open": OPEN,
    "CAUGHT_UP BROKEN stopped": w.source("inbox/3", position=8, stop=f.LaneStop("inbox/3", "topic_gone", GONE)),
    "CAUGHT_UP BROKEN stopped and behind": w.source(
        "inbox/0", w.source("inbox/3", position=8, moved_at=w.NOW), position=60,
        stop=f.LaneStop("inbox/0", "unexpected", "Traceback …:\n  File x\nValueError: no such hour\n"),
    ),
    "CAUGHT_UP UNMEASURED": w.source("flights.bus/1", end=None),
    "CAUGHT_UP UNMEASURED stale": w.aged("broker", timedelta(minutes=6)),
    "ACCOUNTED BROKEN": w.source("inbox/3", missing=12),
    "ACCOUNTED BROKEN one": w.source("inbox/3", missing=1),
    "ACCOUNTED UNMEASURED": w.source("inbox/3", claimed=2),
    "BALANCED BROKEN": w.changed("counts", records=123, admitted=103),
    "BALANCED UNMEASURED": w.without("counts"),
    "EXPECTED BROKEN": replace(w.GOOD, totals=w.seen({"flight": 27_004})),
    "EXPECTED BROKEN required": replace(w.GOOD, totals=w.seen({}), rules=replace(w.RULES, totals_required=True)),
    "EXPECTED UNMEASURED": w.without("totals"),
    "PUBLISHED BROKEN unknown": UNKNOWN_3_BUS,
    "PUBLISHED BROKEN unknown one": w.changed("publishing", placed_once=99, unknown=(1, 1)),
    "PUBLISHED BROKEN undecidable": w.changed("publishing", placed_once=90, undecidable=(2, 10)),
    "PUBLISHED BROKEN withheld": w.changed("publishing", placed_once=90, withheld=(1, 10)),
    "PUBLISHED BROKEN in flight": w.changed("publishing", placed_once=50, in_flight=(1, 50)),
    "PUBLISHED BROKEN queued": w.changed("publishing", placed_once=88, queued=12),
    "PUBLISHED BROKEN stopped": w.changed(
        "publishing", placed_once=88, queued=12, stopped=(f.LaneStop("the publish lane of inbox/0", "bus_compacts"),)
    ),
    "PUBLISHED BROKEN behind another window's attempt": w.changed(
        "publishing", placed_once=88, queued=12,
        stopped=(f.LaneStop("the publish lane of inbox/0", "waits_for_reconcile"),),
    ),
    "PUBLISHED BROKEN stopped for seconds": w.changed(
        "publishing", placed_once=88, queued=12, stopped=(f.LaneStop("the publish lane of inbox/0", "publish_unknown"),)
    ),
    "PUBLISHED BROKEN foreign": w.changed("publishing", foreign=1),
    "PUBLISHED BROKEN lost": w.changed("publishing", placed_once=99),
    "PUBLISHED BROKEN contradiction": w.changed("publishing", contradictions=1),
    "PUBLISHED UNMEASURED": w.without("publishing"),
    "APPLIED BROKEN": w.changed("application", w.changed("joins", matched=88), applied=88, missing=12),
    "APPLIED BROKEN surplus": w.changed("application", surplus=1),
    "APPLIED UNMEASURED": w.without("application"),
    "COMMITTED BROKEN ours": committed("inbox/3", 90, 90),
    "COMMITTED BROKEN somebody else's": committed("inbox/3", 90),
    "COMMITTED UNMEASURED": w.without("committed"),
    "QUARANTINE BROKEN": w.changed("quarantine", open=12),
    "QUARANTINE BROKEN one": w.changed("quarantine", open=1),
    "QUARANTINE BROKEN allowed": w.changed("quarantine", TWO_ALLOWED, open=3),
    "QUARANTINE BROKEN discarded": w.changed("quarantine", discarded=61),
    "QUARANTINE UNMEASURED": w.without("quarantine"),
    "QUARANTINE WAIVED": waived("QUARANTINE", w.changed("quarantine", open=1)),
    "DEGRADED BROKEN": w.changed("joins", matched=99, missing=1),
    "DEGRADED BROKEN ambiguous": w.changed("joins", matched=98, ambiguous=2),
    "DEGRADED UNMEASURED": w.without("joins"),
    "CONTEXT BROKEN": pinned("weather/2013-01#2 is FAIL", fallen=True),
    "CONTEXT UNMEASURED": w.without("context"),
    "CONTEXT UNMEASURED gate": pinned("the gate of weather/2013-01#1 was not re-checked since 02:14"),
    "BASIS BROKEN topic": w.topic("bus", topic_id="other"),
    "BASIS BROKEN cluster": w.changed("broker", cluster_id="cluster-b"),
    "BASIS BROKEN gone": w.topic("bus", topic_id=None, partitions={}),
    "BASIS BROKEN retention": w.partition("inbox", 3, GONE_UNREAD, log_start=18_000),
    "BASIS BROKEN lost": w.source("inbox/3", lost=41),
    "PASS behind": replace(w.GOOD, behind=(f.RangeBehindCut("inbox/0", 70, 120, w.CUT_AT),)),
    "PASS behind two": replace(
        w.GOOD, behind=(f.RangeBehindCut("inbox/0", 70, 71), f.RangeBehindCut("inbox/3", 50, 59))
    ),
    "PUBLISHED BROKEN over": w.changed("publishing", placed_once=93, over=(2, 7), over_names=(17, 19)),
    "BASIS BROKEN truncated": w.partition("inbox", 3, diverged="truncation detected at offset 99"),
    "BASIS BROKEN posture": w.topic("inbox", posture={**w.POSTURE, "retention.ms": "1000"}),
    "BASIS BROKEN database": w.changed("database", timeline=2),
    "BASIS UNMEASURED posture": w.topic("inbox", posture=None),
    "BASIS UNMEASURED epoch": w.partition("inbox", 3, leader_epoch=None),
    "BASIS UNMEASURED": w.without("database"),
    "BASIS UNMEASURED none": w.without("basis"),
    "NOT_EMPTY BROKEN": w.changed("counts", EMPTY, records=10_002, duplicates=10_002, quarantined=0,
                                  receipts_duplicate=10_002, receipts_quarantined=0),
    "NOT_EMPTY BROKEN never": replace(EMPTY, rules=replace(w.RULES, empty_waivable=False)),
    "NOT_EMPTY BROKEN class": w.changed("counts", by_class={"other": 100}, facts=replace(w.GOOD, totals=w.seen({}))),
    "Kafka away": w.without("broker", "committed"),
}  # fmt: skip


def say(name: str) -> str:
    return diagnose(verdict(CASES[name], w.NOW), 7).sentence


def table() -> str:
    return "".join(f"{name}\n    {say(name)}\n" for name in CASES)


@pytest.mark.parametrize("name", CASES)
def test_golden(name: str) -> None:
    lines = GOLDEN.read_text(encoding="utf-8").splitlines()
    golden = dict(zip(lines[::2], [line.strip() for line in lines[1::2]], strict=True))
    assert say(name) == golden[name]


def test_the_golden_file_has_no_case_too_many() -> None:
    assert GOLDEN.read_text(encoding="utf-8").splitlines()[::2] == list(CASES)


def test_every_check_is_in_the_table_in_every_state_that_blocks() -> None:
    seen = {(check.name, check.state) for facts in CASES.values() for check in verdict(facts, w.NOW).failed()}
    for name in c.CheckName:
        assert (name, c.State.BROKEN) in seen and (name, c.State.UNMEASURED) in seen or name is c.CheckName.NOT_EMPTY


def test_two_causes_and_the_first_act() -> None:
    assert say("issue") == (
        "Window 1 is BLOCKED: 3 publishes (812 events) have no known outcome and 12 quarantine items are open. "
        "Next: reconcile the 3 publishes."
    )


@pytest.mark.parametrize(
    ("name", "permissions", "end"),
    [
        ("issue", EVERYTHING, "Next: reconcile the 3 publishes. You can do this."),
        ("issue", set(), "Next: reconcile the 3 publishes."),
        (
            "PUBLISHED BROKEN undecidable",
            EVERYTHING,
            "Next: reconcile the 2 publishes again, or ask for a decide plan. You can do this.",
        ),
        ("PUBLISHED BROKEN withheld", EVERYTHING, "Next: ask for a republish plan. Needs an approver."),
        ("PUBLISHED BROKEN queued", EVERYTHING, "Next: wait for the lanes."),
    ],
)
def test_who_can_do_it(name: str, permissions: set[str], end: str) -> None:
    assert diagnose(verdict(CASES[name], w.NOW), None, permissions).sentence.endswith(end)


def test_fail_before_it_has_a_number() -> None:
    said = diagnose(verdict(CASES["BASIS BROKEN topic"], w.NOW)).sentence
    assert said.endswith("This cannot be cleared. Open a new run, or ask for a replay where one is offered.")


def test_what_cannot_be_cleared_is_said_first() -> None:
    """Whichever check it is of: PUBLISHED comes before APPLIED, and a record of a stranger can be dealt with."""
    facts = w.changed("publishing", w.changed("application", applied=99, missing=1), foreign=1)
    said = [cause.text for cause in diagnose(verdict(facts, w.NOW)).causes]
    assert said[:2] == ["1 event is not applied", "1 record of flights.bus is FOREIGN"]


# ---- of a stored verdict --------------------------------------------------------------------------------------------


def stored(name: str) -> dict[str, Any]:
    judged = verdict(CASES[name], w.NOW)
    return body(judged, 7, diagnose(judged, 7).sentence)


@pytest.mark.parametrize("name", CASES)
def test_a_stored_verdict_tells_what_it_said(name: str) -> None:
    """Its causes, in their order, and its act are read from its checks, and make up the sentence that was stored."""
    judged, told_ = diagnose(verdict(CASES[name], w.NOW), 7), told(stored(name))
    assert (told_.causes, told_.act, told_.sentence) == (judged.causes, judged.act, say(name))
    assert say(name) == (f"{told_.finding} Next: {told_.following}" if told_.act else told_.finding)
    assert told_.finding.startswith("Window 1 is ") and told_.finding.endswith(f": {told_.why}")


def test_causes_are_not_parsed_from_a_sentence() -> None:
    """A topic may be called anything, and wording changes from version to version."""
    spoilt = stored("issue") | {"sentence": "Window 1 is BLOCKED: Next: nothing. Window 2 is PASS: all is well."}
    assert told(spoilt).why == "3 publishes (812 events) have no known outcome and 12 quarantine items are open."
    assert told(spoilt).following == "reconcile the 3 publishes."
    assert told({"schema": "passgate.verdict/2", "sentence": "As it was."}).why == "As it was."


def test_a_body_of_before_says_of_a_whole_check_how_bad_it_is() -> None:
    older = stored("BASIS BROKEN topic")
    for check in older["checks"]:
        for cause in check["causes"]:
            del cause["severity"]
    assert told(older) == told(stored("BASIS BROKEN topic"))


if __name__ == "__main__":
    print(table(), end="")


def _with(path: tuple[str | int, ...], word: str) -> dict[str, Any]:
    body = stored("BASIS BROKEN topic")
    at: Any = body
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = word
    return body


def _broken() -> int:
    return next(at for at, check in enumerate(stored("BASIS BROKEN topic")["checks"]) if check["state"] == "BROKEN")


@pytest.mark.parametrize(
    "path",
    [
        ("state",),
        ("window", "state"),
        ("checks", 0, "check"),
        ("checks", 0, "state"),
        ("checks", 0, "follows_from"),
        ("checks", _broken(), "severity"),
        ("checks", _broken(), "causes", 0, "severity"),
    ],
    ids=lambda path: ".".join(map(str, path)),
)
def test_of_words_of_a_later_version_there_is_the_sentence_and_nothing_else(path: tuple[str | int, ...]) -> None:
    """No cause, no act and no check that counts: nobody here can say what they mean."""
    body = _with(path, "NEWER")
    found = told(body)
    assert (found.sentence, found.causes, found.act) == (body["sentence"], (), None)
    assert found.following == "look with the version that stored it: this one does not know NEWER."
    assert (checks_in(body), not_known(body)) == ((), ["NEWER"])


def test_every_word_of_this_version_is_known() -> None:
    assert [name for name in CASES if not_known(stored(name))] == []
