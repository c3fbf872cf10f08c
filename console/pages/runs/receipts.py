"""Receipts: the searchable list of a run, and one receipt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from django.http import Http404, HttpRequest, HttpResponseBase

from console import links
from console.pages.find.search import SearchQuery, understand
from console.pages.frame import contexts as c
from console.pages.frame.shell import STEADY, needs, page
from console.pages.runs import run_parts
from console.pages.runs.runs import number_in, scope_or_404
from console.permissions import Act
from console.phrases import decision_name, flag_words, join_name, reason_name, reason_words, window_words
from console.reads import receipts as reads
from console.reads import runs
from console.whole import whole
from ingest.core.reason import Decision, Reason


@needs(Act.LOOK)
def receipts(request: HttpRequest, stream: str, run: str) -> HttpResponseBase:
    """`…/receipts?q=&after=source@offset`: filters live in the URL."""
    seen = scope_or_404(request, stream, run, rerun=number_in(request, "rerun"))
    query = understand(request.GET.get("q", ""))
    of_window = request.GET.get("window") and seen.window
    source_ranges = reads.ranges(seen.window.id) if of_window and seen.window else reads.ranges_of_run(seen.run.id)
    ranges, wrong = _narrowed(source_ranges, query)
    classes = reads.class_names(seen.run.stream_id)
    after = _place_in(request.GET.get("after", ""))
    walked = _searched(seen, query, ranges, classes, after)
    context = c.ReceiptsPage(
        strip=run_parts.strip(seen),
        tabs=run_parts.tabs(seen, "receipts"),
        q=request.GET.get("q", "")[:1_200],
        searched=_searched_words(query, ranges, seen, walked),
        wrong=(*query.wrong, *wrong),
        rows=receipt_rows(seen, walked.rows, _names(source_ranges, walked.rows), classes),
        pager=_pager(request, walked, after),
        examples=_examples(request),
        empty=_nothing(seen, query, source_ranges) if not walked.rows else (),
        kept=tuple((name, request.GET[name]) for name in ("window", "rerun") if request.GET.get(name)),
    )
    # A page of a filled range never changes; only the first page may grow.
    return page(request, "runs/receipts", context, here="runs", pace=STEADY if after is None else None)


def _place_in(text: str) -> tuple[int, int] | None:
    source, at, offset = text.partition("@")
    numbers = whole(source), whole(offset)
    return numbers if at and None not in numbers else None  # type: ignore[return-value]


def _narrowed(found: Sequence[reads.Range], asked: SearchQuery) -> tuple[list[reads.Range], tuple[str, ...]]:
    """The ranges a search is about. A source that does not exist is said, not searched everywhere instead."""
    ranges = list(found)
    if asked.source:
        named = (asked.source, f".{asked.source}", f"/{asked.source}")
        ranges = [
            each
            for each in ranges
            if each.name == asked.source or each.name.endswith(named[1:]) or str(each.source) == asked.source
        ]
        if not ranges:
            return [], (f"source:{asked.source[:80]} is no source of this run.",)
    if asked.offset is not None:
        one = asked.offset
        ranges = [
            reads.Range(each.source, each.name, one, one + 1)
            for each in ranges
            if each.start <= one and (each.end is None or one < each.end)
        ]
    return ranges, ()


def _searched(
    seen: runs.Scope,
    asked: SearchQuery,
    ranges: Sequence[reads.Range],
    classes: Mapping[int, str],
    after: tuple[int, int] | None,
) -> reads.ReceiptSlice:
    numbers = {name: number for number, name in classes.items()}
    if asked.ids:
        names = [asked.class_name] if asked.class_name else list(numbers)
        digests = reads.identities(seen.stream, seen.run.name, names, asked.ids)
        rows = [
            row
            for row in reads.of_identities(seen.run.id, digests)
            if asked.decision is None or row.decision == asked.decision
        ]
        return reads.ReceiptSlice(tuple(rows[: reads.PAGE_SIZE]), None)
    if asked.class_name and asked.class_name not in numbers:
        return reads.ReceiptSlice((), None)
    class_id = numbers[asked.class_name] if asked.class_name else None
    return reads.walk(reads.behind(ranges, after), asked.decision, class_id)


def _searched_words(
    asked: SearchQuery, ranges: Sequence[reads.Range], seen: runs.Scope, walked: reads.ReceiptSlice
) -> str:
    """What was searched and how fresh it is."""
    fresh = f"the ledger at {datetime.now(UTC):%H:%M:%S} UTC"
    if asked.ids:
        classes = f"class {asked.class_name}" if asked.class_name else "every class"
        return f"Searched by digest in run {seen.name}, {classes}: {fresh}."
    sources = f"{len(ranges)} source range{'' if len(ranges) == 1 else 's'}"
    if (asked.class_name or asked.decision is Decision.ADMITTED) and walked.after:
        return (
            f"Searched at most {reads.SCANNED:,} receipts of {sources} for this page: {fresh}. "
            "The next page goes on from there."
        )
    return f"Searched {sources} by (source, offset): {fresh}."


def _names(found: Sequence[reads.Range], rows: Sequence[reads.Row]) -> Mapping[int, str]:
    """Names of sources: an event that is searched by its id may be of a plan's, which is in no window's range."""
    names = {each.source: each.name for each in found}
    others = {row.source for row in rows} - set(names)
    return {**names, **reads.source_names(others)} if others else names


def receipt_rows(
    seen: runs.Scope,
    rows: Sequence[reads.Row],
    names: Mapping[int, str],
    classes: Mapping[int, str],
) -> tuple[c.ReceiptRow, ...]:
    """Receipts as a table has them."""
    ids = reads.event_ids(seen.run.id, rows)
    return tuple(
        c.ReceiptRow(
            place=place(row.source, names.get(row.source, f"source {row.source}"), row.offset),
            decision=decision_name(row.decision),
            reason=reason_name(row.reason) if row.reason else "",
            class_name=classes.get(row.class_id or 0, ""),
            event_id=ids.get(row.digest or b"", ""),
            flags=", ".join(flag_words(row.flags)),
            batch=row.batch,
        )
        for row in rows
    )


def place(source: int, name: str, offset: int) -> c.Place:
    """An offset as a link."""
    return c.Place(name, offset, links.receipt_url(source, offset))


def _pager(request: HttpRequest, walked: reads.ReceiptSlice, after: tuple[int, int] | None) -> c.Pager:
    kept = {name: request.GET[name] for name in ("q", "window", "rerun") if request.GET.get(name)}
    following = f"{walked.after[0]}@{walked.after[1]}" if walked.after else ""
    return c.Pager(
        shown=len(walked.rows),
        first=links.with_query(request.path, **kept) if after else "",
        next=links.with_query(request.path, **kept, after=following) if following else "",
    )


def _examples(request: HttpRequest) -> tuple[c.Link, ...]:
    return tuple(
        c.Link(q, links.with_query(request.path, q=q))
        for q in ("decision:quarantined", "decision:duplicate", "source:inbox/0", "offset:0")
    )


def _nothing(seen: runs.Scope, asked: SearchQuery, found: Sequence[reads.Range]) -> tuple[str, ...]:
    if not asked.is_empty:
        return ("No receipt fits.", "What was searched stands above; the list without a filter is one click away.")
    terms = seen.contract
    topic = terms.inbox.kafka.topic if terms else "its inbox"
    if not found:
        return ("This run has no source yet.", f"It expects topic {topic}.")
    return (f"No records yet. This run expects topic {topic}.", "Receipts appear as soon as a batch is durable.")


# --- one receipt


@needs(Act.LOOK)
def receipt(request: HttpRequest, source: int, offset: int) -> HttpResponseBase:
    """`/receipts/{source}/{offset}`: its places in inbox and bus, batch and digests."""
    whole_receipt = reads.whole(source, offset)
    if whole_receipt is None:
        raise Http404
    batch = whole_receipt.batch
    run = batch.win.run if batch else None
    segment = links.run_segment(run.name) if run else ""
    seen = runs.scope(run.stream.name, segment, batch.win.number, batch.win.rerun) if run and batch else None
    names = reads.source_names(_sources(whole_receipt))
    context = c.ReceiptPage(
        place=place(source, names.get(source, f"source {source}"), offset),
        strip=run_parts.strip(seen) if seen else None,
        decision=decision_name(whole_receipt.receipt.decision),
        reason=reason_name(whole_receipt.receipt.reason) if whole_receipt.receipt.reason else "",
        reason_words=reason_words(whole_receipt.receipt.reason) if whole_receipt.receipt.reason else "",
        event_id=_event_id(whole_receipt),
        facts=_facts(whole_receipt, names),
        digests=_digests(whole_receipt),
        bus=_bus(whole_receipt, names),
        batch=_batch(whole_receipt, seen),
        flags=flag_words(whole_receipt.receipt.flags),
        item=c.Link(f"quarantine item {whole_receipt.item.id}", links.item_url(whole_receipt.item.id))
        if whole_receipt.item
        else None,
        first=_first(whole_receipt, names),
        copies=_copies(whole_receipt, seen),
    )
    return page(request, "runs/receipt", context, here="runs")


def _sources(found: reads.ReceiptDetail) -> list[int]:
    """Every source that the page names."""
    numbers = [found.receipt.source_id]
    if found.event:
        numbers.append(found.event.source_id)
    if found.place:
        numbers.append(found.place.bus_source_id)
    if found.effect:
        numbers.append(found.effect.bus_source_id)
    return numbers


def _event_id(found: reads.ReceiptDetail) -> str:
    if found.event:
        return found.event.event_id
    return (found.item.event_id or "") if found.item else ""


def _facts(found: reads.ReceiptDetail, names: Mapping[int, str]) -> tuple[c.Fact, ...]:
    receipt = found.receipt
    facts = [
        c.Fact("decision", decision_name(receipt.decision), "state"),
        c.Fact("class", found.class_name or "not understood", "outside"),
        c.Fact("inbox", f"{names.get(receipt.source_id, receipt.source_id)}@{receipt.offset:,}", "code"),
    ]
    if receipt.reason:
        facts.append(c.Fact("reason", reason_name(receipt.reason), "code"))
    if found.item and found.item.seen > 1:
        facts.append(c.Fact("seen", found.item.seen, "number"))
    return tuple(facts)


def _digests(found: reads.ReceiptDetail) -> tuple[c.Fact, ...]:
    receipt = found.receipt
    identity = bytes(receipt.identity).hex() if receipt.identity is not None else None
    payload = bytes(receipt.payload_digest).hex()
    shown = [c.Fact("payload", payload, "digest")]
    if identity:
        shown.insert(0, c.Fact("identity", identity, "digest", links.find_url(identity)))
    return tuple(shown)


def _bus(found: reads.ReceiptDetail, names: Mapping[int, str]) -> tuple[c.Fact, ...]:
    """Where the event of this receipt lies on the bus, and what consuming it came to."""
    facts = []
    if found.place:
        where = f"{names.get(found.place.bus_source_id, found.place.bus_source_id)}@{found.place.bus_offset:,}"
        facts += [
            c.Fact("place on the bus", where, "code"),
            c.Fact("attempt", found.place.attempt_id, url=links.attempt_url(found.place.attempt_id)),
        ]
    if found.effect:
        where = f"{names.get(found.effect.bus_source_id, found.effect.bus_source_id)}@{found.effect.bus_offset:,}"
        facts.append(c.Fact("applied from", where, "code"))
        if found.effect.context_state:
            facts.append(c.Fact("join", join_name(found.effect.context_state), "state"))
        if found.effect.context_reason:
            facts.append(c.Fact("why", found.effect.context_reason, "outside"))
    return tuple(facts)


def _batch(found: reads.ReceiptDetail, seen: runs.Scope | None) -> tuple[c.Fact, ...]:
    batch = found.batch
    if batch is None:
        return ()
    win = batch.win
    window = links.either_url(seen.stream, seen.run.name, win.number, win.rerun) if seen else ""
    return (
        c.Fact("batch", batch.id),
        c.Fact("window", window_words(win.number, win.rerun).removeprefix("window "), url=window),
        *_of_plan(found),
        c.Fact("contract", f"v{batch.win.contract.version}"),
        c.Fact("offsets", f"[{batch.from_offset:,}, {batch.to_offset:,})", "code"),
        c.Fact(
            "records",
            f"{batch.records:,} = {batch.admitted:,} admitted + {batch.duplicates:,} duplicate + "
            f"{batch.quarantined:,} quarantined",
        ),
        c.Fact("root over its receipts", bytes(batch.digest).hex(), "digest"),
        c.Fact("committed", batch.committed_at, "time"),
        c.Fact("by", f"{batch.owner}, fence {batch.fence}", "outside"),
    )


def _of_plan(found: reads.ReceiptDetail) -> tuple[c.Fact, ...]:
    """Of a record that a plan sent through admission again: the plan, and who asked for other bytes."""
    redrive = found.redrive
    if redrive is None:
        return ()
    corrected = (c.Fact("corrected by", redrive.corrected_by, "outside"),) if redrive.corrected_by else ()
    return (c.Fact("redriven by plan", redrive.plan, url=links.plan_url(redrive.plan)), *corrected)


def _first(found: reads.ReceiptDetail, names: Mapping[int, str]) -> c.Place | None:
    """The first admission, where this receipt is not it."""
    event, receipt = found.event, found.receipt
    if event is None or (event.source_id, event.offset) == (receipt.source_id, receipt.offset):
        return None
    return place(event.source_id, names.get(event.source_id, f"source {event.source_id}"), event.offset)


def _copies(found: reads.ReceiptDetail, seen: runs.Scope | None) -> str:
    """Where everything about this event is listed."""
    event_id = _event_id(found)
    if seen is None or not event_id or found.receipt.reason not in (Reason.NONE, Reason.PAYLOAD_MISMATCH):
        return ""
    url = links.run_url(seen.stream, seen.run.name, "receipts")
    q = f"class:{found.class_name} id:{event_id}" if found.class_name else f"id:{event_id}"
    return links.with_query(url, q=q)
