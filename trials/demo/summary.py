"""What the ledger counts at the end, beside what the story told. Reading only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from console.permissions import Role
from ingest.core.reason import Decision, Reason
from trials.demo.airports import FRESH, NAME, STREAM
from trials.demo.ledger import Ledger
from trials.demo.people import WORDS
from trials.demo.story import Joins, Plan
from trials.demo.telling import Teller
from trials.demo.told import Expectations

if TYPE_CHECKING:
    from trials.demo.scenario import Demo

MATCHED, MISSING, AMBIGUOUS = 1, 2, 3


@dataclass(frozen=True)
class RunCounts:
    """One run as the ledger has it."""

    name: str
    state: str
    read: int
    admitted: int
    duplicates: int
    reserialised: int
    quarantined: int
    by_reason: Mapping[Reason, int]
    published: int
    applied: int
    joins: Joins
    items_open: int
    items_resolved: int
    attempts: Mapping[str, int]
    scans: Mapping[str, int]
    seconds: float
    verdicts: tuple[str, ...]


def count_runs(ledger: Ledger) -> list[RunCounts]:
    """Every run of the ledger, in the order they were opened."""
    names = ("receipts", "published", "effects", "items", "attempts_by_state", "scans")
    rows = {name: ledger.by_run(name) for name in names}
    return [
        _run(ledger, run, {name: found.get(run.id, []) for name, found in rows.items()}) for run in ledger.rows("runs")
    ]


def _run(ledger: Ledger, run: Any, rows: Mapping[str, list[Any]]) -> RunCounts:
    effects = {row.state: int(row.n) for row in rows["effects"]}
    items = {row.state: int(row.n) for row in rows["items"]}
    verdicts = ledger.rows("verdicts", stream=run.stream, run_name=run.run_name)
    return RunCounts(
        name=f"{run.stream}/{run.run_name}",
        state=run.state,
        read=int(run.records),
        admitted=int(run.admitted),
        duplicates=int(run.duplicates),
        reserialised=int(run.reserialised),
        quarantined=int(run.quarantined),
        by_reason={Reason(row.reason): int(row.n) for row in rows["receipts"] if row.decision == Decision.QUARANTINED},
        published=sum(int(row.n) for row in rows["published"]),
        applied=sum(effects.values()),
        joins=Joins(effects.get(MATCHED, 0), effects.get(MISSING, 0), effects.get(AMBIGUOUS, 0)),
        items_open=items.get("OPEN", 0),
        items_resolved=items.get("RESOLVED", 0),
        attempts={row.state: int(row.attempts) for row in rows["attempts_by_state"]},
        scans={row.answer: int(row.n) for row in rows["scans"]},
        seconds=(run.last_at - run.first_at).total_seconds() if run.last_at else 0.0,
        verdicts=tuple(f"#{row.number} {row.state}" for row in verdicts),
    )


def compare(
    runs: Iterable[RunCounts], plans: Mapping[str, Plan], joins: Mapping[str, Joins], told: Expectations
) -> None:
    """Holds the ledger's counts against the plans: every record became what it was told to become."""
    found = {run.name: run for run in runs}
    for name, plan in plans.items():
        if not told.holds(f"{name} is in the ledger", name in found):
            continue
        run = found[name]
        told.point(f"{name}: read", len(plan.records), run.read)
        told.point(f"{name}: admitted", plan.events, run.admitted)
        told.point(f"{name}: duplicates", plan.decided(Decision.DUPLICATE), run.duplicates)
        told.point(f"{name}: of them serialised another way", plan.reserialised(), run.reserialised)
        told.point(f"{name}: quarantined", _reasons(_told_reasons(plan)), _reasons(run.by_reason))
        if run.verdicts[-1:] and run.verdicts[-1].endswith("PASS"):
            told.point(f"{name}: published", plan.events, run.published)
            told.point(f"{name}: applied", plan.events, run.applied)
            if name in joins:
                told.point(f"{name}: joined", joins[name], run.joins)


def _told_reasons(plan: Plan) -> dict[Reason, int]:
    return {reason: count for (decision, reason), count in plan.expected().items() if decision is Decision.QUARANTINED}


def _reasons(counts: Mapping[Reason, int]) -> str:
    return ", ".join(f"{reason.name} {count}" for reason, count in sorted(counts.items())) or "none"


# ---- in words -------------------------------------------------------------------------------------------------------

HEADS = (
    "run",
    "read",
    "admitted",
    "duplicate",
    "quarantined",
    "published",
    "applied",
    "matched",
    "missing",
    "ambiguous",
    "verdicts",
)


def lines(runs: list[RunCounts]) -> list[str]:
    """The tables of the summary."""
    return [*_table([HEADS, *map(_row, runs)], left=1), "", *_quarantine(runs), "", *_publishes(runs)]


def _row(run: RunCounts) -> tuple[str, ...]:
    joined = (run.joins.matched, run.joins.missing, run.joins.ambiguous)
    counts = (run.read, run.admitted, run.duplicates, run.quarantined, run.published, run.applied)
    shown = [f"{count:,}" for count in counts] + [f"{n:,}" if sum(joined) else "-" for n in joined]
    return (run.name, *shown, ", ".join(run.verdicts) or "not judged")


def _table(rows: list[tuple[str, ...]], left: int = 0) -> list[str]:
    """Columns of text; numbers stand right, the first column and the last `left` ones stand left."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    texts = {0, *range(len(widths) - left, len(widths))}
    return [
        "  ".join(
            text.ljust(w) if n in texts else text.rjust(w) for n, (text, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _quarantine(runs: list[RunCounts]) -> Iterable[str]:
    """By reason, one line a reason, one column a run that has any."""
    some = [run for run in runs if run.by_reason]
    if not some:
        return ["nothing was quarantined"]
    reasons = sorted({reason for run in some for reason in run.by_reason})
    heads = ("quarantined", *(run.name for run in some))
    rows = [(reason.name, *(f"{run.by_reason.get(reason, 0):,}" for run in some)) for reason in reasons]
    items = ("items open / resolved", *(f"{run.items_open:,} / {run.items_resolved:,}" for run in some))
    return _table([heads, *rows, items])


def _publishes(runs: list[RunCounts]) -> Iterable[str]:
    for run in runs:
        ended = ", ".join(f"{count:,} {state}" for state, count in sorted(run.attempts.items()))
        looked = ", ".join(f"{count:,} {answer}" for answer, count in sorted(run.scans.items()))
        rate = f"; {run.read:,} records admitted in {run.seconds:.0f} s" if run.seconds > 1 else ""
        yield f"{run.name}: publishes {ended or 'none'}{f', reconciled: {looked}' if looked else ''}{rate}"


def timings(took: Mapping[str, float], whole: float) -> str:
    """How long each chapter took."""
    return "\n".join([*(f"{seconds:7.1f} s  {title}" for title, seconds in took.items()), f"{whole:7.1f} s  in all"])


@dataclass(frozen=True)
class Place:
    """A page of the console that is worth a look, and why."""

    path: str
    why: str


def pages(play: Demo) -> tuple[Place, ...]:
    """What the demo leaves to be looked at."""
    left, lost = f"/runs/flights/{play.left.run_name}/", f"/runs/{STREAM}/{NAME}/"
    return (
        Place("/", f"Now: plan {play.waiting} waits for the approver, {play.left.run_name} for the operator"),
        Place(left, "a run that is BLOCKED, and by what"),
        Place(f"/runs/ticks/{play.ticking}/windows/", "windows that follow one another by the clock"),
        Place(f"{lost}windows/1/", "a window that is FAIL, whose place another run took"),
        Place(f"/runs/{STREAM}/{FRESH}/", "that run, which read it again and is PASS"),
        Place(f"{lost}windows/2/", "a window with a rerun: what was set aside is admitted after all"),
        Place(f"{lost}windows/2/reruns/1/", "that rerun, with a verdict and a gate of its own"),
        Place(f"{lost}lineage", "windows, reruns, verdicts and what took whose place, drawn"),
        Place(f"{lost}gate", "what a reader is answered, window by window"),
        Place("/plans/", "all plans: who asked, who approved, what came of it"),
        Place(f"/plans/{play.waiting}", "the plan that waits: what is signed, and what has changed since"),
    )


def what_next(play: Demo, teller: Teller) -> Iterable[str]:
    """Sign-ins, and what is worth trying."""
    yield "sign in as      password        who"
    for one in play.people:
        yield f"{one.name:<16}{one.password:<16}{one.role.value}: {WORDS[one.role]}"
    run = f"flights/{play.left.run_name}"
    yield ""
    yield f"Try: {run} is BLOCKED. As operator, reconcile it and resolve its items: the next verdict comes by itself."
    approver = play.sign_in(Role.APPROVER).name
    yield f"Or let its items stand: sign in as {approver}. Now says that plan {play.waiting} waits for you."
    yield ""
    places = pages(play)
    width = max(len(place.path) for place in places)
    for place in places:
        yield f"  {play.stack.url}{place.path:<{width}}   {place.why}"
    yield ""
    yield "Or, in another terminal:"
    tries = (
        (("run", "show", run), "the checks now, and the sentence"),
        (("gate", run, "--", "echo", "reading"), "a command that runs on PASS only"),
        (("reconcile", run, "--wait"), "fence first, then look"),
        (("quarantine", "list", run), "what was set aside, and why"),
        (("plan", "show", str(play.waiting)), "what waits for a second person"),
        (("plan", "list"), "all plans: what was asked for, and what came of it"),
        (("run", "windows", f"ticks/{play.ticking}"), "windows that follow one another by the clock"),
        (("run", "show", f"{STREAM}/{NAME}", "--window", "2"), "a window and its rerun"),
        (("status",), "the parts that run"),
    )
    for words, why in tries:
        yield f"  {teller.typed(words)}   # {why}"
    yield f"  curl -H 'Authorization: Token {play.reader.token}' {play.stack.url}/api/v1/gate/{run}"
    yield ""
    yield "Ctrl-C stops everything."
