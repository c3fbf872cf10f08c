"""Measuring a window beside the request that wants it, once for all who watch it.

Counting every receipt of a window takes as long as there are receipts, and a page may not. So a page waits a moment; if
the measurement is not there by then it shows what was counted last, by whichever process, with its age. What is older
than ten seconds is said to be measured anew, and offers nothing to do: what it asks for may be done. Where a moment is
known not to be enough, nobody waits.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass

from django.db import connection

from audit import now
from audit.core.verdict import Verdict
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


@dataclass(frozen=True, slots=True)
class _Measurement:
    answer: Future[Verdict]
    at: float

    def patience(self, clock: float) -> float:
        """Somebody has waited for it already, so the next ones wait for what is left of that, or not at all."""
        return max(PATIENCE - (clock - self.at), 0.0)


_lock = threading.Lock()
_under_way: dict[WindowId, _Measurement] = {}
# Two at most: measuring must not take the web process, or the database, from everybody else.
_places = threading.Semaphore(2)


def measured(window: WindowId) -> ShownChecks | None:
    """The checks as counted last; None while nothing can be shown yet. Raises what measuring raised."""
    found = now.kept_checks(window)
    kept, unchanged = found if found is not None else (None, False)
    if kept is not None and unchanged and kept.age < _fresh(kept):
        return ShownChecks(kept.verdict())
    shown = kept if kept is not None and kept.age < USABLE else None
    asked = _asked(window)
    try:
        return ShownChecks(asked.answer.result(timeout=_patience(shown) if shown else asked.patience(time.monotonic())))
    except NotYet:
        return ShownChecks(shown.verdict(), anew=shown.age > ANEW) if shown else None


def _fresh(kept: now.KeptFacts) -> float:
    return max(FRESH, min(5 * kept.took, ANEW))


def _patience(kept: now.KeptFacts) -> float:
    """The next measurement takes about as long as the last one."""
    return MOMENT if kept.took <= MOMENT else 0.0


def forget(window: WindowId) -> None:
    """After an act on a window its next page is measured anew, by whichever process."""
    with _lock:
        _under_way.pop(window, None)  # what is under way began before the act
    now.forget(window)


def _asked(window: WindowId) -> _Measurement:
    """The measurement under way, begun if there is none."""
    with _lock:
        found = _under_way.get(window)
        if found is None:
            found = _under_way[window] = _Measurement(Future(), time.monotonic())
            # a daemon: a process that is told to stop does not wait for a count of millions
            threading.Thread(target=_measure, args=(window, found), name="measuring", daemon=True).start()
        return found


def _measure(window: WindowId, asked: _Measurement) -> None:
    with _places:
        try:
            verdict = now.checks_now(window)
        except Exception as error:  # noqa: BLE001 - whoever waits for the answer gets it raised there
            _end(window, asked)
            asked.answer.set_exception(error)
        else:
            _end(window, asked)
            asked.answer.set_result(verdict)
        finally:
            # this thread's own connection; requests keep theirs
            connection.close()


def _end(window: WindowId, asked: _Measurement) -> None:
    with _lock:
        if _under_way.get(window) is asked:
            del _under_way[window]
