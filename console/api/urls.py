"""Every path under /api/v1/. Collections end with a slash, single things do not, acts are sub-resources."""

from __future__ import annotations

from django.urls import path, re_path, register_converter

from console.api.attempts import Attempts, OneAttempt, Reconcile
from console.api.endpoint import UnknownPath
from console.api.events import Events
from console.api.gate import RerunGate, RunGate, SpanGate, WindowGate
from console.api.me import Me
from console.api.plans import Approve, Cancel, Decline, OnePlan, Pause, PlanItems, Plans, PreviewPlan, Resume
from console.api.quarantine import Items, OneItem, ResolveMany, ResolveOne
from console.api.receipts import OneReceipt, Receipts, RunReceipts
from console.api.runs import Anchors, Checks, Close, Cut, OneRun, OneVerdict, Runs, Seal, Totals, Verdicts, Windows
from console.api.schema import Schema
from console.api.streams import OneStream, Sources, Streams
from console.whole import WholeConverter

app_name = "api"


register_converter(WholeConverter, "number")

RUN = "streams/<str:stream>/runs/<str:run>"

urlpatterns = [
    path("streams/", Streams.as_view(), name="streams"),
    path("streams/<str:stream>", OneStream.as_view(), name="stream"),
    path("streams/<str:stream>/sources/", Sources.as_view(), name="sources"),
    path("streams/<str:stream>/events", Events.as_view(), name="events"),
    path("streams/<str:stream>/runs/", Runs.as_view(), name="runs"),
    path(RUN, OneRun.as_view(), name="run"),
    path(f"{RUN}/cut", Cut.as_view(), name="cut"),
    path(f"{RUN}/seal", Seal.as_view(), name="seal"),
    path(f"{RUN}/close", Close.as_view(), name="close"),
    path(f"{RUN}/totals", Totals.as_view(), name="totals"),
    path(f"{RUN}/checks", Checks.as_view(), name="checks"),
    path(f"{RUN}/anchors", Anchors.as_view(), name="anchors"),
    path(f"{RUN}/windows/", Windows.as_view(), name="windows"),
    path(f"{RUN}/verdicts/", Verdicts.as_view(), name="verdicts"),
    path(f"{RUN}/verdicts/<number:number>", OneVerdict.as_view(), name="verdict"),
    path(f"{RUN}/receipts/", RunReceipts.as_view(), name="run-receipts"),
    path("gate/<str:stream>", SpanGate.as_view(), name="span-gate"),
    path("gate/<str:stream>/<str:run>", RunGate.as_view(), name="gate"),
    path("gate/<str:stream>/<str:run>/windows/<number:window>", WindowGate.as_view(), name="window-gate"),
    path(
        "gate/<str:stream>/<str:run>/windows/<number:window>/reruns/<number:rerun>",
        RerunGate.as_view(),
        name="rerun-gate",
    ),
    path("quarantine/", Items.as_view(), name="quarantine"),
    path("quarantine/resolve", ResolveMany.as_view(), name="resolve-many"),
    path("quarantine/<number:item>", OneItem.as_view(), name="item"),
    path("quarantine/<number:item>/resolve", ResolveOne.as_view(), name="resolve"),
    path("attempts/", Attempts.as_view(), name="attempts"),
    path("attempts/<number:attempt>", OneAttempt.as_view(), name="attempt"),
    path("attempts/<number:attempt>/reconcile", Reconcile.as_view(), name="reconcile"),
    path("plans/", Plans.as_view(), name="plans"),
    path("plans/preview", PreviewPlan.as_view(), name="preview-plan"),
    path("plans/<number:plan>", OnePlan.as_view(), name="plan"),
    path("plans/<number:plan>/items/", PlanItems.as_view(), name="plan-items"),
    path("plans/<number:plan>/approve", Approve.as_view(), name="approve"),
    path("plans/<number:plan>/decline", Decline.as_view(), name="decline"),
    path("plans/<number:plan>/pause", Pause.as_view(), name="pause"),
    path("plans/<number:plan>/resume", Resume.as_view(), name="resume"),
    path("plans/<number:plan>/cancel", Cancel.as_view(), name="cancel"),
    path("receipts/", Receipts.as_view(), name="receipts"),
    path("receipts/<number:source>/<number:offset>", OneReceipt.as_view(), name="receipt"),
    path("me", Me.as_view(), name="me"),
    path("schema", Schema.as_view(), name="schema"),
    # whatever else is asked for here is answered in the API's own form
    re_path(r"^.*", UnknownPath.as_view(), name="unknown"),
]
