"""Finding what a path or an argument names; what is not there is NotFound, with what to try."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import QuerySet
from django.db.models.functions import Length

from console.links import find_run, run_segment
from ingest.core.errors import NotFound
from ingest.models import Attempt, QuarantineItem, Receipt, Run, Stream, Window


@dataclass(frozen=True, slots=True)
class RunName:
    """A run as pages name it."""

    number: int
    stream: str
    name: str


def run_names(numbers: Sequence[int]) -> dict[int, RunName]:
    """Runs by number, in one query."""
    if not numbers:
        return {}
    rows = Run.objects.filter(id__in=set(numbers)).values_list("id", "stream__name", "name")
    return {number: RunName(number, stream, run_name) for number, stream, run_name in rows}


def stream_named(name: str) -> Stream:
    found = Stream.objects.filter(name=plain(name)).first()
    if found is None:
        raise NotFound(expected=f"stream {name}", found="none", next_step="passgate stream list")
    return found


def run_named(stream: str, segment: str) -> Run:
    """The run of a path: its id, or `~` and 16 characters of its digest where the id cannot stand in a path."""
    named_run = find_run(plain(stream), plain(segment))
    if named_run is None:
        unread = segment.startswith("~")  # nobody can tell an id from its digest
        raise NotFound(
            expected=f"run {stream}/{segment}",
            found="none",
            next_step="to open it, name its id in `run`" if unread else f"passgate run list {stream}",
        )
    return named_run


def run_written(name: str) -> Run:
    """The run that a person wrote as STREAM/RUN."""
    stream, slash, run_name = name.partition("/")
    if not (stream and slash and run_name):
        raise NotFound(expected="STREAM/RUN, as in flights/2013-01", found=name)
    runs = Run.objects.select_related("stream", "contract")
    found = runs.filter(stream__name=plain(stream), name=plain(run_name)).first()
    return found or run_named(stream, run_name)


def window_numbered(run: Run, number: int) -> Window:
    found = Window.objects.filter(run=run, number=number, reruns=None).first() if number < 2**31 else None
    if found is None:
        raise NotFound(expected=f"window {number} of {run.stream.name}/{run.name}", found="none")
    return found


def rerun_numbered(run: Run, number: int, rerun: int) -> Window:
    known = number < 2**31 and rerun < 2**31
    found = Window.objects.filter(run=run, number=number, rerun=rerun).first() if known else None
    if found is None:
        raise NotFound(expected=f"window {number} rerun {rerun} of {run.stream.name}/{run.name}", found="none")
    return found


def newest_window(run: Run) -> Window:
    return Window.objects.filter(run=run, reruns=None).latest("number")


def sized_items() -> QuerySet[QuarantineItem]:
    """Items with what their documents say, and `size`, the bytes of the value; null for a tombstone."""
    items = QuarantineItem.objects.select_related("source", "win__run__stream", "win__contract")
    return items.annotate(size=Length("value"))


def item_numbered(number: int) -> QuarantineItem:
    found = sized_items().filter(pk=number).first() if number < 2**63 else None
    if found is None:
        raise NotFound(
            expected=f"quarantine item {number}", found="none", next_step="passgate quarantine list STREAM/RUN"
        )
    return found


def attempt_numbered(number: int) -> Attempt:
    found = Attempt.objects.filter(pk=number).first() if number < 2**63 else None
    if found is None:
        raise NotFound(expected=f"attempt {number}", found="none")
    return found


def receipt_at(source: int, offset: int) -> Receipt:
    known = source < 2**31 and offset < 2**63
    found = Receipt.objects.filter(source_id=source, offset=offset).first() if known else None
    if found is None:
        raise NotFound(expected=f"a receipt of source {source} at offset {offset}", found="none")
    return found


def segment_of(run: Run) -> str:
    return run_segment(run.name)


def plain(name: str) -> str:
    """A name PostgreSQL can be asked about: NUL is no character of its text, and so of no name."""
    return name.replace("\0", "\ufffd")
