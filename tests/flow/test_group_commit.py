"""Group commit without a database: whose answer is whose, whose error is whose, and that somebody always leads."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from ingest.admit.group_commit import GroupCommit
from tests.patience import until


class Gone(Exception):
    """Says nothing about a piece."""


def everybody(waiting: Sequence[int]) -> int:
    return len(waiting)


class Held:
    """A commit that stands still at its first group until it is let go; what it was given is kept."""

    def __init__(self, fails: Callable[[Sequence[int]], Exception | None] = lambda pieces: None) -> None:
        self.groups: list[list[int]] = []
        self.go = threading.Event()
        self._fails = fails

    def __call__(self, pieces: Sequence[int]) -> list[str]:
        self.groups.append(list(pieces))
        if len(self.groups) == 1:
            assert self.go.wait(30)
        error = self._fails(pieces)
        if error is not None:
            raise error
        return [f"answer to {piece}" for piece in pieces]


def sent(commits: GroupCommit[int, str], held: Held, pieces: Sequence[int]) -> list[Future[str]]:
    """The first piece is under way when the others come, one after the other."""
    with ThreadPoolExecutor(len(pieces)) as pool:
        futures = []
        for number, piece in enumerate(pieces):
            futures.append(pool.submit(commits.run, piece))
            until(lambda number=number: len(held.groups) == 1 and len(commits._waiting) == number)  # type: ignore[misc]
        held.go.set()
    return futures


def test_what_comes_meanwhile_goes_together_in_the_order_it_came() -> None:
    held = Held()
    commits = GroupCommit(held, everybody)
    futures = sent(commits, held, [1, 2, 3, 4])
    assert held.groups == [[1], [2, 3, 4]]
    assert [future.result() for future in futures] == [f"answer to {n}" for n in (1, 2, 3, 4)]


def test_a_group_is_no_larger_than_fits() -> None:
    held = Held()
    futures = sent(GroupCommit(held, lambda waiting: min(2, len(waiting))), held, [1, 2, 3, 4, 5, 6])
    assert held.groups == [[1], [2, 3], [4, 5], [6]]
    assert [future.result() for future in futures] == [f"answer to {n}" for n in (1, 2, 3, 4, 5, 6)]


def test_what_is_wrong_with_one_is_not_anothers_trouble() -> None:
    held = Held(lambda pieces: ValueError("3") if 3 in pieces else None)
    futures = sent(GroupCommit(held, everybody), held, [1, 2, 3, 4])
    assert held.groups == [[1], [2, 3, 4], [2], [3], [4]]
    with pytest.raises(ValueError, match="3"):
        futures[2].result()
    assert [futures[n].result() for n in (0, 1, 3)] == [f"answer to {n}" for n in (1, 2, 4)]


def test_an_error_that_is_everybodys_is_not_tried_again_for_each() -> None:
    held = Held(lambda pieces: Gone() if len(pieces) > 1 else None)
    futures = sent(GroupCommit(held, everybody, common=(Gone,)), held, [1, 2, 3, 4])
    assert held.groups == [[1], [2, 3, 4]]
    for future in futures[1:]:
        with pytest.raises(Gone):
            future.result()


def test_whoever_leads_and_is_interrupted_leaves_the_others_a_leader() -> None:
    """SystemExit in a thread of a server that shuts down is not an answer to anybody else."""
    held = Held(lambda pieces: SystemExit() if pieces[0] == 2 else None)  # type: ignore[return-value, arg-type]
    futures = sent(GroupCommit(held, everybody), held, [1, 2, 3, 4])
    assert held.groups == [[1], [2, 3, 4], [3, 4]]
    with pytest.raises(SystemExit):
        futures[1].result()
    assert [futures[n].result() for n in (0, 2, 3)] == [f"answer to {n}" for n in (1, 3, 4)]


def test_a_leader_that_cannot_even_tell_its_group_leaves_the_others_a_leader() -> None:
    def together(waiting: Sequence[int]) -> int:
        if waiting[0] == 2:
            raise ValueError("no limits for 2")
        return len(waiting)

    held = Held()
    futures = sent(GroupCommit(held, together), held, [1, 2, 3, 4])
    assert held.groups == [[1], [3, 4]]
    with pytest.raises(ValueError, match="no limits"):
        futures[1].result()
    assert [futures[n].result() for n in (0, 2, 3)] == [f"answer to {n}" for n in (1, 3, 4)]


def test_many_threads_each_get_their_own_answer_once() -> None:
    """Sixteen threads, two thousand pieces, every seventh of them wrong."""
    committed: list[int] = []
    busy = threading.Lock()

    def commit(pieces: Sequence[int]) -> list[int]:
        assert busy.acquire(blocking=False), "two led at once"
        try:
            if random.random() < 0.3:  # noqa: S311
                time.sleep(0.0005)
            if any(piece % 7 == 0 for piece in pieces):
                raise ValueError(pieces[0])
            committed.extend(pieces)
            return [-piece for piece in pieces]
        finally:
            busy.release()

    commits = GroupCommit(commit, lambda waiting: min(5, len(waiting)))
    with ThreadPoolExecutor(16) as pool:
        futures = [pool.submit(commits.run, piece) for piece in range(2_000)]
    for piece, future in enumerate(futures):
        if piece % 7 == 0:
            assert str(future.exception()) == str(piece)
        else:
            assert future.result() == -piece
    assert sorted(committed) == [piece for piece in range(2_000) if piece % 7]
