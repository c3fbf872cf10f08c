"""What pages of runs share: line 2 of the header, tabs, rows of a list, a history."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from audit import gate
from audit.models import Verdict
from console import links
from console.pages import contexts as c
from console.pages.charts import LedgerBar
from console.reads.runs import Ledger, Scope, VerdictSeen, latest_verdicts, ledgers_of_runs
from ingest.models import Run, Window, WindowState


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
        run=run.run_id,
        run_url=links.run_url(seen.stream, run.run_id),
        state=run.state,
        contract=f"v{contract.version}",
        contract_url=links.with_query(links.stream_url(seen.stream), version=contract.version),
        owner=(terms.owner or "") if terms else "",
        verdict=seen.verdict.title if seen.verdict else "NOT JUDGED",
        gate=gate_word(standing),
        gate_left=standing.left if standing else None,
        durability=durability,
        windows=tuple(
            c.Tab(str(each.number), links.window_url(seen.stream, run.run_id, each.number), each.number == here)
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
        url = links.with_query(links.run_url(seen.stream, seen.run.run_id, part), window=window)
        return c.Tab(text, url, part == here, count)

    found = [
        tab("Overview", "run"),
        tab("Sources", "sources"),
        tab("Receipts", "receipts", receipts),
        tab("Gate", "gate"),
    ]
    if seen.window:
        url = links.window_url(seen.stream, seen.run.run_id, seen.window.number)
        found.append(c.Tab(f"Window {seen.window.number}", url, here == "window"))
    return tuple(found)


def rows(runs: Sequence[Run]) -> tuple[c.RunRow, ...]:
    """Rows of a list of runs: four queries, however many runs."""
    numbers = [run.id for run in runs]
    windows: dict[int, list[tuple[int, int, str]]] = {}
    for run, win, number, state in (
        Window.objects.filter(run__in=numbers).order_by("number").values_list("run_id", "id", "number", "state")
    ):
        windows.setdefault(run, []).append((win, number, state))
    ids = [win for found in windows.values() for win, _, _ in found]
    verdicts, standing, ledgers = latest_verdicts(ids), gate.standing(numbers), ledgers_of_runs(numbers)
    return tuple(
        _row(run, windows.get(run.id, []), verdicts, standing.get(run.id), LedgerBar(*ledgers.get(run.id, Ledger())))
        for run in runs
    )


def _row(
    run: Run,
    windows: Sequence[tuple[int, int, str]],
    verdicts: Mapping[int, VerdictSeen],
    standing: gate.RunStanding | None,
    bar: LedgerBar,
) -> c.RunRow:
    found = [verdicts[win] for win, _, _ in windows if win in verdicts]
    latest = max(found, key=lambda verdict: verdict.number, default=None)
    return c.RunRow(
        stream=run.stream.name,
        run=run.run_id,
        url=links.run_url(run.stream.name, run.run_id),
        state=run.state,
        verdict=latest.title if latest else "NOT JUDGED",
        why=cause_words(latest.sentence) if latest else _unjudged(windows),
        bar=bar,
        opened_at=run.opened_at,
        by=run.opened_by,
        gate=gate_word(standing.run if standing else None),
        gate_left=standing.run.left if standing else None,
    )


def _unjudged(windows: Sequence[tuple[int, int, str]]) -> str:
    if not windows:
        return "no window yet"
    _, number, state = windows[-1]
    return (
        f"window {number} is open" if state == WindowState.OPEN else f"window {number} is cut, its verdict is awaited"
    )


_HEAD = re.compile(r"^Window \d+ is [A-Z]+(?: \(waived\))?: ")


def cause_words(sentence: str | None) -> str:
    """The causes of a diagnosis, without its window and its next act."""
    if not sentence:
        return ""
    return _HEAD.sub("", sentence).split(" Next: ")[0]


# --- verdicts


def verdict_lines(seen: Scope, verdicts: Sequence[Verdict]) -> tuple[c.VerdictLine, ...]:
    """A history, newest first; each line says what changed since the verdict before it of the same window."""
    found = []
    for at, verdict in enumerate(verdicts):
        before = next((each for each in verdicts[at + 1 :] if each.win_id == verdict.win_id), None)
        found.append(
            c.VerdictLine(
                name=f"{seen.name}#{verdict.number}",
                url=links.verdict_url(seen.stream, seen.run.run_id, verdict.number),
                state="PASS (waived)" if verdict.waived else verdict.state,
                window=verdict.win.number,
                at=verdict.decided_at,
                by=verdict.decided_by,
                since="; ".join(changes(before.body, verdict.body)[:3]) if before else "first verdict of the window",
            )
        )
    return tuple(found)


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What changed from one verdict's checks to the next one's, a line per check: "PUBLISHED broken → holds"."""
    was = {check["check"]: check for check in before.get("checks", ())}
    found = []
    for check in after.get("checks", ()):
        old = was.get(check["check"])
        if old is None:
            found.append(f"{check['check']} is new")
        elif old["state"] != check["state"]:
            found.append(f"{check['check']} {old['state'].lower()} → {check['state'].lower()}")
        elif check["state"] == "BROKEN" and old["observed"] != check["observed"] and check.get("follows_from") is None:
            found.append(f"{check['check']} {old['observed']} → {check['observed']}")
    found += [
        f"{name} is no longer listed" for name in was if name not in {x["check"] for x in after.get("checks", ())}
    ]
    return found or ["nothing changed"]
