"""`…/windows/`: every window of a run, the newest first, by what was judged of them."""

from __future__ import annotations

from collections.abc import Mapping

from django.http import HttpRequest, HttpResponseBase

from audit import gate
from console import links
from console.pages.frame import contexts as c
from console.pages.frame.shell import STEADY, needs, page
from console.pages.runs import run_parts
from console.pages.runs.runs import number_in, scope_or_404
from console.permissions import Act
from console.reads import reruns, runs
from console.reads import windows as reads
from ingest.core.ids import WindowId
from ingest.models import Window

# What the page can be narrowed to: the word in the URL, on the tab, and the verdicts of `reads.VERDICTS`.
FILTERS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "": ("All", ()),
    "not-pass": ("Not PASS", ("FAIL", "BLOCKED", "none")),
    "FAIL": ("FAIL", ("FAIL",)),
    "BLOCKED": ("BLOCKED", ("BLOCKED",)),
    "none": ("Not judged", ("none",)),
    "PASS": ("PASS", ("PASS",)),
}


@needs(Act.LOOK)
def windows(request: HttpRequest, stream: str, run: str) -> HttpResponseBase:
    """`…/windows/?verdict=&before=`: by keyset of the window's number."""
    seen = scope_or_404(request, stream, run)
    word = request.GET.get("verdict", "")
    word = word if word in FILTERS else ""
    before = number_in(request, "before")
    found = reads.of_run(seen.run, verdict=FILTERS[word][1])
    if before is not None:
        found = found.filter(number__lt=min(before, 2**31 - 1))
    listed = list(found[: reads.PAGE_SIZE + 1])
    shown = listed[: reads.PAGE_SIZE]
    url = links.run_url(seen.stream, seen.run.name, "windows")
    following = links.with_query(url, verdict=word, before=shown[-1].number) if len(listed) > len(shown) else ""
    context = c.WindowsPage(
        strip=run_parts.strip(seen),
        tabs=run_parts.tabs(seen, "windows"),
        filters=tuple(
            c.Tab(words, links.with_query(url, verdict=each), each == word, _count(seen.standing, each))
            for each, (words, _) in FILTERS.items()
        ),
        rows=_rows(seen, [WindowId(each.id) for each in shown], {each.id: each for each in shown}),
        pager=c.Pager(len(shown), links.with_query(url, verdict=word) if before is not None else "", following),
        empty=("No window of this run is so.",) if not shown else (),
        rows_key=" ".join(str(each.number) for each in shown),
    )
    return page(request, "runs/windows", context, here="runs", pace=STEADY if before is None else None)


def _count(standing: gate.RunStanding | None, word: str) -> int:
    if standing is None:
        return 0
    counts = {
        "": standing.windows,
        "not-pass": standing.windows - standing.passed,
        "FAIL": standing.failed.count,
        "BLOCKED": standing.blocked.count,
        "none": standing.not_judged,
        "PASS": standing.passed,
    }
    return counts[word]


def _rows(seen: runs.Scope, numbers: list[WindowId], found: Mapping[int, Window]) -> tuple[c.WindowRow, ...]:
    records, verdicts, gates = reads.records(numbers), runs.latest_verdicts(numbers), gate.standing_of(numbers)
    again = run_parts.rerun_lists(seen, numbers, reruns.BESIDE)
    rows = []
    for win in numbers:
        window, verdict, standing = found[win], verdicts.get(win), gates.get(win)
        rows.append(
            c.WindowRow(
                number=window.number,
                url=links.window_url(seen.stream, seen.run.name, window.number),
                state=window.state,
                opened_at=window.opened_at,
                cut_at=window.cut_at,
                records=records.get(win, 0),
                verdict=verdict.title if verdict else "NOT JUDGED",
                verdict_url=links.verdict_url(seen.stream, seen.run.name, verdict.number) if verdict else "",
                gate=run_parts.gate_word(standing is not None and standing.decision.granted),
                gate_left=standing.left if standing else None,
                reruns=again.get(win),
                superseded=run_parts.superseded(standing),
            )
        )
    return tuple(rows)
