"""The ledger's tables. Correctness lives in named constraints and in the triggers of the migrations.

Offsets are of a source; times are the database's `clock_timestamp()`; digests are 32 bytes of SHA-256.
Receipts, events and effects carry no row-level foreign keys (they took a row from 1.5 to 5.8 µs); `fsck` checks them.
"""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from ingest.core.merkle import source_key


class Lane(models.TextChoices):
    """One owner of a source's work."""

    ADMISSION = "admission", "reads the inbox"
    PUBLISH = "publish", "writes the bus"
    EFFECTS = "effects", "reads the bus"


class RunState(models.TextChoices):
    OPEN = "OPEN", "admits events"
    CUT = "CUT", "its last window has its cut, and waits for a verdict"
    CLOSED = "CLOSED", "cut, and every window has a verdict"


class WindowState(models.TextChoices):
    OPEN = "OPEN", "has no cut yet"
    CUT = "CUT", "its ranges are fixed"


class AttemptState(models.TextChoices):
    """docs/design.md#publishing draws them. UNKNOWN is a stored PREPARED without outcome; SENT is not stored."""

    PREPARED = "PREPARED", "written before begin_transaction()"
    UNKNOWN = "UNKNOWN", "nobody knows what landed"
    ACKED = "ACKED", "every event has its place on the bus"
    ABSENT = "ABSENT", "none landed; its batches were queued again"
    PARTIAL = "PARTIAL", "what landed has a place, the rest was queued again"
    UNDECIDABLE = "UNDECIDABLE", "the scan cannot answer; a plan decides"
    NOT_SENT = "NOT_SENT", "produce() itself refused; nothing left this process"
    LOST = "LOST", "its bus was created again, two people said so, and its batches were queued again"


class GapState(models.TextChoices):
    CLAIMED = "CLAIMED", "one consumer says nothing is there"
    PROVEN = "PROVEN", "a second consumer says so too"


class ItemState(models.TextChoices):
    OPEN = "OPEN", "waits for a person"
    RESOLVED = "RESOLVED", "a person decided, with a reason"


class Resolution(models.TextChoices):
    DISCARDED = "DISCARDED", "set aside for good"
    ACCEPTED_FIRST = "ACCEPTED_FIRST", "the first payload stands"
    REDRIVEN = "REDRIVEN", "a plan sent it through admission again, and it is an event now"


class Install(models.Model):
    """Which installation this ledger is: the newest row. Each but the first is of a plan that adopted an older copy."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    install_id = models.UUIDField(unique=True)
    created_at = models.DateTimeField(db_default=Now())
    plan = models.BigIntegerField(null=True)

    class Meta:
        db_table = "install"
        constraints = [
            models.UniqueConstraint(fields=["plan"], name="install_of_one_plan"),
            models.CheckConstraint(
                condition=Q(id=1, plan__isnull=True) | Q(id__gt=1, plan__isnull=False), name="install_of_a_plan"
            ),
        ]


class Stream(models.Model):
    name = models.TextField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "stream"
        constraints = [models.UniqueConstraint(fields=["name"], name="stream_name_unique")]


class Contract(models.Model):
    """A version of a stream's configuration. `source_text` is what was loaded, `files` its schemas by name."""

    stream = models.ForeignKey(Stream, models.PROTECT)
    version = models.IntegerField()
    digest = models.BinaryField()
    source_text = models.BinaryField()
    files = models.JSONField()
    republish_by_plan = models.BooleanField(db_default=False)  # [reconcile] republish = "plan": the database asks
    free_records = models.IntegerField(db_default=0)  # [plans] free_records: the database counts them
    pins_at_cut = models.BooleanField(db_default=False)  # [context] pin = "cut": as above
    approvals = models.SmallIntegerField(db_default=1)  # [plans] approvals: as above
    loaded_by = models.TextField()
    loaded_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "contract"
        constraints = [
            models.UniqueConstraint(fields=["stream", "version"], name="contract_version_unique"),
        ]


class EventClass(models.Model):
    """A class name of a stream gets a stable number, so that rows stay narrow."""

    stream = models.ForeignKey(Stream, models.PROTECT)
    name = models.TextField()

    class Meta:
        db_table = "event_class"
        constraints = [models.UniqueConstraint(fields=["stream", "name"], name="event_class_name_unique")]


def source_name(topic: str, partition: int, incarnation: int) -> str:
    name = f"{topic}/{partition}"
    return name if incarnation == 1 else f"{name} log {incarnation}"


class Source(models.Model):
    """One partition of one incarnation of a topic: (cluster id, topic id, partition); K5 says why the topic id.

    A log that was cut goes on as another one under the same topic id: `incarnation` counts these, from 1.
    """

    stream = models.ForeignKey(Stream, models.PROTECT)
    role = models.TextField(choices=[("inbox", "inbox"), ("bus", "bus")])
    kind = models.TextField(choices=[("topic", "topic"), ("door", "door"), ("plan", "plan")], db_default="topic")
    cluster_id = models.TextField()
    topic_id = models.TextField()
    topic = models.TextField()
    partition = models.IntegerField()
    incarnation = models.IntegerField(db_default=1)
    first_seen_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "source"
        constraints = [
            models.UniqueConstraint(
                fields=["cluster_id", "topic_id", "partition", "stream", "role", "incarnation"],
                name="source_incarnation_unique",
            )
        ]

    @property
    def name(self) -> str:
        """As pages show it: `flights.inbox/0`; `flights.inbox/0 log 2` where the log is not the first."""
        return source_name(self.topic, self.partition, self.incarnation)

    @property
    def key(self) -> bytes:
        """Bytes that name this source in receipts' leaves, whatever its number in this database."""
        return source_key(self)


class Retirement(models.Model):
    """A source whose incarnation is gone for good: its topic was created again, or its log was cut at `kept_to`. It is
    written down once.

    It is carried into no next window, sampled no more, and no lane reads it; nobody waits for it.
    """

    source = models.OneToOneField(Source, models.PROTECT, primary_key=True)
    retired_at = models.DateTimeField(db_default=Now())
    why = models.TextField()
    kept_to = models.BigIntegerField(null=True)

    class Meta:
        db_table = "retirement"
        constraints = [
            models.CheckConstraint(condition=Q(kept_to__isnull=True) | Q(kept_to__gte=0), name="retirement_kept_to")
        ]


class Run(models.Model):
    """The context in which identity holds. `id` is the `run_id` of all else: events are partitioned by it."""

    id = models.AutoField(primary_key=True)
    stream = models.ForeignKey(Stream, models.PROTECT)
    name = models.TextField()
    contract = models.ForeignKey(Contract, models.PROTECT)
    state = models.TextField(choices=RunState.choices, db_default=RunState.OPEN)
    opened_by = models.TextField()
    opened_at = models.DateTimeField(db_default=Now())
    cut_at = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(null=True)
    # a fresh run: a plan reads the inbox of that window again under another run's name, and takes its place
    supersedes = models.ForeignKey("Window", models.PROTECT, db_column="supersedes", null=True, related_name="+")

    class Meta:
        db_table = "run"
        constraints = [
            models.UniqueConstraint(fields=["stream", "name"], name="run_name_unique"),
            # a stream has at most one open run
            models.UniqueConstraint(fields=["stream"], condition=Q(state="OPEN"), name="run_one_open"),
        ]


class Window(models.Model):
    """The closable part of a run. `revision` rises in the transaction that changes a fact of a cut window.

    A rerun is a window of its own: it has the number of the window that it `reruns`, and is its `rerun`-th; what is
    said of "the newest" or "the next" window of a run is never said of it. `by_plan`: a rerun, or the window of a fresh
    run: its only sources are a plan's, and it stands outside of the chain of windows.
    """

    id = models.AutoField(primary_key=True)
    run = models.ForeignKey(Run, models.PROTECT)
    number = models.IntegerField()
    contract = models.ForeignKey(Contract, models.PROTECT)
    state = models.TextField(choices=WindowState.choices, db_default=WindowState.OPEN)
    reruns = models.ForeignKey("self", models.PROTECT, db_column="reruns", null=True, related_name="+")
    rerun = models.IntegerField(null=True)
    by_plan = models.BooleanField(db_default=False)
    revision = models.BigIntegerField(db_default=0)
    judged_revision = models.BigIntegerField(null=True)
    opened_at = models.DateTimeField(db_default=Now())
    cut_at = models.DateTimeField(null=True)
    bus_end_at = models.DateTimeField(null=True)
    unjudged_why = models.TextField(null=True)  # why nobody could judge it the last time somebody tried
    unjudged_at = models.DateTimeField(null=True)
    complete_until = models.DateTimeField(null=True)  # everything appended before is in it or earlier; or why not known
    complete_why = models.TextField(null=True)

    class Meta:
        db_table = "run_window"  # WINDOW is a reserved word
        constraints = [
            models.UniqueConstraint(fields=["run", "number"], condition=Q(reruns=None), name="window_number_unique"),
            models.UniqueConstraint(fields=["reruns", "rerun"], name="window_rerun_unique"),
            models.CheckConstraint(
                condition=Q(reruns=None, rerun=None) | Q(reruns__isnull=False, rerun__gte=1, by_plan=True),
                name="window_rerun_numbered",
            ),
            # the target of batch_window_run_fk: a batch cannot name run A and lie under run B (S8)
            models.UniqueConstraint(fields=["id", "run"], name="window_run_unique"),
            # the next one opens in the transaction that cuts this one
            models.UniqueConstraint(fields=["run"], condition=Q(state="OPEN", reruns=None), name="window_one_open"),
        ]


class WindowRange(models.Model):
    """[start, end) of one source in one window. Inbox: end is the cut. Bus: start and end are bus_start and bus_end."""

    pk = models.CompositePrimaryKey("win", "source")
    win = models.ForeignKey(Window, models.PROTECT, db_column="win")
    source = models.ForeignKey(Source, models.PROTECT)
    start_offset = models.BigIntegerField()
    end_offset = models.BigIntegerField(null=True)

    class Meta:
        db_table = "window_range"
        constraints = [
            models.CheckConstraint(
                condition=Q(end_offset__isnull=True) | Q(end_offset__gte=F("start_offset")), name="window_range_ordered"
            )
        ]


class Origin(models.Model):
    """What a plan's source reads again: its offset n is offset `start_offset` + n of the origin, up to `end_offset`."""

    source = models.OneToOneField(Source, models.PROTECT, primary_key=True, related_name="+")
    origin_source = models.ForeignKey(Source, models.PROTECT, related_name="+")
    start_offset = models.BigIntegerField()
    end_offset = models.BigIntegerField()

    class Meta:
        db_table = "origin"
        constraints = [
            models.CheckConstraint(condition=Q(start_offset__lt=F("end_offset")), name="origin_ordered"),
        ]


class RerunEnd(models.Model):
    """How far the effects lane must have read a bus partition before a rerun can be judged.

    A rerun has no bus ranges: those chain, and what lies on the bus is the windows'.
    """

    pk = models.CompositePrimaryKey("win", "source")
    win = models.ForeignKey(Window, models.PROTECT, db_column="win")
    source = models.ForeignKey(Source, models.PROTECT)
    end_offset = models.BigIntegerField()

    class Meta:
        db_table = "rerun_end"


class WindowPin(models.Model):
    """Which verdict of another stream a window's projection joins with."""

    pk = models.CompositePrimaryKey("win", "context")
    win = models.ForeignKey(Window, models.PROTECT, db_column="win")
    context = models.TextField()
    pinned_win = models.ForeignKey(Window, models.PROTECT, db_column="pinned_win", related_name="pinned_by")
    verdict = models.TextField()  # weather/2013-01#1
    moment = models.DateTimeField(null=True)  # the time that the window's cut is of, where that says what is pinned

    class Meta:
        db_table = "window_pin"


class ControlTotal(models.Model):
    """What the producer says it sent, per class (EXPECTED). The newest declaration of a class counts."""

    win = models.ForeignKey(Window, models.PROTECT, db_column="win")
    event_class = models.TextField()
    declared = models.BigIntegerField()
    declared_by = models.TextField()
    declared_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "control_total"
        constraints = [models.CheckConstraint(condition=Q(declared__gte=0), name="control_total_not_negative")]


class Position(models.Model):
    """One row per (lane, source): how far, whose, until when, and where the cut lies.

    Offsets below `cut` (all, where it is null) belong to window `win`; offsets from it on to `next_win`; where that is
    null they are nobody's and the lane stands still. For lane publish next_offset is where the settled attempts end.
    """

    pk = models.CompositePrimaryKey("lane", "source")
    lane = models.TextField(choices=Lane.choices)
    source = models.ForeignKey(Source, models.PROTECT)
    stream = models.ForeignKey(Stream, models.PROTECT)
    next_offset = models.BigIntegerField()
    leader_epoch = models.IntegerField(null=True)
    fence = models.BigIntegerField(db_default=0)
    owner = models.TextField(null=True)
    until = models.DateTimeField(null=True)
    taken_at = models.DateTimeField(null=True)  # lanes take turns by it
    cut = models.BigIntegerField(null=True)
    win = models.ForeignKey(Window, models.PROTECT, db_column="win", null=True, related_name="+")
    next_win = models.ForeignKey(Window, models.PROTECT, db_column="next_win", null=True, related_name="+")
    progressed_at = models.DateTimeField(db_default=Now())
    stopped_code = models.TextField(null=True)
    stopped_detail = models.TextField(null=True)
    stopped_at = models.DateTimeField(null=True)
    stopped_until = models.DateTimeField(null=True)  # nobody takes the lease before

    class Meta:
        db_table = "position"
        constraints = [
            models.CheckConstraint(condition=Q(next_offset__gte=0), name="position_offset_not_negative"),
            models.CheckConstraint(condition=Q(lane__in=Lane.values), name="position_lane_known"),
        ]
        indexes = [models.Index(fields=["stream", "lane"], name="position_stream_lane")]


class Batch(models.Model):
    """The records of one source made durable in one transaction. `digest` is the RFC 9162 root over its receipts."""

    source = models.ForeignKey(Source, models.PROTECT)
    win = models.ForeignKey(Window, models.PROTECT, db_column="win")
    run_id = models.IntegerField()
    contract = models.ForeignKey(Contract, models.PROTECT)
    from_offset = models.BigIntegerField()
    to_offset = models.BigIntegerField()
    leader_epoch = models.IntegerField(null=True)
    records = models.IntegerField()
    admitted = models.IntegerField()
    duplicates = models.IntegerField()
    quarantined = models.IntegerField()
    reserialised = models.IntegerField(db_default=0)
    bytes = models.BigIntegerField()
    digest = models.BinaryField()
    fence = models.BigIntegerField()
    owner = models.TextField()
    committed_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "batch"
        constraints = [
            models.UniqueConstraint(fields=["source", "from_offset"], name="batch_from_unique"),
            models.UniqueConstraint(fields=["source", "to_offset"], name="batch_to_unique"),
            models.CheckConstraint(condition=Q(to_offset__gt=F("from_offset")), name="batch_range_ordered"),
            models.CheckConstraint(
                condition=Q(records=F("admitted") + F("duplicates") + F("quarantined")), name="batch_counts_balance"
            ),
            models.CheckConstraint(
                condition=Q(records__lte=F("to_offset") - F("from_offset")), name="batch_records_fit_range"
            ),
        ]
        indexes = [models.Index(fields=["win", "source", "from_offset"], name="batch_window")]


class Receipt(models.Model):
    """What became of one record. Carries no run: it is the batch's."""

    pk = models.CompositePrimaryKey("source_id", "offset")
    source_id = models.IntegerField()
    offset = models.BigIntegerField()
    batch_id = models.BigIntegerField()
    decision = models.SmallIntegerField()
    reason = models.SmallIntegerField()
    flags = models.SmallIntegerField()
    class_id = models.IntegerField(null=True)
    identity = models.BinaryField(null=True)
    payload_digest = models.BinaryField()

    class Meta:
        db_table = "receipt"
        indexes = [
            # pages filtered by decision: the two rare ones have an index, ADMITTED is nearly every row of the key
            models.Index(fields=["source_id", "offset"], condition=Q(decision=2), name="receipt_duplicate"),
            models.Index(fields=["source_id", "offset"], condition=Q(decision=3), name="receipt_quarantined"),
        ]


class Event(models.Model):
    """An admitted event. Partitioned by run id, key (run, identity); COPY goes into the leaf."""

    pk = models.CompositePrimaryKey("run_id", "identity")
    run_id = models.IntegerField()
    identity = models.BinaryField()
    win = models.IntegerField()
    class_id = models.IntegerField()
    source_id = models.IntegerField()
    offset = models.BigIntegerField()
    batch_id = models.BigIntegerField()
    payload_digest = models.BinaryField()
    event_id = models.TextField()  # JSON array of the id's parts
    key = models.BinaryField(null=True)
    headers = models.BinaryField(null=True)  # msgpack [[name, bytes|nil], ...] as they came
    payload = models.BinaryField(null=True)  # null once expired or erased

    class Meta:
        db_table = "event"
        indexes = [models.Index(fields=["batch_id", "offset"], name="event_batch")]


class QuarantineItem(models.Model):
    """A record kept for a person. It takes no identity. A repeated mismatch points here and raises `seen`."""

    win = models.ForeignKey(Window, models.PROTECT, db_column="win")
    run_id = models.IntegerField()
    source = models.ForeignKey(Source, models.PROTECT)
    offset = models.BigIntegerField()
    batch = models.ForeignKey(Batch, models.PROTECT, db_constraint=False)
    reason = models.SmallIntegerField()
    detail = models.TextField()
    class_id = models.IntegerField(null=True)
    identity = models.BinaryField(null=True)
    event_id = models.TextField(null=True)
    payload_digest = models.BinaryField()
    value = models.BinaryField(null=True)
    key = models.BinaryField(null=True)
    headers = models.BinaryField(null=True)
    first_source_id = models.IntegerField(null=True)
    first_offset = models.BigIntegerField(null=True)
    seen = models.BigIntegerField(db_default=1)
    arrived_at = models.DateTimeField(db_default=Now())
    state = models.TextField(choices=ItemState.choices, db_default=ItemState.OPEN)
    resolution = models.TextField(choices=Resolution.choices, null=True)
    resolved_by = models.TextField(null=True)
    resolved_reason = models.TextField(null=True)
    resolved_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "quarantine_item"
        constraints = [
            models.UniqueConstraint(fields=["source", "offset"], name="quarantine_place_unique"),
            # the same mismatch again points to the same item
            models.UniqueConstraint(
                fields=["run_id", "identity", "payload_digest"],
                condition=Q(reason=50),  # Reason.PAYLOAD_MISMATCH
                name="quarantine_mismatch_unique",
            ),
            models.CheckConstraint(
                condition=Q(state="OPEN", resolution=None, resolved_by=None, resolved_reason=None, resolved_at=None)
                | Q(
                    state="RESOLVED",
                    resolution__isnull=False,
                    resolved_by__regex=r"\S",
                    resolved_reason__regex=r"\S",
                    resolved_at__isnull=False,
                ),
                name="quarantine_resolution_names_person_and_reason",
            ),
        ]
        indexes = [
            models.Index(fields=["win", "reason", "id"], condition=Q(state="OPEN"), name="quarantine_open"),
            models.Index(fields=["win", "id"], name="quarantine_window"),
        ]


class Redrive(models.Model):
    """One time that a quarantine item was sent through admission again: its receipt is the plan source's at `offset`.

    `decision` is that receipt's. `corrected_by`: whoever asked for other bytes than those that arrived; these are the
    event's, and the item keeps what arrived.
    """

    pk = models.CompositePrimaryKey("source", "offset")
    source = models.ForeignKey(Source, models.PROTECT)
    offset = models.BigIntegerField()
    item = models.ForeignKey(QuarantineItem, models.PROTECT)
    plan = models.BigIntegerField()
    decision = models.SmallIntegerField()
    reason = models.SmallIntegerField()
    detail = models.TextField(null=True)
    corrected_by = models.TextField(null=True)
    redriven_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "redrive"
        constraints = [
            models.UniqueConstraint(fields=["plan", "item"], name="redrive_once_a_plan"),
        ]
        indexes = [models.Index(fields=["item"], name="redrive_item")]


class PublishQueue(models.Model):
    """Batches with admitted events that wait for an attempt. The publisher takes from here, never by a last id seen."""

    batch = models.OneToOneField(Batch, models.PROTECT, primary_key=True)
    source = models.ForeignKey(Source, models.PROTECT)
    from_offset = models.BigIntegerField()
    events = models.IntegerField()
    bytes = models.BigIntegerField()
    queued_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "publish_queue"
        indexes = [models.Index(fields=["source", "from_offset"], name="publish_queue_order")]


class Attempt(models.Model):
    """One try at publishing one or more batches to the bus."""

    source = models.ForeignKey(Source, models.PROTECT)
    transactional_id = models.TextField()
    fence = models.BigIntegerField()
    owner = models.TextField()
    install_id = models.UUIDField()
    cluster_id = models.TextField()
    topic_id = models.TextField()
    topic = models.TextField()
    events = models.IntegerField()
    bytes = models.BigIntegerField()
    state = models.TextField(choices=AttemptState.choices, db_default=AttemptState.PREPARED)
    why = models.TextField(null=True)
    prepared_at = models.DateTimeField(db_default=Now())
    unknown_at = models.DateTimeField(null=True)
    settled_at = models.DateTimeField(null=True)
    over_at = models.DateTimeField(null=True)  # the log it went to is gone: nobody will know, and it holds no lane

    class Meta:
        db_table = "attempt"
        constraints = [
            # one attempt at a time per transactional.id
            models.UniqueConstraint(
                fields=["transactional_id"],
                condition=Q(state__in=["PREPARED", "UNKNOWN", "UNDECIDABLE"], over_at__isnull=True),
                name="attempt_one_unsettled",
            )
        ]


class AttemptBatch(models.Model):
    """Which batches an attempt carries, and the bus partition of every event of them, in offset order.

    `live` is true while the attempt is unsettled or ACKED; a trigger of the attempt's transition clears it.
    """

    pk = models.CompositePrimaryKey("attempt", "batch")
    attempt = models.ForeignKey(Attempt, models.PROTECT)
    batch = models.ForeignKey(Batch, models.PROTECT)
    offsets = ArrayField(models.BigIntegerField())
    partitions = ArrayField(models.IntegerField())
    live = models.BooleanField(db_default=True)

    class Meta:
        db_table = "attempt_batch"
        constraints = [
            # a batch has at most one unsettled or ACKED attempt
            models.UniqueConstraint(fields=["batch"], condition=Q(live=True), name="attempt_batch_one_live")
        ]


class AttemptPartition(models.Model):
    """(lo, leader epoch) of every bus partition an attempt uses; lo is the high watermark before it began."""

    pk = models.CompositePrimaryKey("attempt", "partition")
    attempt = models.ForeignKey(Attempt, models.PROTECT)
    partition = models.IntegerField()
    bus_source = models.ForeignKey(Source, models.PROTECT)
    lo = models.BigIntegerField()
    leader_epoch = models.IntegerField(null=True)

    class Meta:
        db_table = "attempt_partition"


class Place(models.Model):
    """Where an event lies on the bus, by its inbox (source, offset) and the attempt that brought it there.

    Only places of ACKED and PARTIAL attempts count, and of these an event has at most one: those of a LOST one stay.
    """

    pk = models.CompositePrimaryKey("source_id", "offset", "attempt_id")
    source_id = models.IntegerField()
    offset = models.BigIntegerField()
    attempt_id = models.BigIntegerField()
    bus_source_id = models.IntegerField()
    bus_offset = models.BigIntegerField()

    class Meta:
        db_table = "place"


class ReconcileRequest(models.Model):
    """A person's *Reconcile*: a request the lane's owner serves (only the lease holder creates a producer)."""

    attempt = models.ForeignKey(Attempt, models.PROTECT)
    requested_by = models.TextField()
    requested_at = models.DateTimeField(db_default=Now())
    served_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "reconcile_request"
        constraints = [
            models.UniqueConstraint(
                fields=["attempt"], condition=Q(served_at__isnull=True), name="reconcile_request_one_waiting"
            )
        ]


class Scan(models.Model):
    """What reconciliation read, and its answer. Written after the fence it names."""

    attempt = models.ForeignKey(Attempt, models.PROTECT)
    fence = models.BigIntegerField()
    fenced_at = models.DateTimeField()
    asked_by = models.TextField()
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField()
    answer = models.TextField()
    why = models.TextField(null=True)
    expected = models.IntegerField()
    found = models.IntegerField()
    partitions = models.JSONField()  # [{partition, lo, epoch, hi, lso, scanned, ended_at}]

    class Meta:
        db_table = "scan"
        constraints = [
            models.CheckConstraint(
                condition=Q(answer__in=["PRESENT", "ABSENT", "PARTIAL", "UNDECIDABLE"]), name="scan_answer_known"
            ),
            models.CheckConstraint(condition=Q(started_at__gte=F("fenced_at")), name="scan_after_fence"),
        ]


class AttemptDecision(models.Model):
    """What two people decided of an UNDECIDABLE attempt, by a plan: events whose effect was there lie at its place, the
    rest is absent. The lane's owner serves it. Arrays are of one length: inbox offset, bus source, bus offset.
    """

    attempt = models.OneToOneField(Attempt, models.PROTECT, primary_key=True)
    plan = models.BigIntegerField()
    scan = models.ForeignKey(Scan, models.PROTECT)  # the last one, which could not answer
    outcome = models.TextField()
    offsets = ArrayField(models.BigIntegerField())
    bus_sources = ArrayField(models.IntegerField())
    bus_offsets = ArrayField(models.BigIntegerField())
    absent = models.IntegerField()
    requested_by = models.TextField()
    approved_by = models.TextField()
    reason = models.TextField()
    decided_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "attempt_decision"
        constraints = [
            models.UniqueConstraint(fields=["plan"], name="attempt_decision_of_one_plan"),
            models.CheckConstraint(
                condition=Q(outcome="ACKED", absent=0)
                | Q(outcome="PARTIAL", absent__gt=0, offsets__len__gt=0)
                | Q(outcome="ABSENT", absent__gt=0, offsets__len=0),
                name="attempt_decision_outcome",
            ),
        ]


class AttemptLoss(models.Model):
    """That an attempt is LOST, by a plan: the topic that it went to exists no more, as Kafka said twice. `topic_id` is
    the one that it went to, `found_topic_id` the one that has the name now; `seen_at` before the step, `measured_at` in
    its transaction.
    """

    attempt = models.OneToOneField(Attempt, models.PROTECT, primary_key=True)
    plan = models.BigIntegerField()
    cluster_id = models.TextField()
    topic = models.TextField()
    topic_id = models.TextField()
    found_topic_id = models.TextField()
    seen_at = models.DateTimeField()
    measured_at = models.DateTimeField()
    requested_by = models.TextField()
    approved_by = models.TextField()
    reason = models.TextField()
    lost_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "attempt_loss"
        constraints = [
            models.CheckConstraint(condition=~Q(found_topic_id=F("topic_id")), name="attempt_loss_of_another_topic"),
            models.CheckConstraint(condition=Q(measured_at__gt=F("seen_at")), name="attempt_loss_seen_twice"),
        ]


class BusBatch(models.Model):
    """What one transaction of the effects lane read from one bus source."""

    source = models.ForeignKey(Source, models.PROTECT)
    from_offset = models.BigIntegerField()
    to_offset = models.BigIntegerField()
    leader_epoch = models.IntegerField(null=True)
    records = models.IntegerField()
    applied = models.IntegerField()
    duplicates = models.IntegerField()
    foreign_records = models.IntegerField()
    mismatching = models.IntegerField()
    gaps = models.IntegerField()
    fence = models.BigIntegerField()
    owner = models.TextField()
    committed_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "bus_batch"
        constraints = [
            models.UniqueConstraint(fields=["source", "from_offset"], name="bus_batch_from_unique"),
            models.CheckConstraint(condition=Q(to_offset__gt=F("from_offset")), name="bus_batch_range_ordered"),
            models.CheckConstraint(
                condition=Q(records=F("applied") + F("duplicates") + F("foreign_records") + F("mismatching")),
                name="bus_batch_counts_balance",
            ),
        ]


class BusCopies(models.Model):
    """How many further copies of a window's events one bus batch read: DUPLICATE each, written by nobody of ours."""

    bus_batch = models.ForeignKey(BusBatch, models.PROTECT)
    win = models.ForeignKey(Window, models.PROTECT, db_column="win")
    copies = models.IntegerField()
    first_offset = models.BigIntegerField()

    class Meta:
        db_table = "bus_copies"
        constraints = [
            models.UniqueConstraint(fields=["bus_batch", "win"], name="bus_copies_once"),
            models.CheckConstraint(condition=Q(copies__gt=0), name="bus_copies_some"),
        ]


class ContextState(models.IntegerChoices):
    MATCHED = 1, "MATCHED"
    MISSING = 2, "MISSING"
    AMBIGUOUS = 3, "AMBIGUOUS"


class Effect(models.Model):
    """The durable result of consuming one bus record; unique per identity. Partitioned like events."""

    pk = models.CompositePrimaryKey("run_id", "identity")
    run_id = models.IntegerField()
    identity = models.BinaryField()
    win = models.IntegerField()
    bus_source_id = models.IntegerField()
    bus_offset = models.BigIntegerField()
    bus_batch_id = models.BigIntegerField()
    context_state = models.SmallIntegerField(null=True)
    context_reason = models.TextField(null=True)

    class Meta:
        db_table = "effect"


class MendedEffect(models.Model):
    """An effect that had gone missing and that a plan wrote again, or rows of one that had (`effect` false). `source`
    and `offset` are the plan's record that refers to its event; `win` is the event's window.
    """

    pk = models.CompositePrimaryKey("source", "offset")
    source = models.ForeignKey(Source, models.PROTECT)
    offset = models.BigIntegerField()
    run_id = models.IntegerField()
    win = models.ForeignKey(Window, models.PROTECT, db_column="win")
    identity = models.BinaryField()
    effect = models.BooleanField()
    mended_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "mended_effect"


class ForeignRecord(models.Model):
    """A record on the bus that no attempt explains. Kept raw; in a window's range it breaks PUBLISHED."""

    source = models.ForeignKey(Source, models.PROTECT)
    offset = models.BigIntegerField()
    why = models.TextField()
    key = models.BinaryField(null=True)
    value = models.BinaryField(null=True)
    headers = models.BinaryField(null=True)
    read_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "foreign_record"
        constraints = [models.UniqueConstraint(fields=["source", "offset"], name="foreign_record_place_unique")]


class Contradiction(models.Model):
    """An ACKED place read and not found, or a record of an ABSENT attempt that appeared (S23)."""

    win = models.ForeignKey(Window, models.PROTECT, db_column="win")
    attempt = models.ForeignKey(Attempt, models.PROTECT)
    kind = models.TextField()
    source = models.ForeignKey(Source, models.PROTECT)
    offset = models.BigIntegerField()
    identity = models.BinaryField(null=True)
    detail = models.TextField()
    seen_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "contradiction"
        constraints = [
            models.UniqueConstraint(fields=["source", "offset", "attempt", "kind"], name="contradiction_unique")
        ]


class Gap(models.Model):
    """A hole between offsets, as one consumer claims it and a second one proves it (K1, K12)."""

    pk = models.CompositePrimaryKey("source", "from_offset")
    source = models.ForeignKey(Source, models.PROTECT)
    from_offset = models.BigIntegerField()
    to_offset = models.BigIntegerField()
    leader_epoch = models.IntegerField(null=True)
    isolation = models.TextField()
    why = models.TextField()
    state = models.TextField(choices=GapState.choices, db_default=GapState.CLAIMED)
    fence = models.BigIntegerField()
    claimed_at = models.DateTimeField(db_default=Now())
    proven_at = models.DateTimeField(null=True)
    proof = models.JSONField(null=True)
    # server processes, by a trigger: the connection that claimed a gap does not prove it. Null: of before
    claimed_backend = models.IntegerField(null=True)
    proven_backend = models.IntegerField(null=True)

    class Meta:
        db_table = "gap"
        constraints = [
            models.CheckConstraint(condition=Q(to_offset__gt=F("from_offset")), name="gap_range_ordered"),
            models.CheckConstraint(
                condition=Q(state="CLAIMED", proof__isnull=True) | Q(state="PROVEN", proof__isnull=False),
                name="gap_proof_recorded",
            ),
        ]


class Sample(models.Model):
    """What the broker said about a source's offsets at one moment. Null: not measured, never 0."""

    source = models.ForeignKey(Source, models.PROTECT)
    at = models.DateTimeField(db_default=Now())
    log_start = models.BigIntegerField(null=True)
    lso = models.BigIntegerField(null=True)
    hw = models.BigIntegerField(null=True)
    leader_epoch = models.IntegerField(null=True)
    kafka_committed = models.BigIntegerField(null=True)
    committed_state = models.TextField(db_default="UNMEASURED")  # COMMITTED, NONE, UNMEASURED
    next_offset = models.BigIntegerField(null=True)

    class Meta:
        db_table = "sample"
        indexes = [
            models.Index(fields=["source", "-at"], name="sample_latest"),
            models.Index(fields=["at"], name="sample_by_age"),
        ]


class Turn(models.Model):
    """What one process does at a time: whoever holds the row's lock has the turn (sql/turns.sql)."""

    name = models.TextField(primary_key=True)

    class Meta:
        db_table = "turn"


class Permit(models.Model):
    """A Celery task is a permit, not an assignment; the dispatcher counts them here, not in the broker."""

    id = models.UUIDField(primary_key=True)
    issued_at = models.DateTimeField(db_default=Now())
    taken_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "permit"
        indexes = [models.Index(fields=["issued_at"], condition=Q(ended_at__isnull=True), name="permit_open")]


class WorkerProcess(models.Model):
    """A process that takes tasks. It says when it ends; of one that was killed, the next on its host says so."""

    owner = models.TextField(unique=True)
    node = models.TextField()  # as Celery names its worker: control@host
    started_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)
    gone_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "worker_process"
        indexes = [
            models.Index(fields=["gone_at"], condition=Q(gone_at__isnull=False), name="worker_process_gone"),
            models.Index(
                fields=["owner"], condition=Q(ended_at__isnull=True, gone_at__isnull=True), name="worker_process_there"
            ),
        ]


class AuditLog(models.Model):
    """Every act and every refusal, hash-chained. The head row is locked last in a transaction."""

    id = models.BigIntegerField(primary_key=True)
    at = models.DateTimeField()
    actor = models.TextField()
    act = models.TextField()
    subject = models.TextField()
    reason = models.TextField()
    refused = models.BooleanField(db_default=False)
    detail = models.JSONField()
    previous = models.BinaryField()
    digest = models.BinaryField()

    class Meta:
        db_table = "audit_log"
        indexes = [models.Index(fields=["subject", "-id"], name="audit_log_subject")]


class AuditHead(models.Model):
    id = models.SmallIntegerField(primary_key=True, default=1)
    last_id = models.BigIntegerField()
    digest = models.BinaryField()

    class Meta:
        db_table = "audit_head"
        constraints = [models.CheckConstraint(condition=Q(id=1), name="audit_head_is_one_row")]
