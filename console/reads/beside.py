"""Asking beside the request that wants an answer, once for all who want the same."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Generic, TypeVar

from django.db import connection

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Question(Generic[T]):
    """A question under way, and when it was asked (monotonic)."""

    answer: Future[T]
    at: float

    def patience(self, seconds: float) -> float:
        """Of so many seconds what is left: whoever asks for the same later waits for that, or not at all."""
        return max(seconds - (time.monotonic() - self.at), 0.0)


class Asker(Generic[K, T]):
    """Asks in threads of its own, at most so many at a time: asking must not take the web process, or the database,
    from everybody else."""

    def __init__(self, name: str, at_a_time: int) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._under_way: dict[K, Question[T]] = {}
        self._places = threading.Semaphore(at_a_time)

    def asked(self, key: K, ask: Callable[[], T]) -> Question[T]:
        """The question under way, begun if there is none."""
        with self._lock:
            question = self._under_way.get(key)
            if question is None:
                question = self._under_way[key] = Question(Future(), time.monotonic())
                # a daemon: a process that is told to stop does not wait for a count of millions
                threading.Thread(target=self._ask, args=(key, ask, question), name=self._name, daemon=True).start()
            return question

    def under_way(self, key: K) -> Question[T] | None:
        """The question that was asked already and has no answer yet."""
        with self._lock:
            return self._under_way.get(key)

    def forget(self, key: K) -> None:
        """What is under way began before something changed: the next to want it asks anew."""
        with self._lock:
            self._under_way.pop(key, None)

    def _ask(self, key: K, ask: Callable[[], T], question: Question[T]) -> None:
        with self._places:
            try:
                answer = ask()
            except Exception as error:  # noqa: BLE001 - whoever waits for the answer gets it raised there
                self._end(key, question)
                question.answer.set_exception(error)
            else:
                self._end(key, question)
                question.answer.set_result(answer)
            finally:
                # this thread's own connection; requests keep theirs
                connection.close()

    def _end(self, key: K, question: Question[T]) -> None:
        with self._lock:
            if self._under_way.get(key) is question:
                del self._under_way[key]
