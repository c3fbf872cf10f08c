"""Streams of the benchmark, made and opened as a person would; several may read one preloaded inbox topic."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from audit.open import OpenedRun, open_run
from ingest.db import fetch_one, read
from ingest.kafka import Admin, Cluster
from ingest.sample import sample
from ingest.streams import load
from trials.bench.ends import BenchEnded
from trials.bench.events import Recipe, RecipeOutput, preload

RUN = "r1"
REST = 60.0
CONTRACT = """
contract = 1
stream = "{name}"
[inbox.kafka]
topic = "{inbox}"
format = "json"
[inbox.http]
enabled = {http}
[bus]
topic = "{bus}"
partitions = {bus_partitions}
[run]
from = ["/run"]
[class]
from = "/type"
[event.reading]
match = "reading"
id = ["/id"]
required = true
[close]
auto = false
quarantine_open_max = 1_000_000
[reconcile]
automatic = true
"""


@dataclass(frozen=True)
class Bound:
    """An open run, and the sources that its lanes read."""

    name: str
    inbox_topic: str
    bus_topic: str
    run: int
    win: int
    inbox: Sequence[int]
    bus: Sequence[int]


def admin() -> Admin:
    return Admin(Cluster.from_settings())


def new_topic(partitions: int, records: int, spaced: bool = False) -> dict[str, Any]:
    """An inbox topic with that many records in it."""
    topic = f"bench-{uuid.uuid4().hex[:8]}.inbox"
    admin().create_topic(topic, partitions)
    return {"topic": topic, **feed(topic, records, partitions, spaced=spaced)}


def new_stream(partitions: int) -> dict[str, Any]:
    """A stream with its run open, and nothing in its inbox."""
    made = opened(new_topic(partitions, 0)["topic"])
    return {"stream": made.name, "topic": made.inbox_topic}


def feed(topic: str, records: int, partitions: int, start: int = 0, spaced: bool = False) -> dict[str, Any]:
    """Sends the recipe's records to the topic. The same arguments send the same records."""
    if not records:
        return RecipeOutput().document()
    recipe = Recipe(records, partitions, spaced=spaced, start=start)
    return preload(Cluster.from_settings().bootstrap, topic, recipe).document()


def opened(inbox: str, bus_partitions: int = 4, http: bool = False) -> Bound:
    """A new stream that reads `inbox` from its beginning, with its run open."""
    name = f"b{uuid.uuid4().hex[:10]}"
    bus = f"{name}.bus"
    admin().create_topic(bus, bus_partitions)
    text = CONTRACT.format(name=name, inbox=inbox, bus=bus, bus_partitions=bus_partitions, http=str(http).lower())
    load(text.encode(), f"{name}.toml", {}, "bench")
    return bound(open_run(name, RUN, "bench"))


def bound(run: OpenedRun) -> Bound:
    """What an open run is bound to."""
    with read() as cur:
        rows = cur.execute(
            "SELECT c.id, c.role, c.topic FROM source c JOIN stream s ON s.id = c.stream_id WHERE s.name = %s"
            " ORDER BY c.partition",
            (run.stream,),
        ).fetchall()
    topics = {row.role: row.topic for row in rows}
    inbox, bus = ([row.id for row in rows if row.role == role] for role in ("inbox", "bus"))
    return Bound(run.stream, topics["inbox"], topics["bus"], run.run_id, run.win, inbox, bus)


def found(name: str) -> Bound:
    """The stream of that name, as `opened` left it."""
    return bound(open_run(name, RUN, "bench"))


# ---- how far ---------------------------------------------------------------------------------------------------------


def admitted_to(stream: Bound) -> int:
    """Records whose receipts are durable."""
    return _number(
        "SELECT coalesce(sum(next_offset), 0) AS n FROM position WHERE lane = 'admission' AND source_id = ANY(%(s)s)",
        list(stream.inbox),
    )


def counts(stream: Bound) -> dict[str, int]:
    """What the ledger says became of the run's records."""
    with read() as cur:
        row = fetch_one(
            cur.execute(
                "SELECT coalesce(sum(records), 0)::bigint AS records, coalesce(sum(admitted), 0)::bigint AS admitted,"
                " coalesce(sum(duplicates), 0)::bigint AS duplicates,"
                " coalesce(sum(quarantined), 0)::bigint AS quarantined, count(*) AS batches"
                " FROM batch WHERE run_id = %s",
                (stream.run,),
            )
        )
    return {name: int(value) for name, value in row._asdict().items()}


def unpublished(stream: Bound) -> int:
    """Batches that wait for the bus, and attempts that are not settled."""
    return _number(
        "SELECT (SELECT count(*) FROM publish_queue WHERE source_id = ANY(%(s)s))"
        " + (SELECT count(*) FROM attempt WHERE source_id = ANY(%(s)s) AND state IN ('PREPARED', 'UNKNOWN')) AS n",
        list(stream.inbox),
    )


def look(stream: Bound) -> None:
    """What beat does every other second: workers take no lane of which the last answer says that nothing is there."""
    sample(admin(), stream.name)


def held(stream: Bound) -> int:
    """Lanes of the inbox that somebody still has the lease of."""
    return _number(
        "SELECT count(*) AS n FROM position WHERE lane = 'admission' AND source_id = ANY(%(s)s)"
        " AND owner IS NOT NULL AND until > clock_timestamp()",
        list(stream.inbox),
    )


def at_rest() -> bool:
    """Whether nobody holds a lane, and no permit waits for a worker or is at work."""
    with read() as cur:
        row = fetch_one(
            cur.execute(
                "SELECT (SELECT count(*) FROM position WHERE owner IS NOT NULL AND until > clock_timestamp())"
                " + (SELECT count(*) FROM permit WHERE ended_at IS NULL"
                "     AND coalesce(taken_at, issued_at) > clock_timestamp() - interval '30 s') AS n"
            )
        )
    return not row.n


def rest() -> dict[str, Any]:
    """Waits until workers have given back what they held, and there is nothing for them to take."""
    wait_until(at_rest, REST, "workers at rest", every=0.1)
    return {}


def applied(stream: Bound) -> int:
    """Events whose effects are durable."""
    return _number(
        "SELECT coalesce(sum(applied), 0) AS n FROM bus_batch WHERE source_id = ANY(%(s)s)", list(stream.bus)
    )


def _number(statement: str, sources: list[int]) -> int:
    with read() as cur:
        return int(fetch_one(cur.execute(statement, {"s": sources})).n)


class TooLate(BenchEnded):
    """What was waited for did not come."""


def wait_until(
    holds: Callable[[], bool], seconds: float, what: str, every: float = 0.02, check: Callable[[], None] | None = None
) -> None:
    """Looks again and again; what stands still ends with a sentence. `check` raises where waiting is in vain."""
    until = time.monotonic() + seconds
    while not holds():
        if check is not None:
            check()
        if time.monotonic() > until:
            raise TooLate(f"not within {seconds:.0f} s: {what}")
        time.sleep(every)
