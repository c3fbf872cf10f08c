"""Live lag while a window is replayed: the same load without and with a replay of it beside it, in turns."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from confluent_kafka import Producer

from audit.go_on import go_on
from console.people import Accounts, actor_named
from ingest.db import fetch_one, read
from ingest.kafka import Cluster
from plans.answer import approve
from plans.core.people import Actor
from plans.submit import submit
from trials.bench.ends import BenchEnded
from trials.bench.events import Recipe, make
from trials.bench.flow import drain
from trials.bench.http import person
from trials.bench.streams import RUN, Bound, admitted_to, applied, opened

EVERY = 0.05
SETTLES = 3.0
"""Seconds after which a load or its absence is what is measured."""
PATIENCE = 600.0
_TICK = 0.01


class ReplayNotDone(BenchEnded):
    """The plan came to another end, or to none."""


def measure(topic: str, records: int, rate: int, rounds: int, seconds: float) -> dict[str, Any]:
    """The window's `records` are replayed (mode prove) `rounds` times, while `rate` other records a second come in;
    for so many `seconds` before and after each they come in alone.

    `ratio`: the mean lag during a replay against that without one, medians of the rounds. A lag is the age of the
    oldest live record whose effect is not durable yet.
    """
    stream = opened(topic)
    drain(stream, records)
    go_on(stream.name, RUN, "bench")
    asker, approver = (actor_named(person(*roles).username) for roles in (("data engineer", "operator"), ("approver",)))
    alone, beside, took = [], [], []
    with _live(stream, rate, records) as lag:
        for _ in range(rounds):
            alone.append(_mean(lag, _for(seconds)))
            began = time.monotonic()
            plan = _replay(stream, asker, approver)
            beside.append(_mean(lag, partial(_runs, plan), settles=0.0))
            took.append(time.monotonic() - began)
        alone.append(_mean(lag, _for(seconds)))
    before, during = statistics.median(alone), statistics.median(beside)
    return {
        "records": records, "live_rate": rate, "rounds": rounds, "ratio": round(during / before, 3) if before else 0.0,
        "alone_ms": [round(x * 1000) for x in alone], "beside_ms": [round(x * 1000) for x in beside],
        "replay_seconds": [round(x, 1) for x in took],
        "said": f"{before * 1000:.0f} ms alone, {during * 1000:.0f} ms beside a replay of {records:,}"
                f" ({statistics.median(took):.0f} s), at {rate:,} live records/s",
    }  # fmt: skip


def _for(seconds: float) -> Callable[[], bool]:
    until = time.monotonic() + SETTLES + seconds
    return lambda: time.monotonic() < until


def _mean(lag: Callable[[], float], goes_on: Callable[[], bool], settles: float = SETTLES) -> float:
    time.sleep(settles)
    seen = [lag()]
    while goes_on():
        time.sleep(EVERY)
        seen.append(lag())
    return statistics.fmean(seen)


# ---- the live load --------------------------------------------------------------------------------------------------


@contextmanager
def _live(stream: Bound, rate: int, start: int) -> Iterator[Callable[[], float]]:
    """Sends `rate` records a second that never come twice. What it yields says how far the lanes are behind them, in
    seconds."""
    first, sent, over = applied(stream), list[float](), threading.Event()
    thread = threading.Thread(target=_send, args=(stream.inbox_topic, rate, start, sent, over))
    before = admitted_to(stream)

    def lag() -> float:
        done = applied(stream) - first
        return max(0.0, time.monotonic() - sent[done]) if done < len(sent) else 0.0

    thread.start()
    try:
        yield lag
    finally:
        over.set()
        thread.join()
        drain(stream, before + len(sent))


def _send(topic: str, rate: int, start: int, sent: list[float], over: threading.Event) -> None:
    producer = Producer(
        {"bootstrap.servers": Cluster.from_settings().bootstrap, "linger.ms": 5, "enable.idempotence": True}
    )
    live = make(Recipe(10**9, start=start + 10**6, repeats=False))
    began = time.monotonic()
    while not over.wait(_TICK):
        for _ in range(int((time.monotonic() - began) * rate) - len(sent)):
            record = next(live)
            producer.produce(topic, record.value, record.key, record.partition)
            sent.append(time.monotonic())
        producer.poll(0)
    producer.flush(30)


# ---- the replay -----------------------------------------------------------------------------------------------------


def _replay(stream: Bound, asker: Actor, approver: Actor) -> int:
    people = Accounts()
    asked = {"stream": stream.name, "run": RUN, "window": 1, "mode": "prove", "whole": True}
    number = submit("replay", asked, asker, "a measure", people)
    with read() as cur:
        digest = fetch_one(cur.execute("SELECT digest FROM plan WHERE id = %s", (number,))).digest
    approve(number, bytes(digest), approver, people)
    return number


def _runs(plan: int) -> bool:
    with read() as cur:
        row = fetch_one(
            cur.execute(
                "SELECT state, coalesce(held_why, void_why, '') AS why, clock_timestamp() - requested_at AS age"
                " FROM plan WHERE id = %s",
                (plan,),
            )
        )
    if row.state in ("HELD", "VOID", "CANCELLED", "EXPIRED") or row.age.total_seconds() > PATIENCE:
        raise ReplayNotDone(f"the replay is {row.state} after {row.age}: {row.why}")
    return bool(row.state != "DONE")
