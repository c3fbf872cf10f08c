"""Words that SQL and Python both go by: what the one says is held against what the other reads."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from audit.core import cover
from audit.core import facts as f
from audit.core import verdict as v
from audit.core.check import CheckName
from ingest.db import fetch_one, read
from stack import Stack
from tests.core.audit import world as w

#: A bus whose name another one ends with, and one that a pattern would read otherwise than it is written.
BUSES = ("flights.bus", "old.flights.bus", "a_b%.bus")


def failures(bus: str) -> Iterator[dict[str, Any]]:
    """Checks of verdicts as they are stored, of windows that failed by this bus, by something else, and by both."""
    broker = replace(w.BROKER, bus=replace(w.BROKER.bus, name=bus))
    now = replace(broker, bus=replace(broker.bus, topic_id="anew"))
    good = w.changed("basis", w.changed("broker", bus=broker.bus), broker=broker)
    mine = w.changed("broker", good, bus=now.bus)
    over = {"placed_once": 93, "over": (1, 7), "over_names": (17,)}
    for facts in (
        good,
        mine,
        w.topic("inbox", good, topic_id="anew"),
        w.topic("inbox", mine, topic_id="anew"),
        w.changed("broker", mine, cluster_id="another"),
        w.source("inbox/0", mine, lost=2),
        w.changed("publishing", good, **over),
        w.changed("publishing", good, **over | {"over": (3, 7)}),
        w.changed("publishing", good, **over | {"contradictions": 1}),
        w.changed("publishing", good, **over | {"foreign": 1}),  # that alone is no FAIL
        w.changed("publishing", good, contradictions=1),
        w.changed("application", good, surplus=1),
        w.source("inbox/0", good, missing=1),
    ):
        yield from _stored(facts)


def _stored(facts: f.WindowFacts) -> Iterator[dict[str, Any]]:
    yield from v.body(v.verdict(facts, w.NOW), 1, "")["checks"]


def by_this_bus(check: dict[str, Any], bus: str) -> bool:
    """As the rule of a cover reads it; what any window may have failed by is another question."""
    of_now = cover.BusOfNow(replace(w.BROKER.bus, name=bus), (), 0, 0)
    mended = cover._mended(check, of_now)
    return mended and check["check"] not in cover.MENDED


def test_by_its_bus_a_window_failed_for_the_database_where_it_did_for_the_rule_of_a_cover(live: Stack) -> None:
    """The words of BASIS and PUBLISHED (audit/core/basis.py, audit/core/bus.py), and of `failed_by_its_bus`."""
    checks = list(chain.from_iterable(map(failures, BUSES)))
    pairs = [(check, bus) for check in checks for bus in BUSES]
    with read() as cur:
        found = cur.execute(
            "SELECT failed_by_its_bus(x.said, x.bus) AS so FROM unnest(%(said)s::jsonb[], %(bus)s::text[])"
            " WITH ORDINALITY AS x(said, bus, n) ORDER BY n",
            {"said": [Jsonb(check) for check, _ in pairs], "bus": [bus for _, bus in pairs]},
        ).fetchall()
    expected = [by_this_bus(check, bus) for check, bus in pairs]
    differ = [pair for pair, row, so in zip(pairs, found, expected, strict=True) if row.so is not so]
    assert differ == []
    by_its_bus = {(check["check"], bus) for (check, bus), so in zip(pairs, expected, strict=True) if so}
    assert by_its_bus == {(str(name), bus) for name in cover.BY_ITS_BUS for bus in BUSES}, "and each of them is tried"


OFTEN = set(CheckName) - set(v.c.NOT_LISTED)
SELDOM = {*v.c.NOT_LISTED, "SEALED"}
#: Words of rules that stand in both, by the function that has them and where in its text.
SHARED = {
    "what any reading again mends": ("verdict_covers_window", r"'check' NOT IN \(([^)]*)\)", cover.MENDED),
    "what a bus that was created again is said by": ("failed_by_its_bus", r"'check' IN \(([^)]*)\)", cover.BY_ITS_BUS),
    "what every verdict lists": ("verdict_checks", r"always text\[\] := ARRAY\[([^\]]*)\]", OFTEN),
    "what a verdict may leave out": ("verdict_checks", r"asked_for text\[\] := ARRAY\[([^\]]*)\]", SELDOM),
}  # fmt: skip


@pytest.mark.parametrize(("function", "where", "words"), SHARED.values(), ids=SHARED)
def test_the_database_goes_by_the_same_checks(live: Stack, function: str, where: str, words: set[str]) -> None:
    with read() as cur:
        text = fetch_one(cur.execute("SELECT prosrc FROM pg_proc WHERE proname = %(name)s", {"name": function})).prosrc
    (named,) = re.findall(where, text)
    assert set(re.findall(r"'(\w+)'", named)) == {str(word) for word in words}
