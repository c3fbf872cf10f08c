"""`passgate lanes`: how far every lane is, why it stands still, and the act that ends that."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import click

import console.cli.ready  # noqa: F401 - sets Django up before the modules below need it

# isort: split
from console.cli.base import DONE, NO, Command, as_json, emit, said, table
from console.phrases import span_words
from console.reads.lanes import TROUBLE, LaneLine, counts, lines, said_of
from console.reads.named import stream_named

MOST = 1_000
PAGE = 200


@click.command(cls=Command)
@click.argument("stream", required=False)
@as_json
def lanes(stream: str | None, as_json: bool) -> None:
    """List lanes, those that stand still first, each with its owner, lag, age, reason and next act.

    Exit code 0: none has stopped or stalled; 1: some have.
    """
    if stream is not None:
        stream_named(stream)
    found, in_all = list(every(stream)), counts(stream)
    if as_json:
        emit({"items": [document(line) for line in found], "lanes": sum(in_all.values())})
    else:
        _say(found, in_all)
    sys.exit(NO if any(in_all.get(state) for state in TROUBLE) else DONE)


def every(stream: str | None) -> Iterator[LaneLine]:
    """All lanes up to MOST, by pages."""
    after, given = "", 0
    while given < MOST:
        page = lines(stream=stream, after=after, size=PAGE)
        yield from page
        if len(page) < PAGE:
            return
        after, given = page[-1].key, given + len(page)


def document(line: LaneLine) -> dict[str, Any]:
    """A lane as programs read it. `lag` is null where it was not measured."""
    return {
        "stream": line.stream,
        "lane": line.lane,
        "source": line.source,
        "state": line.state,
        "position": line.position,
        "lag": line.behind,
        "progressed_at": line.moved_at.isoformat(),
        "stands_since": line.stands_since.isoformat() if line.stands_since else None,
        "owner": line.owner or None,
        "fence": line.fence,
        "stop": {"code": line.code, "detail": line.detail} if line.code else None,
        "next": line.act or None,
    }


def _say(found: list[LaneLine], in_all: dict[str, int]) -> None:
    if found:
        heads = ("stream", "lane", "source", "state", "lag", "moved", "owner")
        now = datetime.now(UTC)
        table(heads, [_cells(line, now) for line in found], right=[4])
        click.echo()
    for line in found:
        if line.code or line.act:
            said(f"{line.lane} of {line.source}: {line.reason or 'has a backlog and does not move'}. Next: {line.act}.")
    said(said_of(in_all)[0])
    if sum(in_all.values()) > len(found):
        said(f"The first {len(found):,} are shown.")


def _cells(line: LaneLine, now: datetime) -> tuple[object, ...]:
    lag = "unmeasured" if line.behind is None else line.behind
    age = f"{span_words(max((now - line.moved_at).total_seconds(), 0))} ago"
    return line.stream, line.lane, line.source, line.state.lower(), lag, age, line.owner
