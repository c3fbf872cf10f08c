"""What pages of runs share: line 2 of the header, tabs, rows of a list, a history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from audit import gate
from audit.core.diagnosis import told
from audit.core.gate import Code, Proof, WindowGate
from audit.core.phrases import sentence_case
from audit.core.verdict import changes
from audit.models import Verdict
from console import links
from console.pages.frame import contexts as c
from console.pages.frame.charts import LedgerBar
from console.phrases import standing_words, window_words
from console.reads import reruns
from console.reads.runs import Ledger, Scope, VerdictSummary, ledgers_of_runs, verdicts_told
from ingest.core.ids import RunId
from ingest.models import Run


def strip(seen: Scope, durability: str = "") -> c.Strip:
    """Line 2 of the header."""
    run, window = seen.run, seen.window
    contract = window.contract if window else run.contract
    terms = seen.contract
    several = seen.standing is not None and seen.standing.windows > 1
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
        gate=gate_word(seen.gate is not None and seen.gate.decision.granted),
        gate_left=seen.gate.left if seen.gate else None,
        durability=durability,
        window=window.number if window else None,
        beside=_beside(seen) if several else (),
        whole=standing_words(seen.standing) if several and seen.standing else "",
        worst=(seen.standing.worst or "") if several and seen.standing else "",
        windows_url=links.run_url(seen.stream, run.name, "windows"),
        rerun=seen.rerun,
        place=_place(seen),
    )


def proven_by(seen: Scope) -> int | None:
    """The rerun by whose PASS the window is open."""
    proof = _proof(seen)
    return proof.rerun if proof else None


def _proof(seen: Scope) -> Proof | None:
    proof = seen.gate.gate.proof if seen.gate and seen.gate.gate else None
    return proof if proof is not None and seen.gate and seen.gate.decision.granted else None


def _place(seen: Scope) -> c.WindowPlace | None:
    """Which run is read in the window's place; of a fresh run, whose place it takes."""
    taken = superseded(seen.gate)
    if taken:
        return c.WindowPlace("Superseded:", taken, "is read in its place.")
    proof = _proof(seen)
    if proof is not None:
        url = links.rerun_url(seen.stream, seen.run.name, proof.window, proof.rerun)
        return c.WindowPlace(
            f"Window {proof.window}, proven by", c.Link(f"rerun {proof.rerun} ({proof.verdict})", url), ""
        )
    first = seen.run.supersedes
    if first is None:
        return _to_be_taken(seen)
    name = f"{window_words(first.number)} of {seen.stream}/{first.run.name}"
    url = links.window_url(seen.stream, first.run.name, first.number)
    passed = seen.verdict is not None and seen.verdict.state == "PASS"
    words = "Takes the place of" if passed else "Will take, once it has passed, the place of"
    return c.WindowPlace(words, c.Link(name, url), "which stays shut.")


def _to_be_taken(seen: Scope) -> c.WindowPlace | None:
    """Only a window that may not be read has its place taken."""
    if (
        seen.window is None
        or seen.rerun is not None
        or seen.verdict is None
        or (seen.gate and seen.gate.decision.granted)
    ):
        return None
    name = reruns.taken_by(seen.window.id)
    return c.WindowPlace("Its place is taken by", _run_link(name), "once that has passed.") if name else None


def superseded(standing: gate.Standing | None) -> c.Link | None:
    """The run that is read in a window's place."""
    name = standing.gate.superseded_by if standing and standing.gate else None
    return _run_link(name) if name else None


def _run_link(name: str) -> c.Link:
    stream, _, run = name.partition("/")
    return c.Link(name, links.run_url(stream, run))


def _beside(seen: Scope) -> tuple[c.Link, ...]:
    """The windows before and after the one that is looked at, and the newest."""
    if seen.window is None or seen.newest is None:
        return ()
    here, newest = seen.window.number, seen.newest.number
    numbers = {"before": here - 1, "after": here + 1, "newest": newest}
    return tuple(
        c.Link(f"{word}: {number:,}", links.window_url(seen.stream, seen.run.name, number))
        for word, number in numbers.items()
        if 1 <= number <= newest and number != here and not (word == "after" and number == newest)
    )


def rerun_lists(seen: Scope, windows: Sequence[int], most: int) -> dict[int, c.RerunList]:
    """The newest reruns of windows of the run, by window: those that have none are left out."""
    found = reruns.lines_of(windows, most)
    return {of: _rerun_list(seen, lines) for of, lines in found.items()}


def _rerun_list(seen: Scope, lines: Sequence[reruns.RerunLine]) -> c.RerunList:
    first = lines[0].row
    more = links.window_url(seen.stream, seen.run.name, first.number)
    return c.RerunList(tuple(_rerun_row(seen, line) for line in lines), first.in_all - len(lines), more)


def _rerun_row(seen: Scope, line: reruns.RerunLine) -> c.RerunRow:
    row, verdict = line.row, line.verdict
    return c.RerunRow(
        words=window_words(row.number, row.rerun),
        url=links.rerun_url(seen.stream, seen.run.name, row.number, row.rerun),
        state=row.state,
        verdict=verdict.title if verdict else "NOT JUDGED",
        verdict_name=f"#{verdict.number}" if verdict else "",
        verdict_url=links.verdict_url(seen.stream, seen.run.name, verdict.number) if verdict else "",
        gate=gate_word(line.gate is not None and line.gate.decision.granted),
        gate_left=line.gate.left if line.gate else None,
        plan=row.plan,
        plan_url=links.plan_url(row.plan),
        kind=row.kind,
        contract=f"v{row.contract}",
        who=row.requested_by,
        approved_by=row.approved_by,
        opened_at=row.opened_at,
    )


def gate_word(granted: bool) -> str:
    """The state that a page shows of a gate: what a reader would be answered now, and nothing in between."""
    return "GATE OPEN" if granted else "GATE SHUT"


def gate_line(seen: Scope, standing: gate.Standing | None, verdict: VerdictSummary | None) -> c.GateLine:
    """The gate of a window, as a reader would be answered, with why it is shut."""
    word = gate_word(standing is not None and standing.decision.granted)
    if standing is None or standing.gate is None or verdict is None:
        return c.GateLine(word, word, "Not judged yet. Until it says PASS, nothing downstream can read it.")
    name, proof = standing.decision.verdict, standing.gate.proof
    number = int(proof.verdict.rpartition("#")[2]) if proof is not None and proof.verdict == name else verdict.number
    url = links.verdict_url(seen.stream, seen.run.name, number)
    return c.GateLine(
        word,
        word,
        _gate_why(standing, standing.gate, verdict),
        standing.gate.open_until,
        standing.gate.checked_at,
        c.Link(name or "", url),
        standing.left,
    )


def _gate_why(standing: gate.Standing, row: WindowGate, verdict: VerdictSummary) -> str:
    code = standing.decision.code
    if code is Code.OPEN and row.proof is not None and row.state == "FAIL":
        said = sentence_case(row.proof.said())
        return f"{said}. The window's own verdict is {verdict.title}. Readers can read."
    if code is Code.OPEN:
        ended = row.ended
        if ended is not None:
            return f"The latest verdict is PASS. {sentence_case(ended.said())}. Readers can read."
        return "The latest verdict is PASS and its basis was checked. Readers can read."
    if code is Code.UNAVAILABLE:
        return "Its lease ran out and was not renewed."
    if code is Code.NOT_CLOSED:
        return standing.decision.detail
    if row.superseded_by:
        return f"The latest verdict is {verdict.title}. {row.superseded_by} is read in its place."
    return row.shut_why or f"The latest verdict is {verdict.title}. Nothing downstream can read it."


def tabs(seen: Scope, here: str, receipts: int | None = None) -> tuple[c.Tab, ...]:
    """The tabs of a run; each keeps to the window that is looked at when it is not the newest."""

    def tab(text: str, part: str, count: int | None = None) -> c.Tab:
        url = links.with_query(links.run_url(seen.stream, seen.run.name, part), window=seen.older)
        return c.Tab(text, url, part == here, count)

    lines = [
        tab("Overview", "run"),
        tab("Sources", "sources"),
        tab("Receipts", "receipts", receipts),
        tab("Basis", "basis"),
        tab("Gate", "gate"),
        c.Tab("Windows", links.run_url(seen.stream, seen.run.name, "windows"), here == "windows"),
        tab("Lineage", "lineage"),
    ]
    if seen.window:
        url = links.window_url(seen.stream, seen.run.name, seen.window.number)
        lines.append(c.Tab(f"Window {seen.window.number}", url, here == "window"))
    if seen.window and seen.rerun:
        url = links.rerun_url(seen.stream, seen.run.name, seen.window.number, seen.rerun)
        lines.append(c.Tab(f"Rerun {seen.rerun}", url, here == "rerun"))
    return tuple(lines)


def rows(runs: Sequence[Run]) -> tuple[c.RunRow, ...]:
    """Rows of a list of runs: three queries, however many runs and windows."""
    numbers = [run.id for run in runs]
    standing = gate.standing([RunId(number) for number in numbers])
    ledgers, told_of = ledgers_of_runs(numbers), verdicts_told(standing.values())
    return tuple(
        _row(run, standing.get(RunId(run.id)), told_of, LedgerBar(*ledgers.get(run.id, Ledger()))) for run in runs
    )


def _row(run: Run, standing: gate.RunStanding | None, told_of: Mapping[int, Verdict], bar: LedgerBar) -> c.RunRow:
    verdict = told_of.get(standing.told) if standing and standing.told is not None else None
    return c.RunRow(
        stream=run.stream.name,
        run=run.name,
        url=links.run_url(run.stream.name, run.name),
        state=run.state,
        verdict=run_word(standing),
        why=_run_why(standing, verdict),
        bar=bar,
        opened_at=run.opened_at,
        by=run.opened_by,
        gate=gate_word(standing is not None and standing.granted),
        gate_left=standing.left if standing else None,
    )


def run_word(standing: gate.RunStanding | None) -> str:
    """The worst that stands of a run's windows. PASS is said only where no window is open or waits for its verdict."""
    if standing is None or standing.worst is None:
        return "NOT JUDGED"
    if standing.worst != "PASS":
        return standing.worst
    if standing.not_judged:
        return "PASS SO FAR"
    return "PASS (waived)" if standing.waived else "PASS"


def _run_why(standing: gate.RunStanding | None, verdict: Verdict | None) -> str:
    """Of several windows how each stands; then why, for the first one that failed or is blocked."""
    if standing is None:
        return "no window yet"
    why = told(verdict.body).why if verdict else ""
    if standing.windows > 1:
        stands = standing_words(standing)
        return f"{stands}: {why}" if why and standing.worst != "PASS" else stands
    return why or _unjudged(standing)


def verdict_word(verdict: Verdict) -> str:
    """PASS, PASS (waived), BLOCKED or FAIL."""
    return "PASS (waived)" if verdict.waived and verdict.state == "PASS" else verdict.state


def _unjudged(standing: gate.RunStanding) -> str:
    if standing.going is not None:
        return f"window {standing.going} is open"
    return f"window {standing.newest} is cut, its verdict is awaited"


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
                window=window_words(verdict.win.number, verdict.win.rerun).removeprefix("window "),
                at=verdict.decided_at,
                by=verdict.decided_by,
                since="; ".join(changes(before.body, verdict.body)[:3]) if before else _without_one(verdict),
            )
        )
    return tuple(causes)


def _without_one(verdict: Verdict) -> str:
    """A verdict whose forerunner is not in the list."""
    of = "rerun" if verdict.win.rerun else "window"
    return f"first verdict of the {of}" if getattr(verdict, "is_first", False) else ""


def order_facts(requested_by: str, approved_by: str, *, out_of_order: bool) -> tuple[c.Fact, ...]:
    """Who consented to events of a rerun that come late for their key."""
    if not out_of_order:
        return ()
    return (c.Fact("out of a key's order", f"consented to by {requested_by}, approved by {approved_by}", "outside"),)
