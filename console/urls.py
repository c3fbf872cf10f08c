"""Every path of the console. Names are what templates and console/links.py use."""

from __future__ import annotations

from django.urls import include, path, register_converter

from console.links import RunConverter
from console.pages.find import find
from console.pages.frame import moved, patterns, session
from console.pages.now import now
from console.pages.plans import act, ask, plans
from console.pages.quarantine import quarantine, resolve
from console.pages.runs import (
    basis,
    close,
    cut,
    gate,
    go_on,
    lineage,
    receipts,
    reruns,
    runs,
    sources,
    verdicts,
    windows,
)
from console.pages.streams import streams
from console.pages.system import lanes
from console.pages.unknown import reconcile, unknown
from console.whole import WholeConverter

register_converter(RunConverter, "run")
register_converter(WholeConverter, "no")

handler400 = "console.pages.frame.problems.bad_request"
handler403 = "console.pages.frame.problems.not_permitted"
handler404 = "console.pages.frame.problems.not_found"
handler500 = "console.pages.frame.problems.broken"

RUN = "runs/<str:stream>/<run:run>/"

urlpatterns = [
    path("", now.now, name="now"),
    path("find", find.find, name="find"),
    path("streams/", streams.streams, name="streams"),
    path("streams/<str:stream>/", streams.stream, name="stream"),
    path("runs/", runs.runs, name="runs"),
    path(RUN, runs.run, name="run"),
    path(f"{RUN}sources", sources.sources, name="sources"),
    path(f"{RUN}receipts", receipts.receipts, name="receipts"),
    path(f"{RUN}cut", cut.cut, name="cut"),
    path(f"{RUN}go-on", go_on.go_on, name="go-on"),
    path(f"{RUN}seal", moved.moved_to("cut")),
    path(f"{RUN}close", close.close, name="close"),
    path(f"{RUN}judge", moved.moved_to("close")),
    path(f"{RUN}basis", basis.basis, name="basis"),
    path(f"{RUN}gate", gate.gate, name="gate"),
    path(f"{RUN}lineage", lineage.lineage, name="lineage"),
    path(f"{RUN}windows/", windows.windows, name="windows"),
    path(f"{RUN}windows/<no:window>/", verdicts.window, name="window"),
    path(f"{RUN}windows/<no:window>/reruns/<no:rerun>/", reruns.rerun, name="rerun"),
    path(f"{RUN}verdicts/<no:number>", verdicts.verdict, name="verdict"),
    path("receipts/<no:source>/<no:offset>", receipts.receipt, name="receipt"),
    path("quarantine/", quarantine.quarantine, name="quarantine"),
    path("quarantine/resolve", resolve.resolve_many, name="resolve-many"),
    path("quarantine/groups/<str:key>", quarantine.group, name="group"),
    path("quarantine/<no:number>", quarantine.item, name="item"),
    path("quarantine/<no:number>/raw", quarantine.raw, name="item-raw"),
    path("quarantine/<no:number>/resolve", resolve.resolve, name="resolve"),
    path("unknown/", unknown.unknown, name="unknown"),
    path("unknown/reconcile", reconcile.reconcile, name="reconcile"),
    path("attempts/<no:number>", unknown.attempt, name="attempt"),
    path("attempts/<no:number>/reconcile", reconcile.reconcile_one, name="reconcile-one"),
    path("plans/", plans.plans, name="plans"),
    path("plans/new", ask.ask, name="plan-new"),
    path("plans/<no:plan>", plans.plan, name="plan"),
    path("plans/<no:plan>/items.ndjson", plans.items, name="plan-items"),
    path("plans/<no:plan>/approve", act.approve, name="plan-approve"),
    path("plans/<no:plan>/decline", act.decline, name="plan-decline"),
    path("plans/<no:plan>/pause", act.pause, name="plan-pause"),
    path("plans/<no:plan>/resume", act.resume, name="plan-resume"),
    path("plans/<no:plan>/cancel", act.cancel, name="plan-cancel"),
    path("system/lanes", lanes.lanes, name="lanes"),
    path("me/", session.me, name="me"),
    path("me/theme", session.theme, name="theme"),
    path("patterns/", patterns.patterns, name="patterns"),
    path("sign-in/", session.SignIn.as_view(), name="sign-in"),
    path("sign-out/", session.SignOut.as_view(), name="sign-out"),
    path("api/v1/", include("console.api.urls")),
]
