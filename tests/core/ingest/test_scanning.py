"""A scan of the bus: what it keeps, where it ends, and what it stands on, by Kafka's answers as values."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from ingest.core.attempt import ATTEMPT, DIGEST, IDENTITY
from ingest.core.identity import payload_digest
from ingest.core.reconciliation import Anchor, Ground, Moment
from ingest.kafka import BrokerUnavailable, LogEnds, Partition
from ingest.publish import reconcile
from ingest.publish.reconcile import Reconciliation, _Scan

HERE, THERE = Partition("bus", 0), Partition("bus", 1)
MARK = b"install/7"


class Record(NamedTuple):
    offset: int
    headers: Any = ()
    value: bytes = b"v"


def ours(offset: int, identity: bytes | None = b"01" * 32) -> Record:
    return Record(offset, [(IDENTITY, identity), (ATTEMPT, MARK), (DIGEST, b"02" * 32)])


def scan(records: int = 100) -> _Scan:
    """Of [10, 20) and [50, 60)."""
    owner: Any = SimpleNamespace(
        attempt=SimpleNamespace(topic="bus", mark=MARK),
        prepared=SimpleNamespace(anchors=[Anchor(0, 10, 1), Anchor(1, 50, 1)]),
        his={0: 20, 1: 60},
        rules=SimpleNamespace(scan_timeout=timedelta(seconds=30), scan_records=records),
    )
    return _Scan(owner, Moment("cluster", "topic", {}))


def test_it_keeps_what_carries_its_mark_below_the_end_it_began_with() -> None:
    looked = scan()
    looked._keep(HERE, [ours(18), Record(19), ours(20), ours(21)])
    assert [found.offset for found in looked.found] == [18]
    assert looked._scanned == {HERE: 2, THERE: 0}


@pytest.mark.parametrize(
    ("said", "identity"), [(b"01" * 32, b"\x01" * 32), (None, b""), (b"no hex", b""), (b"\xff", b"")]
)
def test_an_identity_is_what_its_header_says_and_the_digest_what_is_there(said: bytes | None, identity: bytes) -> None:
    looked = scan()
    looked._keep(HERE, [ours(18, said)])
    assert [(found.identity, found.digest) for found in looked.found] == [(identity, payload_digest(b"v"))]


def test_records_without_headers_are_looked_at_and_not_kept() -> None:
    looked = scan()
    looked._keep(HERE, [Record(18, None)])
    assert (looked.found, looked._scanned[HERE]) == ([], 1)


def test_what_is_read_to_its_end_or_broke_off_is_not_read_on() -> None:
    looked = scan()
    assert looked._unread() == [HERE, THERE]
    looked._at[HERE] = 20
    assert looked._unread() == [THERE]
    looked._faults[THERE] = "it broke off"
    assert looked._unread() == []
    assert [(read.ended_at, read.hi, read.fault) for read in looked.reads()] == [(20, 20, ""), (50, 60, "it broke off")]


@pytest.mark.parametrize(
    ("scanned", "until", "why"),
    [(5, 1e18, ""), (6, 1e18, "beyond 5 records"), (5, 0.0, "beyond 0:00:30"), (6, 0.0, "beyond 5 records")],
)
def test_it_breaks_off_beyond_the_contracts_bounds_and_says_which(scanned: int, until: float, why: str) -> None:
    looked = scan(records=5)
    looked._scanned[HERE], looked._at[THERE] = scanned, 60
    assert looked._broken(until) is bool(why)
    assert looked._faults == {HERE: why, THERE: ""}  # what was read to its end is not taken back


# ---- what it stands on ----


class Asked:
    """A reconciliation as far as it asks Kafka."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, epoch: str | None = "", **answers: Any) -> None:
        self.probes = 0

        def probe(cluster: object, start: object) -> str | None:
            self.probes += 1
            return epoch

        monkeypatch.setattr(reconcile, "probe_epoch", probe)
        ends, anchor = answers.pop("ends", LogEnds(0, 20, 20, 1)), Anchor(0, 10, answers.pop("at", 3))
        self.of: Any = SimpleNamespace(
            attempt=SimpleNamespace(topic="bus"),
            cluster=None,
            his=answers.pop("his", {}),
            prepared=SimpleNamespace(cluster_id="cluster", topic_id="topic", anchors=[anchor]),
            admin=SimpleNamespace(
                cluster_id=lambda: answers.get("cluster", "cluster"),
                topic_id=lambda name: answers.get("topic", "topic"),
                ends=lambda name, partitions: {0: ends},
            ),
        )
        self.of._ground = lambda *asked: Reconciliation._ground(self.of, *asked)

    def moment(self, may_wait: bool = False) -> Moment:
        return Reconciliation._moment(self.of, may_wait)


def test_what_was_sent_to_is_looked_at_with_its_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(monkeypatch, "truncated")
    assert asked.moment() == Moment("cluster", "topic", {0: Ground(0, 20, 20, "truncated")})
    assert asked.probes == 1


@pytest.mark.parametrize("other", [{"cluster": "another"}, {"topic": "another"}, {"topic": None}, {"cluster": None}])
def test_of_another_log_no_offsets_are_asked_for(monkeypatch: pytest.MonkeyPatch, other: dict[str, Any]) -> None:
    asked = Asked(monkeypatch, **other)
    assert asked.moment().grounds == {}
    assert asked.probes == 0


@pytest.mark.parametrize("unknown", ["earliest", "hw", "lso"])
@pytest.mark.parametrize("may_wait", [True, False])
def test_offsets_that_nobody_answered_are_asked_for_again(
    monkeypatch: pytest.MonkeyPatch, unknown: str, may_wait: bool
) -> None:
    ends = {"earliest": 0, "lso": 20, "hw": 20, "leader_epoch": 1, unknown: None}
    with pytest.raises(BrokerUnavailable):
        Asked(monkeypatch, ends=LogEnds(**ends)).moment(may_wait)


def test_a_probe_that_nobody_answered_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BrokerUnavailable, match="the epoch probe"):
        Asked(monkeypatch, None).moment()


@pytest.mark.parametrize(
    ("ends", "at"), [(LogEnds(11, 20, 20, 1), 3), (LogEnds(0, 9, 9, 1), 3), (LogEnds(0, 20, 20, 1), None)]
)
def test_what_is_unsound_already_is_not_probed(monkeypatch: pytest.MonkeyPatch, ends: LogEnds, at: int | None) -> None:
    asked = Asked(monkeypatch, None, ends=ends, at=at)
    assert asked.moment().grounds[0].diverged == ""
    assert asked.probes == 0


@pytest.mark.parametrize(
    ("his", "may_wait", "probes"),
    [({}, True, 0), ({}, False, 1), ({0: 15}, True, 1), ({0: 16}, True, 0)],
)
def test_while_an_open_transaction_hides_the_log_no_consumer_is_asked(
    monkeypatch: pytest.MonkeyPatch, his: dict[int, int], may_wait: bool, probes: int
) -> None:
    """Up to where the scan has to read, not to where the log ends by now."""
    asked = Asked(monkeypatch, ends=LogEnds(0, 15, 20, 1), his=his)
    asked.moment(may_wait)
    assert asked.probes == probes
