"""What judges facts writes down: snapshots, the basis, verdicts, the gate. Nothing here changes a fact."""

from __future__ import annotations

from datetime import timedelta

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from ingest.models import Run, Stream, Window

#: Of the longest re-check time that a contract may ask for.
LONGEST_LEASE = timedelta(hours=3)


class VerdictState(models.TextChoices):
    PASS = "PASS", "every check holds by a positive measurement"
    BLOCKED = "BLOCKED", "something can still be done"
    FAIL = "FAIL", "an invariant is broken"


class Snapshot(models.Model):
    """What the broker and the database said about offsets at one moment."""

    win = models.ForeignKey(Window, models.PROTECT, db_column="win")
    kind = models.TextField(choices=[("ORIGIN", "window opened"), ("END", "window cut"), ("CHECK", "re-check")])
    taken_at = models.DateTimeField(db_default=Now())
    facts = models.JSONField()

    class Meta:
        db_table = "snapshot"
        indexes = [models.Index(fields=["win", "-taken_at"], name="snapshot_latest")]


class Basis(models.Model):
    """The snapshot a window is judged against, in generations. A refresh appends; it never overwrites (S1)."""

    pk = models.CompositePrimaryKey("win", "generation")
    win = models.ForeignKey(Window, models.PROTECT, db_column="win")
    generation = models.IntegerField()
    snapshot = models.ForeignKey(Snapshot, models.PROTECT)
    facts = models.JSONField()
    digest = models.BinaryField()
    why = models.TextField()
    recorded_at = models.DateTimeField(db_default=Now())
    plan = models.BigIntegerField(null=True)  # that appended it; null: it grew by itself

    class Meta:
        db_table = "basis"


class Verdict(models.Model):
    """PASS, BLOCKED or FAIL of one window at one revision. Numbered per run; never edited."""

    run = models.ForeignKey(Run, models.PROTECT)
    number = models.IntegerField()
    win = models.ForeignKey(Window, models.PROTECT, db_column="win")
    revision = models.BigIntegerField()
    state = models.TextField(choices=VerdictState.choices)
    waived = models.BooleanField(db_default=False)
    basis_generation = models.IntegerField()
    contract_digest = models.BinaryField()
    body = models.JSONField()  # schema-versioned: checks, counts, sentence
    digest = models.BinaryField()
    decided_by = models.TextField()
    decided_at = models.DateTimeField(db_default=Now())
    measured_at = models.DateTimeField(null=True)  # the oldest fact it was judged on; null: stored before this was kept
    valid_until = models.DateTimeField(null=True)  # until when it could be stored on that
    covers = models.ForeignKey(  # the window that this rerun's PASS opens; null: none
        Window, models.PROTECT, db_column="covers", null=True, related_name="+", db_index=False
    )

    class Meta:
        db_table = "verdict"
        constraints = [
            models.UniqueConstraint(fields=["run", "number"], name="verdict_number_unique"),
            models.CheckConstraint(condition=Q(state__in=VerdictState.values), name="verdict_state_known"),
        ]
        indexes = [
            models.Index(fields=["win", "-number"], name="verdict_latest"),
            models.Index(fields=["-decided_at"], condition=Q(state="FAIL"), name="verdict_failed"),
            # what a run's many windows are told apart by: all others passed
            models.Index(
                fields=["run", "win", "-number"], condition=~Q(state="PASS") | Q(waived=True), name="verdict_odd"
            ),
            models.Index(fields=["covers", "-id"], condition=Q(covers__isnull=False), name="verdict_covers"),
        ]


class Waiver(models.Model):
    """What an approved plan gave: a check of a window may stand broken until `until`, on these very facts.

    Written by the plan's own step. `facts` are what `waiver_facts` said of the check then; `plan` is the plan's number.
    """

    win = models.ForeignKey(Window, models.PROTECT, db_column="win")
    check_name = models.TextField()
    facts = models.JSONField()
    until = models.DateTimeField()
    plan = models.BigIntegerField()
    requested_by = models.TextField()
    approved_by = models.TextField()
    reason = models.TextField()
    waived_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "waiver"
        constraints = [
            models.UniqueConstraint(fields=["plan"], name="waiver_of_one_plan"),
            models.CheckConstraint(
                condition=Q(check_name__in=["DEGRADED", "EXPECTED", "NOT_EMPTY", "QUARANTINE"]),
                name="waiver_check_may_be_waived",
            ),
            models.CheckConstraint(condition=Q(until__gt=F("waived_at")), name="waiver_ends_later"),
        ]
        indexes = [models.Index(fields=["win"], name="waiver_win")]


class Rerun(models.Model):
    """Whose plan a rerun is. Written by that plan's first step; `plan` is its number."""

    win = models.OneToOneField(Window, models.PROTECT, db_column="win", primary_key=True, related_name="+")
    plan = models.BigIntegerField()
    kind = models.TextField()
    requested_by = models.TextField()
    approved_by = models.TextField()
    reason = models.TextField()
    out_of_order = models.BooleanField(
        db_default=False
    )  # whoever asked consented to events that come late for their key
    opened_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "rerun"
        constraints = [models.UniqueConstraint(fields=["plan"], name="rerun_of_one_plan")]


class Judging(models.Model):
    """Whoever judges a window holds its row here locked meanwhile. It says nothing but that."""

    win = models.OneToOneField(Window, models.PROTECT, db_column="win", primary_key=True)

    class Meta:
        db_table = "judging"


class GateOpen(models.Model):
    """The lease that lets readers read a window: HTTP and row security look at this row.

    It counts from `checked_at`, when what it stands on was asked for, until `open_until`. Sessions of readers that
    began before `readers_ended_at` were ended because of this gate; where that lies before its end, it owes that.
    """

    win = models.OneToOneField(Window, models.PROTECT, db_column="win", primary_key=True)
    verdict = models.ForeignKey(Verdict, models.PROTECT)
    open_until = models.DateTimeField()
    checked_at = models.DateTimeField(db_default=Now())
    shut_why = models.TextField(null=True)
    readers_ended_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "gate_open"
        constraints = [
            models.CheckConstraint(
                condition=Q(shut_why__isnull=True) | Q(open_until__lte=F("checked_at")), name="gate_reason_ends_lease"
            ),
            models.CheckConstraint(
                condition=Q(open_until__lte=F("checked_at") + LONGEST_LEASE), name="gate_lease_has_a_longest"
            ),
        ]


class GateDecision(models.Model):
    """Every question to the gate and its answer. If it cannot be logged, the answer is 503."""

    at = models.DateTimeField(db_default=Now())
    who = models.TextField()
    stream = models.TextField()
    run = models.TextField()
    window_number = models.IntegerField(null=True)
    rerun = models.IntegerField(null=True)
    status = models.SmallIntegerField()
    code = models.TextField()
    verdict = models.TextField(null=True)

    class Meta:
        db_table = "gate_decision"
        indexes = [models.Index(fields=["stream", "run", "-at"], name="gate_decision_run")]


class Enforcement(models.Model):
    """When the enforcer last looked at a stream, and what it found; a screen's age comes from here."""

    stream = models.OneToOneField(Stream, models.PROTECT, primary_key=True)
    looked_at = models.DateTimeField(db_default=Now())
    outcome = models.TextField()

    class Meta:
        db_table = "enforcement"


class KeptFacts(models.Model):
    """A window's facts as counted last, for pages: shared, so that no two web processes say different things.

    `shape` names the version of the facts' own form; `took` is in seconds. No verdict is made of these.
    """

    win = models.OneToOneField(Window, models.PROTECT, db_column="win", primary_key=True)
    shape = models.TextField()
    fingerprint = models.TextField()
    facts = models.BinaryField()
    counted_at = models.DateTimeField()
    took = models.FloatField()

    class Meta:
        db_table = "kept_facts"


class RecheckEnd(models.Model):
    """What an approved plan ended: the windows of an incarnation, up to `last_win`, stand on the ledger from then on.

    Not a `Retirement`, which says that a log is gone: here it answered, and two people have moved it on purpose.
    """

    stream = models.ForeignKey(Stream, models.PROTECT)
    role = models.TextField()
    topic = models.TextField()
    cluster_id = models.TextField()
    topic_id = models.TextField()
    last_win = models.ForeignKey(Window, models.PROTECT, db_column="last_win", db_index=False)
    plan = models.BigIntegerField()
    requested_by = models.TextField()
    approved_by = models.TextField()
    reason = models.TextField()
    ended_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "recheck_end"
        constraints = [
            models.UniqueConstraint(fields=["plan"], name="recheck_end_of_one_plan"),
            models.CheckConstraint(condition=Q(role="inbox"), name="recheck_end_of_an_inbox"),
        ]
