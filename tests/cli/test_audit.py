"""`passgate audit verify`: the audit log, walked to its head, and held against a head that was noted before."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.database.cheats.frame import SUPERUSER, Cheat, playing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cli.typed import Typed
    from tests.flow.world import Flow

Passgate = Callable[..., "Typed"]


@contextmanager
def thief(does: str) -> Iterator[None]:
    with playing(Cheat("thief", does, found="audit_chain", by=SUPERUSER), {}):
        yield


@pytest.fixture
def head(passgate: Passgate, flow: Flow) -> Any:
    """The head after an act or two."""
    flow.open()
    told = passgate("audit verify --json").json
    assert told["findings"] == []
    assert told["rows"] >= 2
    return told["head"]


def test_a_log_that_holds(passgate: Passgate, head: str) -> None:
    answer = passgate(f"audit verify --head {head}")
    assert answer.code == 0
    assert f"head {head}" in answer.out
    assert "Every row stands on the one before it." in answer.out


def test_a_rewritten_row_is_named(passgate: Passgate, head: str) -> None:
    number = int(head.split(":")[0])
    with thief(f"UPDATE audit_log SET reason = 'another' WHERE id = {number}"):
        answer = passgate("audit verify")
    assert answer.code == 1
    assert f"audit log row {number}: what it says does not have the digest stored with it" in answer.out


def test_a_log_written_anew_shows_against_a_head_that_was_kept(passgate: Passgate, head: str) -> None:
    """The newest row is taken away and the head set back: nothing in the log itself says so."""
    number = int(head.split(":")[0])
    with thief(
        f"UPDATE audit_head SET last_id = {number} - 1, digest = (SELECT previous FROM audit_log WHERE id = {number});"
        f"DELETE FROM audit_log WHERE id = {number}"
    ):
        assert passgate("audit verify").code == 0
        answer = passgate(f"audit verify --head {head}")
    assert answer.code == 1
    assert f"audit log row {number}: it was there once, and the last row is {number - 1}" in answer.out


def test_another_digest_at_the_kept_row(passgate: Passgate, head: str) -> None:
    number, digest = head.split(":")
    answer = passgate(f"audit verify --head {number}:{digest[::-1]}")
    assert answer.code == 1
    assert f"it is {digest}" in answer.out


def test_a_head_that_is_none_is_a_usage_error(passgate: Passgate) -> None:
    assert passgate("audit verify --head latest").code == 2
