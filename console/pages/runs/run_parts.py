"""What pages of runs share: line 2 of the header, tabs, rows of a list, a history."""

from __future__ import annotations

from collections.abc import Sequence

from audit import gate
from audit.core.diagnosis import told
from audit.core.verdict import changes
from audit.models import Verdict
from console import links
from console.pages.frame import contexts as c
from console.pages.frame.charts import LedgerBar
from console.reads.runs import Ledger, Scope, ledgers_of_runs, newest_verdicts, newest_windows
from ingest.core.ids import RunId
from ingest.models import Run, WindowState


def strip(seen: Scope, durability: str = "") -> c.Strip:
    """Line 2 of the header."""
    run, window = seen.run, seen.window
    contract = window.contract if window else run.contract
    terms = seen.contract
    here = window.number if window else None
    standing = seen.gate_of()
    return c.Strip(
        stream=seen.stream,
        stream_url=links.stream_url(seen.stream),
        run=run.name,
        run_url=links.run_url(seen.stream, run.name),
        state=run.state,
        contract=f"v{contract.version}",
        contract_url=links.with_query(links.stream_url(seen.stream), version=contract.version),
        owner=(terms.owner or "") if terms else "",
        verdict=seen.verdict.title if seen.verdict else "NOT JUDGED",
        gate=gate_word(standing),
        gate_left=standing.left if standing else None,
        durability=durability,
        windows=tuple(
            c.Tab(str(each.number), links.window_url(seen.stream, run.name, each.number), each.number == here)
            for each in seen.windows
        ),
        window=here,
    )


def gate_word(standing: gate.Standing | None) -> str:
    """The state that a page shows of a gate: what a reader would be answered now, and nothing in between."""
    return "GATE OPEN" if standing and standing.decision.granted else "GATE SHUT"


def tabs(seen: Scope, here: str, receipts: int | None = None) -> tuple[c.Tab, ...]:
    """The tabs of a run; each keeps to the window that is looked at when it is not the newest."""
    newest = seen.windows[-1].number if seen.windows else None
    window = seen.window.number if seen.window and seen.window.number != newest else None

    def tab(text: str, part: str, count: int | None = None) -> c.Tab:
        url = links.with_query(links.run_url(seen.stream, seen.run.name, part), window=window)
        return c.Tab(text, url, part == here, count)

    lines = [
        tab("Overview", "run"),
        tab("Sources", "sources"),
        tab("Receipts", "receipts", receipts),
        tab("Basis", "basis"),
        tab("Gate", "gate"),
    ]
    if seen.window:
        url = links.window_url(seen.stream, seen.run.name, seen.window.number)
        lines.append(c.Tab(f"Window {seen.window.number}", url, here == "window"))
    return tuple(lines)


def rows(runs: Sequence[Run]) -> tuple[c.RunRow, ...]:
    """Rows of a list of runs: four queries, however many runs."""
    numbers = [run.id for run in runs]
    windows = newest_windows(numbers)
    verdicts, ledgers = newest_verdicts(numbers), ledgers_of_runs(numbers)
    standing = gate.standing([RunId(number) for number in numbers])
    return tuple(
        _row(
            run,
            windows.get(run.id),
            verdicts.get(run.id),
            standing.get(RunId(run.id)),
            LedgerBar(*ledgers.get(run.id, Ledger())),
        )
        for run in runs
    )


def _row(
    run: Run,
    window: tuple[int, str] | None,
    verdict: Verdict | None,
    standing: gate.RunStanding | None,
    bar: LedgerBar,
) -> c.RunRow:
    return c.RunRow(
        stream=run.stream.name,
        run=run.name,
        url=links.run_url(run.stream.name, run.name),
        state=run.state,
        verdict=verdict_word(verdict) if verdict else "NOT JUDGED",
        why=told(verdict.body).why if verdict else _unjudged(window),
        bar=bar,
        opened_at=run.opened_at,
        by=run.opened_by,
        gate=gate_word(standing.run if standing else None),
        gate_left=standing.run.left if standing else None,
    )


def verdict_word(verdict: Verdict) -> str:
    """PASS, PASS (waived), BLOCKED or FAIL."""
    return "PASS (waived)" if verdict.waived else verdict.state


def _unjudged(window: tuple[int, str] | None) -> str:
    if window is None:
        return "no window yet"
    number, state = window
    return (
        f"window {number} is open" if state == WindowState.OPEN else f"window {number} is cut, its verdict is awaited"
    )


# --- verdicts


def verdict_lines(seen: Scope, verdicts: Sequence[Verdict]) -> tuple[c.VerdictLine, ...]:
    """A history, newest first; each line says what changed since the verdict before it of the same window."""
    causes = []
    for at, verdict in enumerate(verdicts):
        before = next((each for each in verdicts[at + 1 :] if each.win_id == verdict.win_id), None)
        causes.append(
            c.VerdictLine(
                name=f"{seen.name}#{verdict.number}",
                url=links.verdict_url(seen.stream, seen.run.name, verdict.number),
                state=verdict_word(verdict),
                window=verdict.win.number,
                at=verdict.decided_at,
                by=verdict.decided_by,
                since="; ".join(changes(before.body, verdict.body)[:3]) if before else "first verdict of the window",
            )
        )
    return tuple(causes)
