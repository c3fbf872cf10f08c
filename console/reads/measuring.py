"""Measuring a window beside the request that wants it, once for all who watch it.

Counting every receipt of a window takes as long as there are receipts, and a page may not. So a page waits a moment; if
the measurement is not there by then it shows what was counted last, by whichever process, with its age. What is older
than ten seconds is said to be measured anew, and offers nothing to do: what it asks for may be done. Where a moment is
known not to be enough, nobody waits.
"""

from __future__ import annotations

from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass

from audit import now
from audit.core.verdict import Verdict
from console.reads.beside import Asker
from ingest.core.ids import WindowId

FRESH = 2.0  # seconds; what took longer to measure is fresh for five times as long, up to ANEW
ANEW = 10.0  # what is older than this is shown as being measured anew
USABLE = 60.0  # what is older than this is not shown
MOMENT, PATIENCE = 0.1, 1.0  # how long a page waits with, and without, something to show


@dataclass(frozen=True, slots=True)
class ShownChecks:
    """Checks as they were at `verdict.judged_at`. `anew`: too old to act on, and being measured again."""

    verdict: Verdict
    anew: bool = False


#: Two at most: each may count millions.
_asker: Asker[WindowId, Verdict] = Asker("measuring", 2)


def measured(window: WindowId) -> ShownChecks | None:
    """The checks as counted last; None while nothing can be shown yet. Raises what measuring raised."""
    found = now.kept_checks(window)
    kept, unchanged = found if found is not None else (None, False)
    if kept is not None and unchanged and kept.age < _fresh(kept):
        return ShownChecks(kept.verdict())
    shown = kept if kept is not None and kept.age < USABLE else None
    asked = _asker.asked(window, lambda: now.checks_now(window))
    try:
        return ShownChecks(asked.answer.result(timeout=_patience(shown) if shown else asked.patience(PATIENCE)))
    except NotYet:
        return ShownChecks(shown.verdict(), anew=shown.age > ANEW) if shown else None


def _fresh(kept: now.KeptFacts) -> float:
    return max(FRESH, min(5 * kept.took, ANEW))


def _patience(kept: now.KeptFacts) -> float:
    """The next measurement takes about as long as the last one."""
    return MOMENT if kept.took <= MOMENT else 0.0


def forget(window: WindowId) -> None:
    """After an act on a window its next page is measured anew, by whichever process."""
    _asker.forget(window)
    now.forget(window)
