"""What a later generation of a basis says otherwise, in words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from audit.core import facts as f
from audit.core.generations import Generation, differences, steps
from audit.core.snapshot import basis_body
from tests.core.audit import world as w


def generation(number: int, broker: f.Broker = w.BROKER, inbox: Any = w.BASIS.inbox, **more: Any) -> Generation:
    body = basis_body(broker, more.get("database", w.DATABASE), inbox, w.BASIS.bus)
    return Generation(number, "d", "why", w.NOW, body)


FIRST = generation(1)


def inbox(**values: Any) -> f.Broker:
    assert w.BROKER.inbox is not None
    return replace(w.BROKER, inbox=replace(w.BROKER.inbox, **values))


@pytest.mark.parametrize(
    ("later", "said"),
    [
        (generation(2), []),
        (generation(2, inbox=(*w.BASIS.inbox, f.BasisSource("inbox/4", 4))), ["inbox/4 was added"]),
        (
            generation(2, inbox=(*w.BASIS.inbox, f.BasisSource("inbox/4", 4), f.BasisSource("door/1"))),
            ["inbox/4 and door/1 were added"],
        ),
        (generation(2, inbox=w.BASIS.inbox[:1]), ["inbox/3 is not in it any more"]),
        (
            generation(2, inbox(posture={**w.POSTURE, "retention.ms": "1"})),
            ["retention.ms of flights.inbox was 604800000 and is 1"],
        ),
        (
            generation(2, inbox(posture=None)),
            [f"{key} of flights.inbox was {value} and is not measured" for key, value in sorted(w.POSTURE.items())],
        ),
        (
            generation(2, inbox(partitions={0: w.log(70), 3: replace(w.log(50), leader_epoch=4)})),
            ["the leader epoch of flights.inbox/3 was 0 and is 4"],
        ),
        (
            generation(2, inbox(partitions={0: w.log(70), 3: replace(w.log(50), leader_epoch=None)})),
            ["the leader epoch of flights.inbox/3 was 0 and is not measured"],
        ),
        (generation(2, inbox(topic_id="x")), ["the id of flights.inbox was inbox-id and is x"]),
        (
            generation(2, replace(w.BROKER, cluster_id="cluster-b")),
            ["the cluster was cluster-a and is cluster-b"],
        ),
        (generation(2, database=f.DatabaseIdentity("7301", 2)), ["Postgres' identity is another"]),
        (generation(2, inbox(partitions={**w.BROKER.inbox.partitions, 9: w.log(1)})), []),  # type: ignore[union-attr]
    ],
)
def test_the_difference_is_named(later: Generation, said: list[str]) -> None:
    assert differences(FIRST, later) == said


def test_a_generation_without_an_inbox_or_a_posture_is_compared_in_the_rest() -> None:
    without = generation(1, replace(w.BROKER, inbox=None))
    assert differences(without, FIRST) == differences(FIRST, without) == []
    silent = generation(1, inbox(posture=None))
    said = differences(silent, FIRST)
    assert said == [
        f"{key} of flights.inbox was not measured and is {value}" for key, value in sorted(w.POSTURE.items())
    ]


def test_a_shape_that_is_not_known_is_not_the_same() -> None:
    odd = replace(FIRST, number=2, body={"schema": "passgate.basis/9"})
    assert differences(FIRST, odd) == ["generation 2 has a shape this version does not know"]
    assert differences(odd, FIRST) == ["generation 2 has a shape this version does not know"]


def test_each_generation_is_held_against_the_one_before() -> None:
    grown = generation(2, inbox=(*w.BASIS.inbox, f.BasisSource("inbox/4", 4)))
    moved = replace(generation(3, inbox=(*w.BASIS.inbox, f.BasisSource("inbox/4", 4))), number=3)
    assert steps([]) == ()
    assert steps([FIRST]) == ((),)
    assert steps([FIRST, grown, moved]) == ((), ("inbox/4 was added",), ())
