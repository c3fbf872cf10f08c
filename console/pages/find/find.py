"""`/find?q=`: events, runs, digests, offsets, people. Looks in all runs by computing digests; needs no extra index."""

from __future__ import annotations

import re
from collections.abc import Iterable

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect

from audit.models import Verdict
from console import links
from console.pages.find.search import readings
from console.pages.frame import contexts as c
from console.pages.frame.shell import needs, page
from console.permissions import Act
from console.whole import whole
from ingest.core.identity import Parts, identity_digest
from ingest.models import Batch, Event, EventClass, QuarantineItem, Receipt, Run, Source, Stream

MOST_RUNS = 200  # the newest; how many were looked through is said
MOST_DIGESTS = 4_000
MOST_HITS = 50
MOST_CHARACTERS = 600
MOST_INTEGER = 2**31 - 1  # of sources and partitions

_DIGEST = re.compile(r"[0-9a-f]{64}")
_VERDICT = re.compile(r"(?P<stream>[^/#@]+)/(?P<run>[^#@]+)#(?P<number>[0-9]{1,9})")
_PLACE = re.compile(r"(?P<source>.+)@(?P<offset>[0-9,]{1,24})")
_RUN = re.compile(r"(?P<stream>[^/]+)/(?P<run>.+)")


@needs(Act.LOOK)
def find(request: HttpRequest) -> HttpResponseBase:
    """One hit of an exact kind opens at once; anything else is listed."""
    q = request.GET.get("q", "").strip()[:MOST_CHARACTERS]
    hits, searched = look(q) if q else ([], "")
    if len(hits) == 1 and hits[0].kind in ("receipt", "run", "verdict", "event"):
        return HttpResponseRedirect(hits[0].url)
    empty = (
        ()
        if hits or not q
        else (
            "Nothing is called that.",
            "An event is found by its id's parts (UA/1545/2013-01-01T10:00:00Z), a record by topic/partition@offset, "
            "a digest by its 64 digits, a run by stream/run.",
        )
    )
    return page(request, "find/find", c.FindPage(q, searched, tuple(hits), empty), find_q=q)


def look(q: str) -> tuple[list[c.Hit], str]:
    """Everything `q` may name, and a sentence about what was searched."""
    if _DIGEST.fullmatch(q.lower()):
        return _by_digest(
            bytes.fromhex(q)
        ), f"Searched identities of the newest {MOST_RUNS} runs, batches and verdicts."
    hits = [*_by_name(q), *_by_place(q), *_people(q)]
    events, runs = _events(q)
    return [*hits, *events][:MOST_HITS], (
        f"Searched streams, runs, offsets, people, and the event's digest in the newest {runs:,} runs."
    )


def _by_name(q: str) -> Iterable[c.Hit]:
    verdict = _VERDICT.fullmatch(q)
    if verdict:
        found = Verdict.objects.filter(
            run__stream__name=verdict["stream"], run__name=verdict["run"], number=int(verdict["number"])
        ).first()
        if found:
            yield c.Hit(
                "verdict", q, links.verdict_url(verdict["stream"], verdict["run"], found.number), state=found.state
            )
    named = _RUN.fullmatch(q)
    runs = Run.objects.select_related("stream")
    wanted = runs.filter(stream__name=named["stream"], name=named["run"]) if named else runs.filter(name=q)
    for run in wanted.order_by("-id")[:20]:
        yield c.Hit("run", f"{run.stream.name}/{run.name}", links.run_url(run.stream.name, run.name), state=run.state)
    for stream in Stream.objects.filter(name=q):
        yield c.Hit("stream", stream.name, links.stream_url(stream.name))


def _by_place(q: str) -> Iterable[c.Hit]:
    """`topic/partition@offset`, or the source's number for its topic."""
    named = _PLACE.fullmatch(q)
    if not named:
        return
    offset = whole(named["offset"].replace(",", ""))
    if offset is None:
        return
    topic, _, partition = named["source"].rpartition("/")
    sources = Source.objects.filter(role="inbox")
    if topic and (number := whole(partition, MOST_INTEGER)) is not None:
        sources = sources.filter(topic=topic, partition=number)
    elif (number := whole(named["source"], MOST_INTEGER)) is not None:
        sources = sources.filter(id=number)
    else:
        return
    names = {each.id: each.name for each in sources[:20]}
    for receipt in Receipt.objects.filter(source_id__in=names, offset=offset).order_by("-source_id"):
        yield c.Hit("receipt", f"{names[receipt.source_id]}@{offset:,}", links.receipt_url(receipt.source_id, offset))


def _people(q: str) -> Iterable[c.Hit]:
    if User.objects.filter(username=q).exists():
        yield c.Hit("person", q, "", "what they did stands in the audit log, which has no page yet")


def _events(q: str) -> tuple[list[c.Hit], int]:
    """The event in every run: its digest is computed per run, class and reading of the id."""
    ids = readings(q)
    runs = list(Run.objects.select_related("stream").order_by("-id")[:MOST_RUNS])
    if not ids or not runs:
        return [], len(runs)
    names: dict[int, list[str]] = {}
    for stream, name in EventClass.objects.values_list("stream", "name")[:2_000]:
        names.setdefault(stream, []).append(name)
    wanted: list[tuple[int, bytes]] = []
    for run in runs:
        wanted += [(run.id, digest) for digest in _digests(run, names.get(run.stream_id, ()), ids)]
    by_run = {run.id: run for run in runs}
    return _hits_of(wanted[:MOST_DIGESTS], by_run), len(runs)


def _digests(run: Run, classes: Iterable[str], ids: Iterable[Parts]) -> list[bytes]:
    wanted = list(ids)
    return [identity_digest(run.stream.name, run.name, name, parts) for name in classes for parts in wanted]


def _hits_of(wanted: list[tuple[int, bytes]], runs: dict[int, Run]) -> list[c.Hit]:
    numbers, digests = {number for number, _ in wanted}, [digest for _, digest in wanted]
    pairs = set(wanted)
    events = Event.objects.filter(run_id__in=numbers, identity__in=digests).values_list(
        "run_id", "identity", "source_id", "offset", "event_id"
    )[:MOST_HITS]
    items = QuarantineItem.objects.filter(run_id__in=numbers, identity__in=digests).values_list(
        "run_id", "id", "reason", "state", "event_id"
    )[:MOST_HITS]
    hits = [
        c.Hit("event", event_id, links.receipt_url(source, offset), _where(runs[number]), "ADMITTED")
        for number, identity, source, offset, event_id in events
        if (number, bytes(identity)) in pairs
    ]
    hits += [
        c.Hit("quarantine item", event_id or f"item {item}", links.item_url(item), _where(runs[number]), "QUARANTINED")
        for number, item, _, _, event_id in items
    ]
    return hits


def _where(run: Run) -> str:
    return f"{run.stream.name}/{run.name}"


def _by_digest(digest: bytes) -> list[c.Hit]:
    runs = {run.id: run for run in Run.objects.select_related("stream").order_by("-id")[:MOST_RUNS]}
    hits = _hits_of([(number, digest) for number in runs], runs)
    for verdict in Verdict.objects.filter(digest=digest).select_related("run__stream")[:5]:
        run = verdict.run
        hits.append(
            c.Hit(
                "verdict",
                f"{_where(run)}#{verdict.number}",
                links.verdict_url(run.stream.name, run.name, verdict.number),
                state=verdict.state,
            )
        )
    for item in QuarantineItem.objects.filter(payload_digest=digest, run_id__in=list(runs)).only("id", "run_id")[:20]:
        hits.append(
            c.Hit(
                "quarantine item",
                f"item {item.id}",
                links.item_url(item.id),
                _where(runs[item.run_id]),
                "QUARANTINED",
            )
        )
    for batch in Batch.objects.filter(digest=digest).only("id", "source_id", "from_offset")[:5]:
        hits.append(c.Hit("batch", f"batch {batch.id}", links.receipt_url(batch.source_id, batch.from_offset)))
    return hits[:MOST_HITS]
