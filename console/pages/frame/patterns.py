"""`/patterns/`: every component in every state, driven by plain values. What is not here does not exist."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.http import HttpRequest, HttpResponseBase

from console.pages.frame import contexts as c
from console.pages.frame.charts import LedgerBar, LineChart, Sample, line_chart
from console.pages.frame.icons import PATHS
from console.pages.frame.shell import needs, page
from console.pages.frame.words import LOOKS
from console.permissions import NOT_KNOWN, YES, Act, Role, allows

HOSTILE = (
    "<script>alert(1)</script>",
    'hx-get="/evil" onload=x',
    "{{ 7|add:7 }}{% load evil %}",
    "javascript:alert(1)",
    "right \u202eto left\u202c",
    "zero\u200bwidth\ufeff",
    "caf\u00e9 and cafe\u0301",
    "line\r\nfeed \x1b[31mred\x00nul",
    " space at both ends ",
    "bytes \udcff\udcfe that are not UTF-8",
    "=1+1",
    "",
)


@dataclass(frozen=True, slots=True)
class PatternsPage:
    """Examples of every part."""

    words: tuple[str, ...]
    icons: tuple[str, ...]
    hostile: tuple[str, ...]
    strip: c.Strip
    tabs: tuple[c.Tab, ...]
    said: c.DiagnosisBox
    buttons: tuple[c.Button, ...]
    bars: tuple[LedgerBar, ...]
    checks: c.Checks
    checks_holding: c.Checks
    checks_sealed: c.Checks
    chart: LineChart
    chart_empty: LineChart
    rows: tuple[c.RunRow, ...]
    verdicts: tuple[c.VerdictLine, ...]
    difference: c.Difference
    difference_hidden: c.Difference
    moments: tuple[c.Moment, ...]
    facts: tuple[c.Fact, ...]
    pager: c.Pager
    empty: tuple[str, ...]
    same: c.SameAct
    at: datetime


@needs(Act.LOOK)
def patterns(request: HttpRequest) -> HttpResponseBase:
    """The page. Asks nothing of the ledger."""
    return page(request, "frame/patterns", example(datetime.now(UTC)))


def example(now: datetime) -> PatternsPage:
    """Every part, in states that do not depend on any ledger."""
    night = now.replace(hour=2, minute=31, second=7, microsecond=12_000)
    return PatternsPage(
        words=tuple(LOOKS),
        icons=tuple(PATHS),
        hostile=HOSTILE,
        strip=_strip(),
        tabs=(
            c.Tab("Overview", "#", True),
            c.Tab("Sources", "#", False, 10),
            c.Tab("Receipts", "#", False),
            c.Tab("Gate", "#", False),
        ),
        said=c.DiagnosisBox(
            "Window 1 is BLOCKED: 3 publishes (812 events) have no known outcome, 12 quarantine items are open "
            "(0 allowed) and flights.bus/5 was not measured for 6 min.",
            "reconcile the 3 publishes.",
            "You can do this.",
        ),
        buttons=_buttons(),
        bars=(
            LedgerBar(31_204, 30_012, 1_180, 12),
            LedgerBar(31_204, 30_012, 1_180, 9),
            LedgerBar(0, 0, 0, 0),
            LedgerBar(10_002, 0, 10_002, 0),
        ),
        checks=c.Checks(
            _lines(now),
            now - timedelta(seconds=4),
            not_listed=(
                "EXPECTED is not listed: no totals are declared.",
                "SEALED is not listed: verdicts are not sealed yet.",
            ),
        ),
        checks_holding=c.Checks(tuple(line for line in _lines(now) if line.state == "HOLDS"), now),
        checks_sealed=c.Checks(_lines(now), night, verdict="Verdict #7, sealed 02:31"),
        chart=line_chart(_samples(now)),
        chart_empty=line_chart(()),
        rows=_rows(now),
        verdicts=_verdicts(now),
        difference=_difference(),
        difference_hidden=c.Difference((), (), only_digests="You see digests only: payloads need operator on flights."),
        moments=_moments(night),
        facts=_facts(now),
        pager=c.Pager(50, "#", "#", "1,204"),
        empty=(
            "No records yet. This run expects topic flights.inbox; last look 3 s ago found 0 new.",
            "An empty page says what it waits for and how fresh that is.",
        ),
        same=c.SameAct(
            "passgate reconcile flights/2013-01",
            "POST /api/v1/attempts/412/reconcile",
            '{"reason": "broker was frozen"}',
        ),
        at=night,
    )


def _strip() -> c.Strip:
    return c.Strip(
        "flights",
        "#",
        "2013-01",
        "#",
        "OPEN",
        "v3",
        "#",
        "data-platform@example.com",
        "BLOCKED",
        "GATE SHUT",
        "development",
        44,
        (c.Link("before: 43", "#"), c.Link("newest: 45", "#")),
        "window 3 FAIL, 41 PASS, window 45 open",
        "FAIL",
        "#",
    )


def _buttons() -> tuple[c.Button, ...]:
    refused = allows(frozenset({Role.VIEWER}), Act.RESOLVE)
    return (
        c.Button("Reconcile 3", "#", YES, main=True),
        c.Button("Cut", "#", YES),
        c.Button("Resolve", "#", refused),
        c.Button("Approve exactly this", "#", NOT_KNOWN),
    )


def _lines(now: datetime) -> tuple[c.CheckLine, ...]:
    link = c.Link("attempts →", "#")
    return (
        c.CheckLine("PUBLISHED", "BROKEN", "0 unknown", "3 attempts", now - timedelta(minutes=17), "ledger", link),
        c.CheckLine(
            "APPLIED",
            "BROKEN",
            at=now - timedelta(seconds=4),
            source="ledger",
            follows="PUBLISHED",
            evidence=c.Link("effects →", "#"),
        ),
        c.CheckLine(
            "CAUGHT_UP",
            "UNMEASURED",
            "≤ 30 s old",
            "6 min 02 s old",
            now - timedelta(minutes=6),
            "flights.bus/5",
            c.Link("sources →", "#"),
        ),
        c.CheckLine("NOT_EMPTY", "WAIVED", "something admitted", "0 admitted", now, "ledger"),
        c.CheckLine("BALANCED", "HOLDS", "records = receipts", "31,204 = 31,204", now, "ledger"),
        c.CheckLine("COVERAGE", "HOLDS", "6 sources", "6 sources", now, "kafka"),
    )


def _samples(now: datetime) -> list[Sample]:
    heights: list[int | None] = [0, 120, 840, 2_400, 3_900, 3_700, None, None, 2_900, 1_700, 900, 412, 410, 412]
    start = now - timedelta(seconds=5 * len(heights))
    return [Sample(start + timedelta(seconds=5 * index), value) for index, value in enumerate(heights)]


def _rows(now: datetime) -> tuple[c.RunRow, ...]:
    def row(run: str, state: str, why: str, bar: LedgerBar, hours: int, gate: str) -> c.RunRow:
        return c.RunRow("flights", run, "#", "OPEN", state, why, bar, now - timedelta(hours=hours), "ana", gate)

    return (
        row(
            "2013-01",
            "BLOCKED",
            "3 publishes have no known outcome",
            LedgerBar(31_204, 30_012, 1_180, 12),
            1,
            "GATE SHUT",
        ),
        row("2013-02", "PASS", "All 12 checks hold", LedgerBar(26_010, 24_951, 1_059, 0), 30, "GATE OPEN"),
        row("2013-03", "FAIL", "12 offsets of inbox/3 have no receipt", LedgerBar(40, 20, 8, 0), 55, "GATE SHUT"),
        row("2013-04", "NOT JUDGED", "The window is open", LedgerBar(0, 0, 0, 0), 70, "GATE SHUT"),
        row("\u202egnp.3102", "PASS (waived)", "NOT_EMPTY waived", LedgerBar(10_002, 0, 10_002, 0), 99, "GATE OPEN"),
    )


def _verdicts(now: datetime) -> tuple[c.VerdictLine, ...]:
    return (
        c.VerdictLine(
            "flights/2013-01#7", "#", "PASS", "1", now - timedelta(minutes=4), "auto", "PUBLISHED 3 unknown → 0"
        ),
        c.VerdictLine("flights/2013-01#6", "#", "BLOCKED", "1", now - timedelta(minutes=19), "auto", "first verdict"),
    )


def _difference() -> c.Difference:
    return c.Difference(
        (
            c.DiffRow("/arr_delay", "11", "-4"),
            c.DiffRow("/tailnum", "masked, differs", "masked, differs"),
            c.DiffRow("/note", None, "<b>gate\u202e changed</b>"),
        ),
        (c.DiffRow("/carrier", "UA", "UA"), c.DiffRow("/flight", "1545", "1545")),
    )


def _moments(at: datetime) -> tuple[c.Moment, ...]:
    def later(seconds: int) -> datetime:
        return at + timedelta(seconds=seconds)

    return (
        c.Moment(at, "Intent", "PREPARED under fence 12: 271 events of flights.inbox/3, lo 5,391 on flights.bus/2."),
        c.Moment(later(1), "Sent", "We sent 271 events."),
        c.Moment(None, "Silence", "No answer for 15 s. They may be on the bus.", "silence"),
        c.Moment(later(16), "UNKNOWN", "_MSG_TIMED_OUT: flush raised", "wait"),
        c.Moment(later(60), "Fence", "Fence 13: the old producer can send nothing more."),
        c.Moment(later(62), "ABSENT", "Read to 5,391, none found. Queued again.", "good"),
        c.Moment(later(70), "Contradiction", "A record of this attempt appeared at 5,402.", "bad"),
    )


def _facts(now: datetime) -> tuple[c.Fact, ...]:
    return (
        c.Fact("offset", 88_201, "number"),
        c.Fact("digest", bytes(range(32)), "digest", "#"),
        c.Fact("state", "ACKED", "state"),
        c.Fact("arrived", now - timedelta(hours=3), "age"),
        c.Fact("size", 4_096, "bytes"),
        c.Fact("from outside", "a\u200bb\x00<b>", "outside"),
    )
