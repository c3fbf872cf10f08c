"""`…/lineage`: runs, windows, reruns, verdicts and pins around a run, as a picture and in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from string import ascii_uppercase

from django.http import HttpRequest, HttpResponseBase

from console import links
from console.pages.frame import contexts as c
from console.pages.frame.lineage import APART, DrawnRow, picture
from console.pages.frame.shell import STEADY, needs, page
from console.pages.runs import run_parts
from console.pages.runs.runs import scope_or_404
from console.permissions import Act
from console.phrases import window_words
from console.reads import lineage as reads
from console.safe_text import plainly
from console.whole import whole
from ingest.models import Run

MOST_NAME, EACH_NAME = 36, 14  # characters of a run, of each of two runs in the picture; the table has all of it


@needs(Act.LOOK)
def lineage(request: HttpRequest, stream: str, run: str) -> HttpResponseBase:
    """The picture, and the same rows as a table: the newest at the top."""
    seen = scope_or_404(request, stream, run)
    runs = reads.around(seen.run, seen.older)
    marks = _marks(runs)
    context = c.LineagePage(
        strip=run_parts.strip(seen),
        tabs=run_parts.tabs(seen, "lineage"),
        picture=picture(list(_drawn(runs, marks))),
        rows=tuple(row for each in runs for row in _rows(each, marks)),
        pins=tuple((mark, _pin(pin)) for pin, mark in marks.items()),
        says=_says(runs),
    )
    return page(request, "runs/lineage", context, here="runs", pace=STEADY)


def _says(runs: Sequence[reads.LineageRun]) -> str:
    windows = sum(len(each.windows) for each in runs)
    again = sum(len(window.reruns) for each in runs for window in each.windows)
    return f"{len(runs)} runs, {windows} windows, {again} reruns; every row stands in the table."


def _marks(runs: Sequence[reads.LineageRun]) -> dict[reads.Pin, str]:
    """A letter for each verdict that windows were joined with, in the order of the picture; beyond Z, a number."""
    windows = [window for each in runs for window in each.windows]
    pins = [pin for window in windows for line in (window, *window.reruns) for pin in line.pins]
    return {pin: ascii_uppercase[at] if at < 26 else str(at + 1) for at, pin in enumerate(dict.fromkeys(pins))}


def _drawn(runs: Sequence[reads.LineageRun], marks: dict[reads.Pin, str]) -> Iterator[DrawnRow]:
    for of in runs:
        yield _heading(of.run)
        if of.after:
            yield DrawnRow("more", f"{of.after:,} after these")
        for window in of.windows:
            yield DrawnRow("window", _words(window), _state(window), _letters(window, marks))
            for again in window.reruns:
                yield DrawnRow("rerun", _words(again), _state(again), _letters(again, marks))
            if window.left:
                yield DrawnRow("more", f"{window.left:,} reruns before these")
        if of.before:
            yield DrawnRow("more", f"{of.before:,} before these")


def _heading(run: Run) -> DrawnRow:
    """A run's name; of a fresh one, in the place of which window it stands."""
    first = run.supersedes
    if first is None:
        return DrawnRow("run", plainly(run.name, MOST_NAME))
    names = plainly(run.name, EACH_NAME), plainly(first.run.name, EACH_NAME)
    return DrawnRow("run", f"{names[0]} for {window_words(first.number)} of {names[1]}", APART)


def _letters(line: reads.LineageWindow, marks: dict[reads.Pin, str]) -> str:
    return " ".join(marks[pin] for pin in line.pins)


def _state(line: reads.LineageWindow) -> str:
    return line.verdict.title if line.verdict else "NOT JUDGED"


def _words(line: reads.LineageWindow) -> str:
    """ "window 1 · PASS #7", "rerun 2 · PASS #8 · plan 12" """
    name = f"rerun {line.again.rerun}" if line.again else window_words(line.number)
    state = f"{line.verdict.title} #{line.verdict.number}" if line.verdict else line.state.lower()
    return " · ".join([name, state, *([f"plan {line.plan}"] if line.plan else [])])


def _rows(of: reads.LineageRun, marks: dict[reads.Pin, str]) -> Iterator[c.LineageRow]:
    for window in of.windows:
        yield _row(of.run, window, marks)
        for again in window.reruns:
            yield _row(of.run, again, marks)


def _row(run: Run, line: reads.LineageWindow, marks: dict[reads.Pin, str]) -> c.LineageRow:
    stream, name, rerun = run.stream.name, run.name, line.again.rerun if line.again else None
    verdict = line.verdict
    return c.LineageRow(
        run=c.Link(name, links.run_url(stream, name)),
        window=c.Link(window_words(line.number, rerun), links.either_url(stream, name, line.number, rerun)),
        verdict=_state(line),
        verdict_name=f"#{verdict.number}" if verdict else "",
        verdict_url=links.verdict_url(stream, name, verdict.number) if verdict else "",
        gate=run_parts.gate_word(line.gate_open),
        contract=f"v{line.contract}",
        plan=c.Link(f"plan {line.plan}", links.plan_url(line.plan)) if line.plan else None,
        pins=_letters(line, marks),
        place=_place(run),
    )


def _place(run: Run) -> c.Link | None:
    first = run.supersedes
    if first is None:
        return None
    url = links.window_url(run.stream.name, first.run.name, first.number)
    return c.Link(f"{window_words(first.number)} of {first.run.name}", url)


def _pin(pin: reads.Pin) -> c.Link:
    """The verdict of another stream that was joined with."""
    head, _, number = pin.verdict.rpartition("#")
    stream, _, run_name = head.partition("/")
    found = whole(number)
    url = links.verdict_url(stream, run_name, found) if found is not None and stream and run_name else ""
    return c.Link(f"{pin.context}: {pin.verdict}", url)
