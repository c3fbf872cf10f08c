"""Where a source is cut, by what Kafka says of its log; and which totals are totals at all: on values."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from audit import cut
from audit.core import facts as f
from ingest.core.errors import BrokerError
from tests.core.audit import world as w

TOPIC = SimpleNamespace(kind="topic", partition=3, topic="flights.inbox", cluster_id="cluster-a", topic_id="inbox-id")
DOOR = SimpleNamespace(kind="door", partition=None, topic="", cluster_id="", topic_id="")


def inbox(**log: Any) -> f.Broker:
    broker = w.partition("inbox", 3, **log).broker
    assert broker is not None
    return broker.value


def test_a_topic_is_cut_at_its_last_stable_offset_and_what_has_no_log_where_it_stands() -> None:
    assert cut._lso(TOPIC, inbox(lso=44)) == 44
    assert cut._lso(DOOR, w.BROKER) == 0
    assert cut._lso(TOPIC, replace(w.BROKER, inbox=None)) == 0
    assert cut._lso(SimpleNamespace(**{**vars(TOPIC), "partition": 9}), w.BROKER) == 0


def test_nothing_is_cut_by_an_offset_that_nobody_answered() -> None:
    with pytest.raises(BrokerError, match="the last stable offset of flights.inbox/3"):
        cut._lso(TOPIC, inbox(lso=None))


@pytest.mark.parametrize(
    ("source", "broker", "gone"),
    [
        (TOPIC, w.BROKER, False),
        (TOPIC, replace(w.BROKER, cluster_id="another"), True),
        (TOPIC, replace(w.BROKER, inbox=f.Topic("flights.inbox", "another")), True),
        (TOPIC, replace(w.BROKER, inbox=f.Topic("flights.inbox", None)), True),
        (TOPIC, replace(w.BROKER, inbox=None), False),
        (DOOR, w.BROKER, False),
    ],
)
def test_a_logis_gone_where_another_stands_in_its_place(source: Any, broker: f.Broker, gone: bool) -> None:
    assert cut.is_gone(source, broker) is gone


@pytest.mark.parametrize(
    ("classes", "totals", "taken"),
    [
        (["flight"], {"flight": 0}, True),
        (["flight"], {"flight": 2**63 - 1}, True),
        (["flight"], {"flight": -1}, False),
        (["flight"], {"flight": 2**63}, False),
        (["flight"], {"boat": 1}, False),
        ([], {"boat": 1}, True),
    ],
)
def test_a_total_is_a_count_of_a_class_that_the_contract_names(
    monkeypatch: pytest.MonkeyPatch, classes: list[str], totals: dict[str, int], taken: bool
) -> None:
    """One of CloudEvents names none: any may come."""
    contract = SimpleNamespace(events=[SimpleNamespace(name=name) for name in classes])
    monkeypatch.setattr(cut, "compiled_contract", lambda number: SimpleNamespace(contract=contract))
    row = SimpleNamespace(contract_id=1)
    if taken:
        cut._check_totals(row, totals)
    else:
        with pytest.raises(cut.TotalsInvalid):
            cut._check_totals(row, totals)
