"""Quarantine: groups by reason, lists, one item with its difference."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.urls import reverse

from audit.close import window_of
from console import links
from console.documents.quarantine import hidden_because, masks_for
from console.pages.frame import contexts as c
from console.pages.frame.fields import difference
from console.pages.frame.shell import STEADY, needs, page
from console.pages.plans.requests import request_button
from console.pages.runs import run_parts
from console.pages.runs.receipts import place
from console.pages.runs.runs import number_in
from console.permissions import Act, Answer, may, roles_of
from console.phrases import decision_name, flag_words, reason_name, reason_words
from console.reads import quarantine as reads
from console.reads import reruns, runs
from console.reads.named import RunName, run_names
from console.safe_text import text_of
from ingest.core.cloudevents import structured_form
from ingest.core.contract import Contract, Format
from ingest.core.errors import NotFound, PassgateError
from ingest.core.ids import WindowId
from ingest.core.ledger_rows import unpacked_headers
from ingest.core.masking import Masks, masked, masked_headers
from ingest.core.reason import Reason
from ingest.models import Event, ItemState, QuarantineItem, Receipt, Redrive, Resolution, Run
from ingest.streams import compiled_contract
from plans.core.plan import Kind
from plans.offers import offer_of_items, redrives_of

NOT_OFFERED = Answer(False, "No redrive of these is offered.")
MOST_WINDOWS = 5  # of a group, that have a button each
MOST_SHOWN = 20_000  # characters of a payload; the raw bytes are a download away

CHOICES = (
    (
        Resolution.ACCEPTED_FIRST,
        "The first one stands",
        "The event that was admitted first is right; this one is set aside.",
    ),
    (Resolution.DISCARDED, "Discard", "Set aside for good. It counts against the contract's discard_max."),
)


@needs(Act.LOOK)
def quarantine(request: HttpRequest) -> HttpResponseBase:
    """`/quarantine/?by=reason|item&state=&run=`"""
    name = request.GET.get("run", "")
    run = _run_or_404(name)
    state = ItemState.RESOLVED if request.GET.get("state") == "resolved" else ItemState.OPEN
    grouped = request.GET.get("by", "reason") != "item" and state == ItemState.OPEN
    number = run.id if run else None
    groups = _group_rows(reads.groups(state, number)) if grouped else ()
    items = [] if grouped else reads.page_of(state, number, None, number_in(request, "after"))
    shown = items[: reads.PAGE_SIZE]
    context = c.QuarantinePage(
        tabs=_tabs(name, number, grouped, state),
        groups=groups,
        rows=item_rows(shown),
        pager=_pager(request, items, shown),
        grouped=grouped,
        filtered=name,
        empty=_nothing(state, name) if not groups and not shown else (),
        rows_key=" ".join([f"{g.run}-{g.reason}" for g in groups] + [str(item.id) for item in shown]),
    )
    return page(request, "quarantine/quarantine", context, here="quarantine", pace=STEADY)


def _run_or_404(name: str) -> Run | None:
    run = reads.run_named(name) if name else None
    if name and run is None:
        raise Http404
    return run


def _tabs(run: str, number: int | None, grouped: bool, state: str) -> tuple[c.Tab, ...]:
    waiting, resolved = reads.counts(number)
    url = reverse("quarantine")
    is_open = state == ItemState.OPEN
    return (
        c.Tab("By reason", links.with_query(url, run=run), grouped),
        c.Tab("Open items", links.with_query(url, by="item", run=run), is_open and not grouped, waiting),
        c.Tab("Resolved", links.with_query(url, state="resolved", run=run), not is_open, resolved),
    )


def _pager(request: HttpRequest, found: Sequence[QuarantineItem], shown: Sequence[QuarantineItem]) -> c.Pager:
    kept = {name: request.GET[name] for name in ("by", "state", "run") if request.GET.get(name)}
    more = len(found) > len(shown)
    return c.Pager(
        shown=len(shown),
        first=links.with_query(request.path, **kept) if number_in(request, "after") else "",
        next=links.with_query(request.path, **kept, after=shown[-1].id) if more else "",
    )


def _nothing(state: str, run: str) -> tuple[str, ...]:
    where = f" of {run}" if run else ""
    if state == ItemState.RESOLVED:
        return (f"No item{where} was resolved yet.",)
    return (
        f"No item{where} is open.",
        "What cannot be understood, or contradicts what was admitted, waits here with its bytes.",
    )


def _group_rows(groups: Sequence[reads.Group]) -> tuple[c.GroupRow, ...]:
    most = max((group.items for group in groups), default=1)
    return tuple(_group_row(group, most) for group in groups)


def _group_row(group: reads.Group, most: int) -> c.GroupRow:
    name = reason_name(group.reason)
    run = group.run
    known = run is not None and name in Reason.__members__
    return c.GroupRow(
        reason=name,
        words=reason_words(group.reason),
        stream=run.stream if run else "",
        run=run.name if run else "",
        url=reverse("group", args=[f"{run.number}-{name}"]) if known and run else "",
        open=group.items,
        records=group.records,
        oldest=group.oldest,
        newest=group.newest,
        first_item=links.item_url(group.first),
        bar=round(100 * group.items / most, 1),
    )


def item_rows(items: Sequence[QuarantineItem]) -> tuple[c.ItemRow, ...]:
    """Items as a table has them: one query for the names of their runs, one for the plans that redrove them."""
    names = run_names([item.run_id for item in items])
    redriven = reruns.newest_of([item.id for item in items]) if items else {}
    return tuple(_item_row(item, names.get(item.run_id), redriven.get(item.id)) for item in items)


def _item_row(item: QuarantineItem, run: RunName | None, redrive: Redrive | None) -> c.ItemRow:
    return c.ItemRow(
        id=item.id,
        url=links.item_url(item.id),
        reason=reason_name(item.reason),
        detail=item.detail,
        stream=run.stream if run else "",
        run=run.name if run else "",
        place=place(item.source_id, item.source.name, item.offset),
        event_id=item.event_id or "",
        seen=item.seen,
        arrived_at=item.arrived_at,
        state="ITEM OPEN" if item.state == ItemState.OPEN else "RESOLVED",
        resolution=item.resolution or "",
        redriven=c.Link(f"plan {redrive.plan}", links.plan_url(redrive.plan)) if redrive else None,
        outcome=decision_name(redrive.decision) if redrive else "",
    )


@needs(Act.LOOK)
def group(request: HttpRequest, key: str) -> HttpResponseBase:
    """`/quarantine/groups/{g}`: the open items of one run and one reason."""
    named = reads.group_key(key)
    if named is None:
        raise Http404
    selection = reads.group(named)
    run = run_names([named.run]).get(named.run)
    if run is None:
        raise Http404
    rows = reads.page_of(ItemState.OPEN, named.run, named.reason, number_in(request, "after"))
    shown = rows[: reads.PAGE_SIZE]
    context = c.GroupPage(
        key=named.text,
        reason=named.reason.name,
        words=reason_words(named.reason),
        run=c.Link(f"{run.stream}/{run.name}", links.run_url(run.stream, run.name)),
        count=selection.items if selection else 0,
        records=selection.records if selection else 0,
        oldest=selection.oldest if selection else None,
        rows=item_rows(shown),
        pager=_pager(request, rows, shown),
        button=_group_button(request, named, selection),
        tick=may(request.user, Act.RESOLVE).allowed or may(request.user, Act.REPLAY).allowed,
        redrives=_redrive_buttons(request, named, run),
        may_redrive=may(request.user, Act.REPLAY) if _any_offered(named) else NOT_OFFERED,
        rows_key=" ".join(str(item.id) for item in shown),
        empty=("Nothing of this kind is open any more.",) if not shown else (),
    )
    return page(request, "quarantine/group", context, here="quarantine", pace=STEADY)


def _any_offered(named: reads.GroupKey) -> bool:
    """Whether a redrive of an item of the group is offered: of which are ticked the page that asks for it judges."""
    return any(_offered([item]) for item in reads.firsts_of_group(named, MOST_WINDOWS))


def _group_button(request: HttpRequest, named: reads.GroupKey, found: reads.Group | None) -> c.Button | None:
    if found is None:
        return None
    url = links.with_query(reverse("resolve-many"), group=named.text, upto=found.last)
    return c.Button(f"Resolve all {found.items:,}", url, may(request.user, Act.RESOLVE))


def _redrive_buttons(request: HttpRequest, named: reads.GroupKey, run: RunName) -> tuple[c.Button, ...]:
    """Asking for a redrive of all open ones, where it would be taken: a plan is about one window."""
    name = f"{run.stream}/{run.name}"
    return tuple(
        request_button(request, name, offer, f"Request redrive of {offer.about.split()[0]} in window {window:,}")
        for win, window in reads.windows_of_group(named, MOST_WINDOWS)
        for offer in redrives_of(WindowId(win))
        if offer.asked["reason_code"] == named.reason.name
    )


# --- one item


def item_or_404(number: int) -> QuarantineItem:
    found = reads.one(number)
    if found is None:
        raise Http404
    return found


def contract_of(item: QuarantineItem) -> Contract | None:
    """The contract of the item's window; None where it cannot be read, and then nothing of a payload is shown."""
    try:
        return compiled_contract(item.win.contract_id).contract
    except PassgateError:
        return None


def hidden_from(request: HttpRequest, item: QuarantineItem) -> str:
    """Why this person does not see the payload; "" when they do."""
    contract = contract_of(item)
    if contract is None:
        return "The contract cannot be read, so nobody can be said to be allowed to see payloads."
    answer = may(request.user, Act.SEE_PAYLOADS)
    if answer.code == "permission_denied":
        allowed = " or ".join(contract.payload.visible_to)
        return f"You see digests only: payloads need {allowed} on {contract.stream}."
    return hidden_because(contract, roles_of(request.user) if answer else (), answer.reason)


@needs(Act.LOOK)
def item(request: HttpRequest, number: int) -> HttpResponseBase:
    """`/quarantine/{id}`: what arrived, what it disagrees with, and what was decided."""
    stored_item = item_or_404(number)
    seen = runs.scope(
        stored_item.win.run.stream.name,
        links.run_segment(stored_item.win.run.name),
        stored_item.win.number,
        stored_item.win.rerun,
    )
    if seen is None:
        raise Http404
    event = reads.first_event(stored_item)
    hidden = hidden_from(request, stored_item)
    following, left = reads.next_open(stored_item)
    headers, more = reads.headers_of(stored_item.headers) if not hidden else ((), 0)
    context = c.ItemPage(
        id=number,
        strip=run_parts.strip(seen),
        reason=reason_name(stored_item.reason),
        headline=_headline(stored_item),
        detail=stored_item.detail,
        state="ITEM OPEN" if stored_item.state == ItemState.OPEN else "RESOLVED",
        facts=_facts(stored_item),
        first=_first(event, stored_item),
        first_at=_first_at(event),
        arrived=place(stored_item.source_id, stored_item.source.name, stored_item.offset),
        arrived_at=stored_item.arrived_at,
        seen=stored_item.seen,
        difference=_difference(stored_item, event, hidden),
        payload=_payload(stored_item, hidden),
        hidden=hidden or _masked_why(stored_item),
        key=bytes(stored_item.key) if stored_item.key is not None and not hidden else None,
        headers=tuple(masked_headers(headers, _masks(stored_item.headers, contract_of(stored_item)))),
        headers_left=more,
        bytes=len(stored_item.value) if stored_item.value is not None else None,
        raw_url="" if hidden or stored_item.value is None else reverse("item-raw", args=[number]),
        buttons=_buttons(request, stored_item),
        resolution=_resolution(stored_item),
        redrives=_redrives(stored_item),
        next_url=links.item_url(following) if following else "",
        open_left=left,
    )
    return page(request, "quarantine/item", context, here="quarantine")


def _headline(found: QuarantineItem) -> str:
    words = reason_words(found.reason)
    if found.reason in (Reason.PAYLOAD_MISMATCH, Reason.OTHER_RUN, Reason.LATE):
        return words
    return f"Not understood: {words[0].lower()}{words[1:]} There is no first payload to compare."


def _facts(found: QuarantineItem) -> tuple[c.Fact, ...]:
    receipt = Receipt.objects.filter(source_id=found.source_id, offset=found.offset).first()
    facts = [c.Fact("reason", reason_name(found.reason), "code")]
    if found.event_id:
        facts.append(c.Fact("id", found.event_id, "event"))
    if found.identity is not None:
        facts.append(
            c.Fact("identity", bytes(found.identity).hex(), "digest", links.find_url(bytes(found.identity).hex()))
        )
    facts.append(c.Fact("payload digest", bytes(found.payload_digest).hex(), "digest"))
    facts.append(c.Fact("size", len(found.value) if found.value is not None else None, "bytes"))
    facts.append(c.Fact("seen", found.seen, "number"))
    facts.append(
        c.Fact(
            "receipt", f"{found.source.name}@{found.offset:,}", "code", links.receipt_url(found.source_id, found.offset)
        )
    )
    if receipt is not None and receipt.flags:
        facts.append(c.Fact("also", ", ".join(flag_words(receipt.flags))))
    return tuple(facts)


def _first(event: Event | None, found: QuarantineItem) -> c.Place | None:
    if event is None:
        return None
    names = reads.source_names([event.source_id]) if event.source_id != found.source_id else {}
    return place(event.source_id, names.get(event.source_id, found.source.name), event.offset)


def _first_at(event: Event | None) -> datetime | None:
    return reads.batch_time(event.batch_id) if event else None


def _masks(headers: bytes | memoryview | None, contract: Contract | None) -> Masks:
    packed = bytes(headers) if headers is not None else None
    return masks_for(contract, packed) if contract else Masks(whole=True)


def _difference(found: QuarantineItem, event: Event | None, hidden: str) -> c.Difference | None:
    if found.reason != Reason.PAYLOAD_MISMATCH:
        return None
    if hidden:
        return c.Difference((), (), only_digests=hidden)
    first = bytes(event.payload) if event is not None and event.payload is not None else None
    arrived = bytes(found.value) if found.value is not None else None
    contract = contract_of(found)
    masks = _masks(event.headers if event else None, contract), _masks(found.headers, contract)
    if contract is not None and contract.inbox.kafka.format is Format.CLOUDEVENTS:
        # In the form they were compared in: of a binary event the attributes are in the headers.
        first = None if first is None or event is None else _structured(first, event.headers)
        arrived = None if arrived is None else _structured(arrived, found.headers)
    return difference(first, arrived, masks)


def _structured(value: bytes, headers: bytes | memoryview | None) -> bytes:
    return structured_form(value, unpacked_headers(None if headers is None else bytes(headers)))


def shown_bytes(found: QuarantineItem) -> tuple[bytes | None, str]:
    """The bytes with masked fields replaced, and why something is hidden."""
    contract = contract_of(found)
    if contract is None or found.value is None:
        return None, ""
    return masked(bytes(found.value), _masks(found.headers, contract))


def _payload(found: QuarantineItem, hidden: str) -> str | None:
    if hidden:
        return None
    value, _ = shown_bytes(found)
    return text_of(value[: MOST_SHOWN * 4]) if value is not None else None


def _masked_why(found: QuarantineItem) -> str:
    return shown_bytes(found)[1]


def _buttons(request: HttpRequest, found: QuarantineItem) -> tuple[c.Button, ...]:
    """What was set aside for good can be redriven, too; what is an event by now cannot become one again."""
    button = redrive_button(request, [found.pk])
    redrive = (button,) if button else ()
    if found.state != ItemState.OPEN:
        return redrive
    url = reverse("resolve", args=[found.id])
    return (c.Button("Resolve", url, may(request.user, Act.RESOLVE), main=True), *redrive)


def redrive_button(request: HttpRequest, items: Sequence[int]) -> c.Button | None:
    """Asking for a redrive of these items, where it is offered: a plan is about one window."""
    if not reads.of_one_window(items) or not _offered(items):
        return None
    url = links.with_query(reverse("plan-new"), kind=Kind.REDRIVE, items=",".join(map(str, items)))
    return c.Button("Request redrive", url, may(request.user, Act.REPLAY))


def _offered(items: Sequence[int]) -> bool:
    """Whether a redrive of them is offered for the window that they belong in, which may not be there."""
    first = reads.one(items[0])
    if first is None:
        return False
    run, window = reads.where_redriven(first)
    stream, _, name = run.partition("/")
    try:
        return offer_of_items(window_of(stream, name, window), items) is not None
    except NotFound:
        return False


def _redrives(found: QuarantineItem) -> tuple[c.RedriveLine, ...]:
    return tuple(
        c.RedriveLine(
            each.plan,
            links.plan_url(each.plan),
            place(each.source_id, each.source.name, each.offset),
            decision_name(each.decision),
            f"{reason_name(each.reason)}: {each.detail}" if each.detail else "",
            each.corrected_by or "",
            each.redriven_at,
        )
        for each in reruns.of_item(found.id)
    )


def _resolution(found: QuarantineItem) -> tuple[c.Fact, ...]:
    if found.state == ItemState.OPEN:
        return ()
    words = {**{str(value): word for value, word, _ in CHOICES}, str(Resolution.REDRIVEN): Resolution.REDRIVEN.label}
    word = words.get(found.resolution or "", found.resolution)
    return (
        c.Fact("resolved", word),
        c.Fact("by", found.resolved_by, "outside", links.find_url(found.resolved_by or "")),
        c.Fact("reason", found.resolved_reason, "outside"),
        c.Fact("at", found.resolved_at, "time"),
    )


@needs(Act.LOOK)
def raw(request: HttpRequest, number: int) -> HttpResponseBase:
    """`/quarantine/{id}/raw`: the bytes as they came, for saving and for nothing else."""
    found = item_or_404(number)
    hidden = hidden_from(request, found)
    value, why = shown_bytes(found)
    if hidden or value is None:
        return HttpResponse(
            hidden or why or "This record has no value.",
            status=403 if hidden else 404,
            content_type="text/plain; charset=utf-8",
        )
    answer = HttpResponse(value, content_type="application/octet-stream")
    # The name is ours alone: nothing a producer wrote reaches a header.
    answer["Content-Disposition"] = f'attachment; filename="quarantine-{number}.bin"'
    answer["X-Content-Type-Options"] = "nosniff"
    answer["Cache-Control"] = "no-store"
    return answer
