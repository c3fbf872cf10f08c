"""BALANCED, EXPECTED, QUARANTINE, NOT_EMPTY: what became of what was read?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from audit.core import facts as f
from audit.core import phrases as w
from audit.core.check import RERUN, Act, Cause, Check, CheckName, Severity, judged, not_measured, unmeasured
from audit.core.progress import once_admitted


def balanced(facts: f.WindowFacts, now: datetime) -> Check:
    name, required = CheckName.BALANCED, "records = admitted + duplicates + quarantined = receipts"
    causes = unmeasured(facts, now, "counts")
    if causes or not facts.counts:
        return not_measured(name, required, causes, facts.counts)
    c = facts.counts.value
    observed = f"{w.number(c.records)} = {w.number(c.admitted)} + {w.number(c.duplicates)} + {w.number(c.quarantined)}"
    return judged(name, required, observed, facts.counts, _unbalanced(c, facts.publishing))


def _unbalanced(c: f.Counts, publishing: f.MeasuredValue[f.PublishFacts] | None) -> Iterable[Cause]:
    fail, total = Severity.FAIL, c.admitted + c.duplicates + c.quarantined
    if c.records != total:
        text = f"{w.count(c.records, 'record')} {w.be(c.records)} counted as {w.number(total)} decisions"
        yield Cause(text, RERUN, fail)
    if c.records > c.receipts:
        n = c.records - c.receipts
        yield Cause(f"{w.count(n, 'counted record')} {w.have(n)} no receipt", RERUN, fail)
    elif c.records < c.receipts:
        n = c.receipts - c.records
        yield Cause(f"{w.count(n, 'receipt')} {w.be(n)} in no batch's count", RERUN, fail)
    elif n := _swapped(c):
        yield Cause(f"{w.count(n, 'receipt')} {w.be(n)} counted under another decision", RERUN, fail)
    if publishing and publishing.value.events != c.receipts_admitted:
        n = abs(publishing.value.events - c.receipts_admitted)
        yield Cause(f"{w.count(n, 'admitted receipt')} and the events do not agree", RERUN, fail)


def _swapped(c: f.Counts) -> int:
    pairs = (
        (c.admitted, c.receipts_admitted),
        (c.duplicates, c.receipts_duplicate),
        (c.quarantined, c.receipts_quarantined),
    )
    return max(abs(counted - found) for counted, found in pairs)


def expected(facts: f.WindowFacts, now: datetime) -> Check | None:
    """None when nobody declared totals and the contract does not require them: then it is not listed."""
    name, required = CheckName.EXPECTED, "the declared totals, per class"
    if facts.totals and not facts.totals.value and (facts.window.is_rerun or not facts.rules.totals_required):
        return None  # what a producer sends is declared for its window, and a rerun brings what its plan names
    causes = unmeasured(facts, now, "totals", "counts")
    if causes or not (facts.totals and facts.counts):
        return not_measured(name, required, causes, facts.totals)
    declared, seen = facts.totals.value, facts.counts.value.by_class
    if not declared:
        is_open = facts.window.state is f.WindowState.OPEN  # after the cut totals stand
        missing = Cause("no totals are declared", Act("declare the totals", "totals") if is_open else RERUN)
        return judged(name, required, "none declared", facts.totals, [missing])
    observed = w.listed([f"{w.number(seen.get(c, 0))} of {w.number(declared[c])} {c}" for c in sorted(declared)])
    classes = sorted({*declared, *(c for c in seen if seen[c])})
    broken = [_unequal(c, declared.get(c, 0), seen.get(c, 0)) for c in classes if declared.get(c, 0) != seen.get(c, 0)]
    return once_admitted(facts, judged(name, required, observed, facts.totals, broken))


def _unequal(event_class: str, declared: int, seen: int) -> Cause:
    text = f"{w.count(declared, event_class)} declared, {w.number(seen)} seen"
    return Cause(text, RERUN)  # all is admitted, so the window is cut, and after the cut totals stand


def quarantine(facts: f.WindowFacts, now: datetime) -> Check:
    rules = facts.rules
    name = CheckName.QUARANTINE
    required = f"at most {w.number(rules.quarantine_open_max)} open, {w.number(rules.discard_max)} discarded"
    causes = unmeasured(facts, now, "quarantine")
    if causes or not facts.quarantine:
        return not_measured(name, required, causes, facts.quarantine)
    q = facts.quarantine.value
    observed = f"{w.number(q.open)} open, {w.number(q.resolved)} resolved, {w.number(q.discarded)} discarded"
    return judged(name, required, observed, facts.quarantine, _quarantined(q, rules))


def _quarantined(q: f.Quarantine, rules: f.CloseRules) -> Iterable[Cause]:
    if q.open > rules.quarantine_open_max:
        allowed = f" ({w.number(rules.quarantine_open_max)} allowed)" if rules.quarantine_open_max else ""
        items = "the item" if q.open == 1 else f"the {w.number(q.open)} items"
        text = f"{w.count(q.open, 'quarantine item')} {w.be(q.open)} open{allowed}"
        yield Cause(text, Act(f"resolve {items}", "resolve"))
    if q.discarded > rules.discard_max:
        said = f"{w.count(q.discarded, 'quarantine item')} {w.be(q.discarded)} discarded"
        text = f"{said} ({w.number(rules.discard_max)} allowed)"
        yield Cause(text, RERUN)
    if q.unsigned:
        text = f"{w.count(q.unsigned, 'resolution')} name{'s' * (q.unsigned == 1)} no person or no reason"
        yield Cause(text, RERUN)


def not_empty(facts: f.WindowFacts, now: datetime) -> Check:
    """Zero events prove nothing (S1, S6)."""
    name, classes = CheckName.NOT_EMPTY, facts.rules.required
    required = f"something admitted of {w.listed(classes)}" if classes else "something admitted"
    causes = unmeasured(facts, now, "counts")
    if causes or not facts.counts:
        return not_measured(name, required, causes, facts.counts)
    c = facts.counts.value
    if facts.window.is_rerun:
        return _rerun_not_empty(facts, facts.counts)
    if facts.rules.empty_passes and _nothing_came(c):
        return judged(name, f"{required}, or no record at all", "no record", facts.counts)
    broken = [Cause(text, RERUN) for text in _empty(c, facts.rules.required)]
    check = judged(name, required, f"{w.number(c.receipts_admitted)} admitted", facts.counts, broken)
    return once_admitted(facts, check) if broken else check


def _rerun_not_empty(facts: f.WindowFacts, counts: f.MeasuredValue[f.Counts]) -> Check:
    """What its plan brought is events now, or was events already; which classes of them is its plan's to say."""
    c = counts.value
    observed = f"{w.number(c.receipts_admitted)} admitted, {w.number(c.receipts_duplicate)} known already"
    none = [Cause(text, RERUN) for text in _empty(c, ()) if not c.receipts_duplicate]
    check = judged(CheckName.NOT_EMPTY, "something admitted, or known already", observed, counts, none)
    return once_admitted(facts, check) if none else check


def _nothing_came(c: f.Counts) -> bool:
    """No record at all. 0 admitted of 500 that were read is not empty: somebody has to see what became of them."""
    return c.records == c.receipts == 0


def _empty(c: f.Counts, required: Sequence[str]) -> Iterable[str]:
    if c.receipts_admitted == 0:
        rest = [w.count(c.duplicates, "duplicate")] if c.duplicates else []
        rest += [f"{w.number(c.quarantined)} quarantined"] if c.quarantined else []
        yield ", ".join(["0 admitted", *rest])
        return
    for event_class in required:
        if not c.by_class.get(event_class):
            yield f"0 {event_class} admitted"
