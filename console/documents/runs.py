"""Runs, windows and verdicts as documents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from audit.core.snapshot import behind_body
from audit.cut import WindowCut
from audit.go_on import GoneOn
from audit.models import GateOpen, Verdict
from console.documents import Document, hexed, stamp
from ingest.models import ControlTotal, Run, Window


def run_documents(runs: Sequence[Run]) -> list[Document]:
    """Runs with their windows, each with its newest verdict and its gate's lease. Three queries, however many runs."""
    windows = list(Window.objects.filter(run__in=runs).order_by("run_id", "number"))
    newest = Verdict.objects.filter(win__in=windows).order_by("win_id", "-number").distinct("win_id")
    verdicts = {verdict.win_id: verdict for verdict in newest}
    gates = {gate.win_id: gate for gate in GateOpen.objects.filter(win__in=windows)}
    by_run: dict[int, list[Document]] = {run.pk: [] for run in runs}
    names = {run.pk: run.name for run in runs}
    streams = {run.pk: run.stream.name for run in runs}
    for window in windows:
        name = (streams[window.run_id], names[window.run_id])
        verdict, gate = verdicts.get(window.pk), gates.get(window.pk)
        by_run[window.run_id].append(_window_document(window, name, verdict, gate))
    return [_run_document(run, by_run[run.pk]) for run in runs]


def _run_document(run: Run, windows: list[Document]) -> Document:
    return {
        "stream": run.stream.name,
        "run": run.name,
        "state": run.state,
        "contract": {"version": run.contract.version, "digest": hexed(run.contract.digest)},
        "opened_by": run.opened_by,
        "opened_at": stamp(run.opened_at),
        "cut_at": stamp(run.cut_at),
        "sealed_at": stamp(run.cut_at),  # its name of before, for one version
        "closed_at": stamp(run.closed_at),
        "windows": windows,
    }


def _window_document(window: Window, run: tuple[str, str], verdict: Verdict | None, gate: GateOpen | None) -> Document:
    return {
        "number": window.number,
        "state": window.state,
        "opened_at": stamp(window.opened_at),
        "cut_at": stamp(window.cut_at),
        "reruns": window.reruns,
        "verdict": verdict_line(verdict, *run) if verdict else None,
        "gate": {"open_until": stamp(gate.open_until), "checked_at": stamp(gate.checked_at), "shut_why": gate.shut_why}
        if gate
        else None,
    }


def verdict_name(stream: str, run_name: str, number: int) -> str:
    """flights/2013-01#7"""
    return f"{stream}/{run_name}#{number}"


def verdict_line(verdict: Verdict, stream: str, run_name: str) -> Document:
    """A verdict in a list: what it says, without its checks."""
    return {
        "verdict": verdict_name(stream, run_name, verdict.number),
        "number": verdict.number,
        "state": verdict.state,
        "waived": verdict.waived,
        "sentence": verdict.body.get("sentence", ""),
        "basis_generation": verdict.basis_generation,
        "contract_digest": hexed(verdict.contract_digest),
        "digest": hexed(verdict.digest),
        "decided_by": verdict.decided_by,
        "decided_at": stamp(verdict.decided_at),
    }


def verdict_document(verdict: Verdict, stream: str, run_name: str) -> Document:
    """A verdict whole. `body` is exactly what its digest is over (RFC 8785)."""
    return verdict_line(verdict, stream, run_name) | {"window": verdict.win.number, "body": verdict.body}


def run_document(run: Run) -> dict[str, Any]:
    return run_documents([Run.objects.select_related("stream", "contract").get(pk=run.pk)])[0]


def totals_document(run: Run) -> dict[str, Any]:
    """The declared totals of a run: the newest of each class and window counts."""
    newest = ControlTotal.objects.filter(win__run=run).select_related("win")
    rows = newest.order_by("win_id", "event_class", "-pk").distinct("win_id", "event_class")
    return {
        "stream": run.stream.name,
        "run": run.name,
        "totals": [
            {
                "window": row.win.number,
                "event_class": row.event_class,
                "declared": row.declared,
                "declared_by": row.declared_by,
                "declared_at": stamp(row.declared_at),
            }
            for row in rows
        ],
    }


def cut_members(cut: WindowCut) -> dict[str, Any]:
    """What the answer to cutting says beyond the run."""
    return {"cuts": cut.cuts, "behind": [behind_body(each) for each in cut.behind]}


def gone_on_members(done: GoneOn) -> dict[str, Any]:
    """What the answer to going on says beyond the run. `notes`: what the next window does not begin with, and why."""
    following = {"run": done.next_run, "window": done.next_window}
    return cut_members(done.cut) | {"window": done.cut.window, "next": following, "notes": list(done.notes)}
