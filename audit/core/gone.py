"""What a plan was to read again and is gone from the inbox, and what stands in for it: docs/windows.md. Pure.

Only what lies below the log's start is gone: a record that was received and is missing behind it contradicts the log.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from audit.core import facts as f
from audit.core import phrases as w
from audit.core.basis import other_database
from audit.core.check import RERUN, Cause, Severity

#: Offsets [start, end) of a source.
Part = tuple[int, int]
#: Parts of a range that are named, the first ones.
MOST_NAMED = 3


@dataclass(frozen=True)
class GoneRange:
    """Of [start, end) of an inbox source, which somebody asks for: the offsets below `gone_to` are gone.

    `receipts` of the origin stand in for so many of them, and `empty` held no record, by a gap that was proven while
    they were there. `neither`: the parts that nothing says anything of, so nobody ever received what was there.
    `since`: when it was first seen that a part of this is gone; None: nobody has seen it before.
    """

    label: str
    start: int
    end: int
    gone_to: int
    receipts: int
    empty: int
    neither: Sequence[Part] = ()
    since: datetime | None = None

    @property
    def offsets(self) -> int:
        return self.gone_to - self.start

    @property
    def never(self) -> int:
        """How many offsets were never received."""
        return _size(self.neither)

    @property
    def stands_in(self) -> bool:
        """Whether something stands in for each offset, and the ledger counts them alike."""
        return not self.neither and self.receipts + self.empty == self.offsets


def said(gone: GoneRange) -> str:
    """One sentence about one source, without its full stop."""
    of = f"{w.number(gone.offsets)} of {w.number(gone.end - gone.start)} offsets of {gone.label}"
    since = f", seen since {w.moment(gone.since)} UTC" if gone.since is not None else ""
    parts = [f"{of} {w.be(gone.offsets)} gone from the inbox{since}"]
    parts.append(f"{'a receipt stands' if gone.receipts == 1 else 'receipts stand'} in for {w.number(gone.receipts)}")
    if gone.empty:
        parts.append(f"{w.number(gone.empty)} held no record")
    return "; ".join([*parts, *never_received(gone.neither)])


def never_received(parts: Sequence[Part]) -> Iterable[str]:
    """What is gone and has no receipt, by its offsets; nothing where there is none."""
    n = _size(parts)
    if n:
        more = f" and {w.count(len(parts) - MOST_NAMED, 'more part')}" if len(parts) > MOST_NAMED else ""
        named = ", ".join(_offsets(*part) for part in parts[:MOST_NAMED])
        yield f"{w.number(n)} {w.be(n)} gone and {w.were(n)} never received: {named}{more}"


def _size(parts: Sequence[Part]) -> int:
    return sum(end - start for start, end in parts)


def _offsets(start: int, end: int) -> str:
    """Both named offsets are meant."""
    return f"offset {start}" if end == start + 1 else f"offsets {start}-{end - 1}"


def refusal(
    failed: Mapping[str, Any] | None, was: f.DatabaseIdentity | None, is_: f.DatabaseIdentity, empty: int = 0
) -> str:
    """Why nothing of a window stands in for what is gone; "" that it does. `failed`: the body of its newest verdict;
    `was`: the database that its basis is of; `empty`: how much of what is gone lies in proven gaps.

    What the ledger says is worth what its seals and its server are. And where a second reader once found records in a
    gap of the window, no proof of its gaps is believed that nobody can read again.
    """
    checks = (failed or {}).get("checks", ())
    if any(x.get("check") == SEALED and x.get("severity") == Severity.FAIL for x in checks):
        return f"the window failed by {SEALED}"
    if empty and any(REFUTED in cause.get("text", "") for x in checks for cause in x.get("causes", ())):
        return f"{w.count(empty, 'offset')} {w.be(empty)} in gaps, of a window {REFUTED_GAPS}"
    if was is None:
        return "nobody knows in which database the window was"
    return "; ".join(cause.text for cause in other_database(was, is_))


SEALED = "SEALED"
#: How ACCOUNTED says it.
REFUTED = "in a gap where a second reader found records"
REFUTED_GAPS = "in whose gaps a second reader found records"


def accounted_for(gone: f.StandIn) -> bool:
    """Whether something stands in for each offset that is gone."""
    return not (gone.neither or gone.unlike or gone.other_roots or gone.refused) and (
        gone.receipts + gone.empty == gone.offsets and gone.kept + gone.unkept == gone.receipts
    )


def unaccounted(gone: f.StandIn | None) -> int:
    """Offsets that are gone and that nothing stands in for."""
    if gone is None or accounted_for(gone):
        return 0
    return gone.offsets if gone.refused or gone.other_roots else max(gone.neither + gone.unlike, 1)


def causes(label: str, gone: f.StandIn | None) -> Iterable[Cause]:
    """Why what is gone of a plan's source is not accounted for: of ACCOUNTED."""
    if gone is None or accounted_for(gone):
        return
    told = [*_causes(label, gone)]
    yield from told or [Cause(f"receipts that stand in for {label} are counted otherwise", RERUN, Severity.FAIL)]


def _causes(label: str, gone: f.StandIn) -> Iterable[Cause]:
    fail = Severity.FAIL
    if gone.neither:
        n = gone.neither
        yield Cause(f"{w.count(n, 'offset')} of {label} {w.be(n)} gone and {w.were(n)} never received", RERUN, fail)
    if gone.other_roots:
        n = gone.other_roots
        text = f"{w.count(n, 'batch', 'batches')} whose receipts stand in for {label} {w.have(n)} another digest"
        yield Cause(text, RERUN, fail)
    if gone.unlike:
        n = gone.unlike
        stand = "stands" if n == 1 else "stand"
        yield Cause(f"{w.count(n, 'receipt')} that {stand} in for {label} {w.be(n)} not what is kept", RERUN, fail)
    if gone.refused:
        yield Cause(f"nothing stands in for what is gone of {label}: {gone.refused}", RERUN)
