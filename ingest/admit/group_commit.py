"""Group commit: what several callers bring while a transaction is under way goes together into the next one.

As databases do with their log. A transaction costs the same for one piece as for many, and callers whose pieces meet at
one lock would only wait for one another.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar, cast

P = TypeVar("P")
R = TypeVar("R")


@dataclass(eq=False)
class _Caller(Generic[P, R]):
    """`called`: its answer or its error is there, or it is its turn to lead."""

    piece: P
    called: threading.Event = field(default_factory=threading.Event)
    settled: bool = False
    answer: R | None = None
    error: Exception | None = None
    alone: bool = False


class GroupCommit(Generic[P, R]):
    """Threads that call `run` at once: the first one leads, the others wait for it, and one of those leads next.

    Args:
        commit: makes pieces durable, all or none: an answer for each, in their order.
        together: of those that wait, in the order they came, how many of the first go into one group; at least one.
        common: errors that say nothing about a piece, so that all of a group have them. After another error each of the
            group is tried alone: what is wrong with one is not another's trouble.
    """

    def __init__(
        self,
        commit: Callable[[Sequence[P]], Sequence[R]],
        together: Callable[[Sequence[P]], int],
        common: tuple[type[Exception], ...] = (),
    ) -> None:
        self._commit = commit
        self._together = together
        self._common = common
        self._lock = threading.Lock()
        self._waiting: list[_Caller[P, R]] = []
        self._led = False

    def run(self, piece: P) -> R:
        """Returns once the piece is durable; raises what `commit` raised. Who leads does one group, then answers."""
        mine: _Caller[P, R] = _Caller(piece)
        with self._lock:
            self._waiting.append(mine)
            leads, self._led = not self._led, True
        if not leads:
            mine.called.wait()
        if not mine.settled:
            self._lead(mine)
        if mine.error is not None:
            raise mine.error
        return cast("R", mine.answer)

    def _lead(self, mine: _Caller[P, R]) -> None:
        """The group at the head, whose first is `mine`. Whatever happens to it, somebody else leads afterwards."""
        group: list[_Caller[P, R]] = []
        try:
            with self._lock:
                group = self._next()
            self._settle(group)
        finally:
            with self._lock:
                back = [caller for caller in group if not caller.settled]
                self._waiting = [caller for caller in [*back, *self._waiting] if caller is not mine]
                following = self._waiting[:1]
                self._led = bool(following)
            for caller in [*(c for c in group if c.settled), *following]:
                caller.called.set()

    def _next(self) -> list[_Caller[P, R]]:
        alone = next((n for n, caller in enumerate(self._waiting) if caller.alone), len(self._waiting))
        fitting = self._together([caller.piece for caller in self._waiting[: max(1, alone)]])
        group, self._waiting = self._waiting[:fitting], self._waiting[fitting:]
        return group

    def _settle(self, group: Sequence[_Caller[P, R]]) -> None:
        try:
            answers = self._commit([caller.piece for caller in group])
        except Exception as error:  # noqa: BLE001 - whose piece it is, raises it
            if len(group) > 1 and not isinstance(error, self._common):
                for caller in group:
                    caller.alone = True
                self._settle(group[:1])
                return
            for caller in group:
                caller.error, caller.settled = error, True
        else:
            for caller, answer in zip(group, answers, strict=True):
                caller.answer, caller.settled = answer, True
