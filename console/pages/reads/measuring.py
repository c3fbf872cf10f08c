"""Measuring a window beside the request that wants it, once for all who watch it.

Counting every receipt of a window takes as long as there are receipts, and a page may not. So a page waits a moment; if
the measurement is not there by then it shows the last one, with its age, or says that it is being measured. Where a
moment is known not to be enough, nobody waits.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass

from django.db import connection

from audit import close
from audit.core.verdict import Verdict

FRESH = 2.0  # seconds; what took longer to measure is fresh for five times as long
USABLE = 60.0  # an older measurement is not shown while a new one is made
MOMENT, PATIENCE = 0.1, 1.0  # how long a page waits with, and without, something to show
MOST_KEPT = 64


@dataclass(frozen=True, slots=True)
class _Kept:
    verdict: Verdict
    at: float
    fresh_until: float
    took: float

    @property
    def patience(self) -> float:
        """The next measurement takes about as long as the last one."""
        return MOMENT if self.took <= MOMENT else 0.0


@dataclass(frozen=True, slots=True)
class _Asked:
    answer: Future[Verdict]
    at: float

    def patience(self, now: float) -> float:
        """Somebody has waited for it already, so the next ones wait for what is left of that, or not at all."""
        return max(PATIENCE - (now - self.at), 0.0)


_lock = threading.Lock()
_kept: dict[int, _Kept] = {}
_under_way: dict[int, _Asked] = {}
# Two at most: measuring must not take the web process, or the database, from everybody else.
_places = threading.Semaphore(2)


def measured(window: int) -> Verdict | None:
    """The checks as measured last; None while the first measurement goes on. Raises what measuring raised."""
    begun = time.monotonic()
    kept = _kept.get(window)
    if kept is not None and begun < kept.fresh_until:
        return kept.verdict
    shown = kept if kept is not None and begun - kept.at < USABLE else None
    asked = _asked(window)
    try:
        return asked.answer.result(timeout=shown.patience if shown else asked.patience(begun))
    except NotYet:
        return shown.verdict if shown else None


def forget(window: int) -> None:
    """After an act on a window its next page is measured anew."""
    _kept.pop(window, None)


def _asked(window: int) -> _Asked:
    """The measurement under way, begun if there is none."""
    with _lock:
        found = _under_way.get(window)
        if found is None:
            found = _under_way[window] = _Asked(Future(), time.monotonic())
            # a daemon: a process that is told to stop does not wait for a count of millions
            threading.Thread(target=_measure, args=(window, found.answer), name="measuring", daemon=True).start()
        return found


def _measure(window: int, answer: Future[Verdict]) -> None:
    with _places:
        begun = time.monotonic()
        try:
            verdict = close.checks_now(window)
        except Exception as error:  # noqa: BLE001 - whoever waits for the answer gets it raised there
            _end(window)
            answer.set_exception(error)
        else:
            _end(window, verdict, begun)
            answer.set_result(verdict)
        finally:
            # this thread's own connection; requests keep theirs
            connection.close()


def _end(window: int, verdict: Verdict | None = None, begun: float = 0.0) -> None:
    """Nothing is under way any more; what was measured is kept."""
    ended = time.monotonic()
    with _lock:
        _under_way.pop(window, None)
        if verdict is None:
            return
        if len(_kept) >= MOST_KEPT:
            _kept.clear()
        took = ended - begun
        _kept[window] = _Kept(verdict, ended, ended + max(FRESH, 5 * took), took)
