"""Plans, their history, their items. What must never happen to them is refused in migrations/sql/plans.sql."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from ingest.models import Contract, Run, Source, Stream, Window
from plans.core.plan import MAYBE_FREE, Kind, Outcome, State


class Plan(models.Model):
    """The exact thing somebody asks to do. `binds` and all that was asked never change; `digest` is over `binds`.

    `free_records` and `free_by`: where its requester approved it alone, for how many records, and by which contract;
    the database writes both. `acted_by` and `acted_why` are of the last step from state to state, from which the
    database writes `plan_event`.
    """

    kind = models.TextField()
    stream = models.ForeignKey(Stream, models.PROTECT)
    run = models.ForeignKey(Run, models.PROTECT, null=True)
    win = models.ForeignKey(Window, models.PROTECT, db_column="win", null=True)
    binds = models.JSONField()
    digest = models.BinaryField()
    state = models.TextField(db_default=State.SUBMITTED)
    reason = models.TextField()
    requested_by = models.TextField()
    requested_person = models.TextField()
    requested_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()
    approved_by = models.TextField(null=True)
    approved_person = models.TextField(null=True)
    approved_digest = models.BinaryField(null=True)
    approved_at = models.DateTimeField(null=True)
    free_records = models.BigIntegerField(null=True)
    free_by = models.ForeignKey(Contract, models.PROTECT, null=True, db_index=False)
    decided_reason = models.TextField(null=True)
    held_why = models.TextField(null=True)
    void_why = models.TextField(null=True)
    first_n = models.IntegerField(null=True)
    rate = models.IntegerField(null=True)
    stop_when = models.TextField(null=True)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    acted_by = models.TextField()
    acted_why = models.TextField(db_default="")

    class Meta:
        db_table = "plan"
        constraints = [
            models.CheckConstraint(condition=Q(kind__in=[str(kind) for kind in Kind]), name="plan_kind_known"),
            models.CheckConstraint(condition=Q(state__in=[str(state) for state in State]), name="plan_state_known"),
            models.CheckConstraint(
                condition=Q(approved_person__isnull=True)
                | ~Q(approved_person=F("requested_person"))
                | Q(free_records__isnull=False, kind__in=[str(kind) for kind in MAYBE_FREE]),
                name="plan_four_eyes",
            ),
            models.CheckConstraint(
                condition=Q(free_records=None, free_by=None)
                | Q(free_records__gte=0, free_by__isnull=False, approved_person__isnull=False)
                & Q(approved_person=F("requested_person")),
                name="plan_free_is_alone",
            ),
            models.CheckConstraint(
                condition=Q(approved_digest__isnull=True) | Q(approved_digest=F("digest")),
                name="plan_approves_its_digest",
            ),
            models.CheckConstraint(
                condition=Q(approved_by=None, approved_person=None, approved_digest=None, approved_at=None)
                | Q(
                    approved_by__isnull=False,
                    approved_person__isnull=False,
                    approved_digest__isnull=False,
                    approved_at__isnull=False,
                ),
                name="plan_approval_is_whole",
            ),
            # a state that is reached through an approval alone has one; EXPIRED is reached with and without
            models.CheckConstraint(
                condition=Q(state__in=["SUBMITTED", "DECLINED"], approved_by=None)
                | Q(state__in=["APPROVED", "RUNNING", "HELD", "DONE", "VOID", "CANCELLED"], approved_by__isnull=False)
                | Q(state="EXPIRED"),
                name="plan_runs_approved",
            ),
            models.CheckConstraint(
                condition=Q(reason__regex=r"\S", requested_by__regex=r"\S", requested_person__regex=r"\S"),
                name="plan_names_person_and_reason",
            ),
        ]
        indexes = [
            models.Index(
                fields=["state", "id"], condition=~Q(state__in=["DONE", "DECLINED", "VOID", "EXPIRED", "CANCELLED"]),
                name="plan_not_over",
            ),
            models.Index(fields=["stream", "-id"], name="plan_of_stream"),
            models.Index(fields=["win", "-id"], name="plan_of_window"),
            models.Index(
                fields=["stream", "approved_person", "approved_at"], condition=Q(free_records__isnull=False),
                name="plan_free_of_day",
            ),
        ]  # fmt: skip


class PlanTransition(models.Model):
    """Which state may follow which: filled by the migration, asked by the trigger."""

    pk = models.CompositePrimaryKey("from_state", "to_state")
    from_state = models.TextField()
    to_state = models.TextField()

    class Meta:
        db_table = "plan_transition_allowed"


class PlanEvent(models.Model):
    """One step of a plan from state to state. Written by the database itself, in the step's transaction."""

    plan = models.ForeignKey(Plan, models.PROTECT)
    from_state = models.TextField(null=True)
    to_state = models.TextField()
    who = models.TextField()
    why = models.TextField()
    at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "plan_event"
        indexes = [models.Index(fields=["plan", "id"], name="plan_event_plan")]


class PlanApproval(models.Model):
    """One person's yes to a plan's digest. Rows are added while it waits, and never changed; `person` is who is behind
    the account `who`. `plan.approved_by` names them all, in order."""

    pk = models.CompositePrimaryKey("plan", "ordinal")
    plan = models.ForeignKey(Plan, models.PROTECT)
    ordinal = models.SmallIntegerField()
    who = models.TextField()
    person = models.TextField()
    digest = models.BinaryField()
    why = models.TextField(db_default="")
    at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "plan_approval"
        constraints = [
            models.UniqueConstraint(fields=["plan", "person"], name="plan_approval_once"),
            models.CheckConstraint(
                condition=Q(who__regex=r"\S", person__regex=r"\S"), name="plan_approval_names_person"
            ),
        ]


class PlanItem(models.Model):
    """One thing that a plan does, made of what it binds. `outcome` is written once; null: not done yet."""

    pk = models.CompositePrimaryKey("plan", "ordinal")
    plan = models.ForeignKey(Plan, models.PROTECT)
    ordinal = models.IntegerField()
    subject = models.TextField()
    outcome = models.TextField(null=True)
    reason = models.TextField(null=True)
    at = models.DateTimeField(null=True)

    class Meta:
        db_table = "plan_item"
        constraints = [
            models.CheckConstraint(
                condition=Q(outcome=None, at=None, reason=None)
                | Q(outcome__in=[str(outcome) for outcome in Outcome], at__isnull=False),
                name="plan_item_outcome_known",
            ),
        ]
        indexes = [
            models.Index(fields=["plan", "ordinal"], condition=Q(outcome=None), name="plan_item_left"),
        ]


class PlanOrigin(models.Model):
    """Offsets [from, to) of a source that a plan reads, made of what it binds. Two that run share none."""

    pk = models.CompositePrimaryKey("plan", "source", "from_offset")
    plan = models.ForeignKey(Plan, models.PROTECT)
    source = models.ForeignKey(Source, models.PROTECT)
    from_offset = models.BigIntegerField()
    to_offset = models.BigIntegerField()
    running = models.BooleanField(db_default=False)

    class Meta:
        db_table = "plan_origin"
        constraints = [
            models.CheckConstraint(condition=Q(from_offset__lt=F("to_offset")), name="plan_origin_ordered"),
        ]
