"""Runs, windows and verdicts as documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from audit import gate
from audit.core.snapshot import behind_body
from audit.cut import WindowCut
from audit.go_on import GoneOn
from audit.models import GateOpen, Verdict
from audit.notices import notices_of
from console.documents import Document, hexed, stamp
from console.reads import reruns
from console.reads.windows import newest_of, records
from ingest.core.ids import RunId
from ingest.models import ControlTotal, Run, Window

#: Windows of a run's document, the newest: of each run of a list, and of one run alone. And reruns of each window.
LISTED, SHOWN, MOST_RERUNS = 20, 100, 20


def run_documents(runs: Sequence[Run], most: int = LISTED) -> list[Document]:
    """Runs with their newest windows, `most` of each, and how all of them stand. Six queries, however many runs and
    windows there are."""
    windows = newest_of([run.pk for run in runs], most)
    standing = gate.standing([RunId(run.pk) for run in runs])
    by_run: dict[int, list[Window]] = {run.pk: [] for run in runs}
    for window in windows:
        by_run[window.run_id].append(window)
    documents = _window_documents(windows, {run.pk: (run.stream.name, run.name) for run in runs})
    return [
        _run_document(run, standing.get(RunId(run.pk)), [documents[window.pk] for window in by_run[run.pk]])
        for run in runs
    ]


def window_documents(run: Run, windows: Sequence[Window]) -> list[Document]:
    """Windows of one run as its list has them: with the records that each has read."""
    read = records([window.pk for window in windows])
    documents = _window_documents(windows, {run.pk: (run.stream.name, run.name)})
    return [documents[window.pk] | {"records": read.get(window.pk, 0)} for window in windows]


def _window_documents(windows: Sequence[Window], names: Mapping[int, tuple[str, str]]) -> dict[int, Document]:
    """By key of the window: each with its newest verdict, its gate's lease and its reruns."""
    again = reruns.rows_of([window.pk for window in windows], MOST_RERUNS)
    keys = [*(window.pk for window in windows), *(row.win for rows in again.values() for row in rows)]
    newest = Verdict.objects.filter(win__in=keys).select_related("win").order_by("win_id", "-number").distinct("win_id")
    verdicts = {verdict.win_id: verdict for verdict in newest}
    gates = {row.win_id: row for row in GateOpen.objects.filter(win__in=keys)}
    return {
        window.pk: _window_document(window, _stand(window.pk, names[window.run_id], verdicts, gates))
        | _reruns(again.get(window.pk, []), names[window.run_id], verdicts, gates)
        for window in windows
    }


def _stand(win: int, run: tuple[str, str], verdicts: Mapping[int, Verdict], gates: Mapping[int, GateOpen]) -> Document:
    verdict, row = verdicts.get(win), gates.get(win)
    return {
        "verdict": verdict_line(verdict, *run) if verdict else None,
        "gate": {"open_until": stamp(row.open_until), "checked_at": stamp(row.checked_at), "shut_why": row.shut_why}
        if row
        else None,
    }


def _reruns(
    rows: Sequence[reruns.RerunRow],
    run: tuple[str, str],
    verdicts: Mapping[int, Verdict],
    gates: Mapping[int, GateOpen],
) -> Document:
    """The newest reruns of a window, and how many there are."""
    return {
        "reruns_total": rows[0].in_all if rows else 0,
        "reruns": [_rerun_document(row) | _stand(row.win, run, verdicts, gates) for row in rows],
    }


def _rerun_document(row: reruns.RerunRow) -> Document:
    return {
        "window": row.number,
        "rerun": row.rerun,
        "state": row.state,
        "contract": {"version": row.contract, "digest": row.contract_digest},
        "plan": row.plan,
        "kind": row.kind,
        "requested_by": row.requested_by,
        "approved_by": row.approved_by,
        "reason": row.reason,
        "out_of_order": row.out_of_order,
        "opened_at": stamp(row.opened_at),
        "cut_at": stamp(row.cut_at),
    }


def _run_document(run: Run, standing: gate.RunStanding | None, windows: list[Document]) -> Document:
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
        **_stands(standing),
        "windows": windows,
    }


def _stands(standing: gate.RunStanding | None) -> Document:
    """Over all windows of the run, whatever the newest ones say."""
    if standing is None:
        counts = dict.fromkeys(("PASS", "BLOCKED", "FAIL", "none"), 0)
        return {"windows_total": 0, "verdicts": counts, "worst": None, "gates_shut": 0}
    first = {"FAIL": standing.failed.first[:1], "BLOCKED": standing.blocked.first[:1]}
    worst = standing.worst
    return {
        "windows_total": standing.windows,
        "verdicts": {
            "PASS": standing.passed,
            "BLOCKED": standing.blocked.count,
            "FAIL": standing.failed.count,
            "none": standing.not_judged,
        },
        "worst": {"verdict": worst, "window": next(iter(first.get(worst, ())), None)} if worst else None,
        "gates_shut": standing.shut.count,
    }


def _window_document(window: Window, stand: Document) -> Document:
    return {
        "number": window.number,
        "state": window.state,
        "opened_at": stamp(window.opened_at),
        "cut_at": stamp(window.cut_at),
    } | stand


def verdict_name(stream: str, run_name: str, number: int) -> str:
    """flights/2013-01#7"""
    return f"{stream}/{run_name}#{number}"


def verdict_line(verdict: Verdict, stream: str, run_name: str) -> Document:
    """A verdict in a list: what it says, without its checks. `verdict` comes with its window."""
    return {
        "verdict": verdict_name(stream, run_name, verdict.number),
        "number": verdict.number,
        "window": verdict.win.number,
        "rerun": verdict.win.rerun,
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
    return verdict_line(verdict, stream, run_name) | {"body": verdict.body}


def run_document(run: Run) -> dict[str, Any]:
    return run_documents([Run.objects.select_related("stream", "contract").get(pk=run.pk)], SHOWN)[0]


def one_run_document(run: Run) -> dict[str, Any]:
    """A run that is asked for by itself: with what its windows lack now."""
    notices = [{"window": each.window, "text": each.text, "next": each.act} for each in notices_of(RunId(run.pk))]
    return run_document(run) | {"notices": notices}


def totals_document(run: Run) -> dict[str, Any]:
    """The declared totals of a run's newest windows: the newest of each class and window counts."""
    windows = newest_of([run.pk], SHOWN)
    newest = ControlTotal.objects.filter(win__in=windows).select_related("win")
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
