"""Streams and their contracts: the list, one contract with its versions and differences."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponseBase

from console import links
from console.pages.frame import contexts as c
from console.pages.frame.shell import STEADY, needs, page
from console.pages.runs import run_parts
from console.pages.runs.gate import snippets
from console.pages.runs.runs import number_in
from console.permissions import Act
from console.phrases import span_words
from console.reads import runs
from ingest.core import contract as core
from ingest.core.contract import Contract
from ingest.core.errors import PassgateError
from ingest.models import Contract as StoredContract
from ingest.models import Run, RunState, Stream
from ingest.streams import compiled_contract

MOST_STREAMS = 200
MOST_VERSIONS = 50
LATEST_RUNS = 5


@needs(Act.LOOK)
def streams(request: HttpRequest) -> HttpResponseBase:
    """`/streams/`"""
    found = list(Stream.objects.annotate(runs=Count("run")).order_by("name")[:MOST_STREAMS])
    newest = {
        each.stream_id: each
        for each in StoredContract.objects.filter(stream__in=found)
        .order_by("stream", "-version")
        .distinct("stream")
        .only("id", "stream", "version", "digest")
    }
    open_runs = {each.stream_id: each for each in Run.objects.filter(stream__in=found, state=RunState.OPEN)}
    rows = tuple(_row(each, newest.get(each.id), open_runs.get(each.id)) for each in found)
    empty = () if rows else ("No stream yet.", "A stream begins with its contract: passgate stream load FILE.")
    return page(request, "streams/streams", c.StreamsPage(rows, empty), here="streams", pace=STEADY)


def _row(stream: Stream, stored: StoredContract | None, run: Run | None) -> c.StreamRow:
    terms, _ = _terms(stored)
    return c.StreamRow(
        name=stream.name,
        url=links.stream_url(stream.name),
        contract=f"v{stored.version}" if stored else "none",
        digest=bytes(stored.digest).hex()[:12] if stored else "",
        owner=(terms.owner or "") if terms else "",
        inbox=terms.inbox.kafka.topic if terms else "",
        bus=terms.bus.topic if terms else "",
        open_run=c.Link(run.name, links.run_url(stream.name, run.name)) if run else None,
        runs=stream.runs,  # type: ignore[attr-defined]
    )


def _terms(stored: StoredContract | None) -> tuple[Contract | None, str]:
    """The parsed contract, or why it cannot be read."""
    if stored is None:
        return None, "No contract is loaded."
    try:
        return compiled_contract(stored.id).contract, ""
    except PassgateError as error:
        return None, str(error)


@needs(Act.LOOK)
def stream(request: HttpRequest, stream: str) -> HttpResponseBase:
    """`/streams/{s}/?version=`: the contract, what of it is not yet in force, and what changed."""
    found = Stream.objects.filter(name=stream).first()
    if found is None:
        raise Http404
    versions = list(
        StoredContract.objects.filter(stream=found).order_by("-version").defer("source_text", "files")[:MOST_VERSIONS]
    )
    asked = number_in(request, "version")
    stored = next((each for each in versions if each.version == asked), None) if asked else next(iter(versions), None)
    if asked and stored is None:
        raise Http404
    terms, trouble = _terms(stored)
    before = next((each for each in versions if stored and each.version < stored.version), None)
    latest = runs.listed(stream=stream, size=LATEST_RUNS)[:LATEST_RUNS]
    context = c.StreamPage(
        name=stream,
        version=stored.version if stored else 0,
        digest=bytes(stored.digest).hex() if stored else "",
        owner=(terms.owner or "") if terms else "",
        runbook=_web(terms.runbook) if terms else "",
        loaded_by=stored.loaded_by if stored else "",
        loaded_at=stored.loaded_at if stored else None,
        versions=tuple(_version(stream, each, stored) for each in versions),
        facts=_flow(terms) if terms else (),
        events=_events(terms) if terms else (),
        limits=_limits(terms) if terms else (),
        rules=_rules(terms) if terms else (),
        not_in_force=tuple(core.not_in_force(terms)) if terms else (),
        who_reads=core.who_reads(terms) if terms else "",
        changes=_changes(before, terms),
        since=f"v{before.version}" if before else "",
        text=bytes(stored.source_text) if stored else b"",
        snippets=snippets(stream, latest[0].name if latest else "RUN"),
        runs=run_parts.rows(latest),
        trouble=trouble,
    )
    return page(request, "streams/stream", context, here="streams")


def _web(url: str | None) -> str:
    """A link only to the web: a contract cannot make a page run anything."""
    return url if url and url.startswith(("https://", "http://")) else ""


def _version(stream: str, each: StoredContract, chosen: StoredContract | None) -> tuple[c.Tab, str, str, datetime]:
    tab = c.Tab(
        f"v{each.version}",
        links.with_query(links.stream_url(stream), version=each.version),
        chosen is not None and each.id == chosen.id,
    )
    return tab, bytes(each.digest).hex()[:12], each.loaded_by, each.loaded_at


def _changes(before: StoredContract | None, terms: Contract | None) -> tuple[str, ...]:
    old, _ = _terms(before) if before else (None, "")
    return tuple(core.diff(old, terms)[:200]) if old and terms else ()


def _flow(terms: Contract) -> tuple[c.Fact, ...]:
    places = ", then ".join(str(place) for place in terms.run.places) or "the open run"
    joined = ", ".join(f"{each.stream} on {' and '.join(str(ours) for ours, _ in each.on)}" for each in terms.contexts)
    return (
        c.Fact("inbox", f"{terms.inbox.kafka.topic} ({terms.inbox.kafka.format})", "outside"),
        c.Fact("bus", f"{terms.bus.topic}, {terms.bus.partitions} partitions", "outside"),
        c.Fact("delivery timeout", _span(terms.bus.delivery_timeout)),
        c.Fact("run from", places, "outside"),
        c.Fact("class from", str(terms.class_from) if terms.class_from else "the CloudEvent's type", "outside"),
        *((c.Fact("joined with", joined, "outside"),) if joined else ()),
        *((c.Fact("projection", terms.projection.class_path, "code"),) if terms.projection else ()),
        *((c.Fact("readers see", ", ".join(terms.projection.tables), "code"),) if terms.projection else ()),
    )


def _events(terms: Contract) -> tuple[tuple[str, str, str, str, bool], ...]:
    return tuple(
        (
            each.name,
            each.match,
            " ".join(str(pointer) for pointer in each.id) or "source, id",
            each.schema.file if each.schema else "",
            each.required,
        )
        for each in terms.events
    )


def _limits(terms: Contract) -> tuple[c.Fact, ...]:
    limits = terms.limits
    return (
        c.Fact("value", limits.value_bytes, "bytes"),
        c.Fact("key", limits.key_bytes, "bytes"),
        c.Fact("id", limits.id_bytes, "bytes"),
        c.Fact("headers", limits.headers, "number"),
        c.Fact("depth", limits.depth, "number"),
        c.Fact("records of a batch", limits.batch_records, "number"),
    )


def _rules(terms: Contract) -> tuple[c.Fact, ...]:
    close, gate, reconcile = terms.close, terms.gate, terms.reconcile
    return (
        c.Fact("closes", "by itself" if close.auto else "when asked"),
        c.Fact("a sample counts for", _span(close.sample_max_age)),
        c.Fact("stalled after", _span(close.stalled_after)),
        c.Fact("open items allowed", close.quarantine_open_max, "number"),
        c.Fact("discards allowed", close.discard_max, "number"),
        c.Fact("joins MISSING allowed", f"{close.missing_max:.2%}"),
        c.Fact("joins AMBIGUOUS allowed", f"{close.ambiguous_max:.2%}"),
        c.Fact("an empty window", "does not pass" if close.empty == "waiver" else "never passes"),
        c.Fact("control totals", str(close.totals)),
        c.Fact("gate re-checked every", _span(gate.recheck)),
        c.Fact("readers", _joined(gate.readers)),
        c.Fact(
            "unknown publishes",
            f"reconciled by themselves after {_span(reconcile.after)}"
            if reconcile.automatic
            else "reconciled when asked",
        ),
        c.Fact(
            "proven absent",
            "published again by itself" if reconcile.republish == "automatic" else "waits for a plan",
        ),
        c.Fact("approvals of a plan", terms.plans.approvals, "number"),
        c.Fact("free records of a person and day", terms.plans.free_records, "number"),
    )


def _span(span: timedelta) -> str:
    return span_words(span.total_seconds())


def _joined(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
