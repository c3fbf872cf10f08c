"""Quarantine items as pages show them: groups by reason, lists by keyset, one item with what it disagrees with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
from django.db import connection
from django.db.models import Count, Max, Min, Q, QuerySet, Sum

from console.phrases import reason_name
from console.reads.named import RunName, run_names, sized_items
from console.reads.receipts import source_names
from console.whole import whole
from ingest.admit.redrive import kept_items, named_run
from ingest.core.errors import PassgateError
from ingest.core.ids import RunId
from ingest.core.ledger_rows import unpacked_headers
from ingest.core.reason import Reason
from ingest.db import read
from ingest.models import Batch, Event, ItemState, QuarantineItem, Run
from ingest.streams import newest_contract
from ingest.windows import run_before

PAGE_SIZE = 50
MOST_GROUPS = 200
MOST_HEADERS = 100

# A list needs no bytes of any payload.
__all__ = ["source_names"]  # what an item's first event needs a name for
_LISTED = (
    "id", "run_id", "source", "offset", "reason", "detail", "event_id", "seen", "arrived_at", "state", "resolution",
)  # fmt: skip


MOST_RUN = 2**31 - 1
REASONS = [reason.name for reason in Reason if reason]


@dataclass(frozen=True, slots=True)
class Group:
    """Items of one run with one reason and one state."""

    run: RunName | None
    reason: int
    items: int
    records: int
    oldest: datetime
    newest: datetime
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class GroupKey:
    """A group in a path: `{run id}-{REASON}`."""

    run: int
    reason: Reason

    @property
    def text(self) -> str:
        return f"{self.run}-{self.reason.name}"


def group_key(text: str) -> GroupKey | None:
    """Read a group from a path."""
    number, _, name = text.partition("-")
    reason = Reason.__members__.get(name)
    found = whole(number, MOST_RUN)
    if reason is None or found is None:
        return None
    return GroupKey(found, reason)


def windows_of_group(key: GroupKey, most: int) -> list[tuple[int, int]]:
    """The windows in which open items of a group are, the oldest first, by key and number: a plan is about one."""
    rows = items(ItemState.OPEN, key.run, key.reason).values("win", "win__number").annotate(items=Count("id"))
    return [(row["win"], row["win__number"]) for row in rows.order_by("win__number")[:most]]


def firsts_of_group(key: GroupKey, most: int) -> list[int]:
    """The first open item of each of these windows."""
    rows = items(ItemState.OPEN, key.run, key.reason).values("win", "win__number").annotate(first=Min("id"))
    return [row["first"] for row in rows.order_by("win__number")[:most]]


def of_one_window(numbers: Sequence[int]) -> bool:
    """Whether these items are there, and of one window."""
    return QuarantineItem.objects.filter(id__in=numbers).values("win").distinct()[:2].count() == 1


def where_redriven(item: QuarantineItem) -> tuple[str, int | None]:
    """The run ("flights/2013-01") and window that a redrive of an item is asked for: its own; or the newest of the run
    that the record names, where that is another."""
    run = item.win.run
    if item.reason not in (Reason.LATE, Reason.OTHER_RUN):
        return f"{run.stream.name}/{run.name}", item.win.number
    with read() as cur:
        kept = kept_items(cur, [item.pk])[item.pk]
    try:
        named = named_run(newest_contract(run.stream.name), kept)
    except PassgateError:
        named = None
    return f"{run.stream.name}/{named or run.name}", None


def run_named(name: str) -> Run | None:
    """A run by `stream/run`, as links and filters name it."""
    stream, _, run_name = name.partition("/")
    return Run.objects.select_related("stream").filter(stream__name=stream, name=run_name).first() if run_name else None


def items(state: str, run: int | None = None, reason: Reason | None = None) -> QuerySet[QuarantineItem]:
    """Items of a state, of a run, of a reason."""
    found = QuarantineItem.objects.filter(state=state)
    if run is not None:
        # through the window, whose index leads the items
        found = found.filter(win__run=run)
    return found.filter(reason=reason) if reason is not None else found


def _listed(found: QuerySet[QuarantineItem]) -> QuerySet[QuarantineItem]:
    """What a list shows of them, in order, without their bytes."""
    return (
        found.select_related("source")
        .only(*_LISTED, "source__topic", "source__partition", "source__incarnation")
        .order_by("id")
    )


def counts(run: int | None) -> tuple[int, int]:
    """How many items are open, and how many resolved."""
    found = QuarantineItem.objects.all() if run is None else QuarantineItem.objects.filter(win__run=run)
    sums = found.aggregate(
        open=Count("id", filter=Q(state=ItemState.OPEN)), resolved=Count("id", filter=Q(state=ItemState.RESOLVED))
    )
    return sums["open"], sums["resolved"]


def groups(state: str, run: int | None = None) -> list[Group]:
    """Groups, the largest first."""
    rows = list(
        items(state, run)
        .values("run_id", "reason")
        .annotate(
            items=Count("id"),
            records=Sum("seen"),
            oldest=Min("arrived_at"),
            newest=Max("arrived_at"),
            first=Min("id"),
            last=Max("id"),
        )
        .order_by("-items", "run_id", "reason")[:MOST_GROUPS]
    )
    names = run_names([row["run_id"] for row in rows])
    return [
        Group(
            names.get(row["run_id"]),
            row["reason"],
            row["items"],
            row["records"],
            row["oldest"],
            row["newest"],
            row["first"],
            row["last"],
        )
        for row in rows
    ]


def group(key: GroupKey, state: str = ItemState.OPEN) -> Group | None:
    """One group, counted."""
    sums = items(state, key.run, key.reason).aggregate(
        items=Count("id"),
        records=Sum("seen"),
        oldest=Min("arrived_at"),
        newest=Max("arrived_at"),
        first=Min("id"),
        last=Max("id"),
    )
    if not sums["items"]:
        return None
    return Group(run_names([key.run]).get(key.run), key.reason, **sums)


#: The first items of each of the run's windows, in the order of an index, and of these the first: a run of many items
#: is neither read nor sorted for a page of fifty.
_PAGE = """
SELECT i.id
  FROM run_window w CROSS JOIN LATERAL
       (SELECT id FROM quarantine_item
         WHERE win = w.id AND state = %(state)s AND (%(reason)s::integer IS NULL OR reason = %(reason)s)
           AND id > %(after)s
         ORDER BY id LIMIT %(most)s) i
 WHERE w.run_id = %(run)s
 ORDER BY i.id LIMIT %(most)s
"""


def page_of(state: str, run: int | None, reason: Reason | None, after: int | None) -> list[QuarantineItem]:
    """A page by id, oldest first; one more than PAGE_SIZE when there is a next one."""
    if run is not None:
        wanted = None if reason is None else int(reason)
        with connection.cursor() as cursor:
            cursor.execute(
                _PAGE, {"state": state, "run": run, "reason": wanted, "after": after or 0, "most": PAGE_SIZE + 1}
            )
            return some([number for (number,) in cursor.fetchall()])
    return list(_listed(items(state, reason=reason).filter(id__gt=after or 0))[: PAGE_SIZE + 1])


def one(number: int) -> QuarantineItem | None:
    """An item with everything it holds."""
    found = QuarantineItem.objects.select_related("source", "win__run__stream", "win__contract")
    return found.filter(id=number).first()


def first_event(item: QuarantineItem) -> Event | None:
    """The event whose identity this item disputes: of its run, or of the run before where that was looked back on."""
    if item.reason != Reason.PAYLOAD_MISMATCH or item.identity is None:
        return None
    earlier = run_before(RunId(item.run_id))
    runs = [item.run_id, earlier.run_id] if earlier else [item.run_id]
    return Event.objects.filter(run_id__in=runs, identity=item.identity).first()


def next_open(item: QuarantineItem) -> tuple[int | None, int]:
    """The open item to take on after this one, of the same reason first, and how many of the run are open."""
    found = items(ItemState.OPEN, item.run_id).exclude(id=item.id)
    alike = found.filter(reason=item.reason, id__gt=item.id).order_by("id").values_list("id", flat=True).first()
    if alike is None:
        alike = found.order_by("id").values_list("id", flat=True).first()
    return alike, found.count()


def some(numbers: Sequence[int]) -> list[QuarantineItem]:
    """These items, without their bytes."""
    return list(_listed(QuarantineItem.objects.filter(id__in=numbers)))


def upto(key: GroupKey, last: int, most: int) -> tuple[list[QuarantineItem], int]:
    """The first open items of a group, as it was when it was frozen at item `last`, and how many there are."""
    found = items(ItemState.OPEN, key.run, key.reason).filter(id__lte=last)
    return list(_listed(found)[:most]), found.count()


def later(key: GroupKey, last: int) -> int:
    """How many joined the group since."""
    return items(ItemState.OPEN, key.run, key.reason).filter(id__gt=last).count()


def batch_time(batch: int) -> datetime | None:
    """When a batch was made durable."""
    return Batch.objects.filter(id=batch).values_list("committed_at", flat=True).first()


def open_of_run(run: int) -> int:
    """How many items of a run are open."""
    return items(ItemState.OPEN, run).count()


def reasons_of_window(win: int) -> tuple[tuple[str, int], ...]:
    """Open items of a window by reason: name and count."""
    rows = (
        QuarantineItem.objects.filter(win=win, state=ItemState.OPEN)
        .values("reason")
        .annotate(items=Count("id"))
        .order_by("-items")
    )
    return tuple((reason_name(row["reason"]), row["items"]) for row in rows)


def pairs_of(packed: bytes | None) -> list[tuple[str, bytes | None]]:
    """Headers in their order, repeats and nulls included."""
    try:
        return unpacked_headers(packed) or []
    except (msgspec.DecodeError, UnicodeDecodeError):  # a name that is no text makes all of them unreadable
        return [("not readable", packed)]


def headers_of(packed: bytes | memoryview | None) -> tuple[tuple[tuple[str, bytes | None], ...], int]:
    """Headers as they came, at most MOST_HEADERS of them, and how many are left out."""
    found = pairs_of(bytes(packed) if packed is not None else None)
    return tuple(found[:MOST_HEADERS]), max(len(found) - MOST_HEADERS, 0)


# --- what programs list


def sized(run: Run | None = None, reason: str | None = None, state: str | None = None) -> QuerySet[QuarantineItem]:
    """Items in the order they arrived in the ledger, without their bytes: a page of them may be large ones."""
    found = sized_items().defer("value", "key", "headers").order_by("pk")
    if run is not None:
        found = found.filter(win__in=list(run.window_set.values_list("pk", flat=True)))
    if reason is not None:
        found = found.filter(reason=Reason[reason])
    return found.filter(state=state) if state is not None else found
