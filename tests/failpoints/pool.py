"""Stories told three at a time: most of a crash test is waiting, and each has streams and processes of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from django.db import connections

from stack import Stack
from tests.failpoints.ground import Ground
from tests.failpoints.processes import Workers

GetGround = Callable[..., Ground]
Story = Callable[[GetGround], None]
AT_ONCE = 3


class Grounds:
    """The streams of one teller, by their settings. One that a story left unfinished is not used again."""

    def __init__(self, stack: Stack, workers: Workers) -> None:
        self._stack = stack
        self._workers = workers
        self._made: dict[tuple[Any, ...], Ground] = {}

    def get(self, fresh: bool = False, **settings: Any) -> Ground:
        """The stream with these settings: made at the first asking, and where the story spoils it (`fresh`)."""
        if fresh:
            return Ground(self._stack, self._workers, **settings)
        key = tuple(sorted(settings.items()))
        there = self._made.get(key)
        if there is None or (there.run_name and there.verdicts()[-1] != "PASS"):
            self._made[key] = there = Ground(self._stack, self._workers, **settings)
        return there


class Pool:
    """Tells stories in threads, in the order given; a test asks how its own went."""

    def __init__(self, stack: Stack, stories: Iterable[tuple[str, Story]]) -> None:
        self._stack = stack
        self._mine = threading.local()
        self._all: list[Workers] = []
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="stories")
        self._told: dict[str, Future[None]] = {name: self._pool.submit(self._tell, story) for name, story in stories}

    def outcome(self, name: str) -> None:
        """Waits for the story; raises what it raised."""
        self._told[name].result()

    def _tell(self, story: Story) -> None:
        try:
            story(self._grounds().get)
        finally:
            connections.close_all()  # this thread's own

    def _grounds(self) -> Grounds:
        if not hasattr(self._mine, "grounds"):
            workers = Workers()
            self._all.append(workers)
            self._mine.grounds = Grounds(self._stack, workers)
        grounds: Grounds = self._mine.grounds
        return grounds

    def close(self) -> None:
        """Servers of workers end with the threads that started them: their processes are looked after all the same."""
        self._pool.shutdown(cancel_futures=True)
        for workers in self._all:
            workers.close()
