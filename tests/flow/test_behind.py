"""An older copy of the database put back: Kafka was told more than the ledger has. And what a lost connection costs."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from django.db import connection, connections, transaction

from audit.fsck import examine
from console.problems import status_of
from ingest import behind
from ingest.admit import http as door
from ingest.admit.http import DoorRecord, receive
from ingest.behind import LedgerBehind, check_current
from ingest.core.group import group_of, ledger_group_of, mark_of
from ingest.install import install_id
from ingest.kafka import Admin, BrokerUnavailable, CommittedOffset, Partition, PartitionReader
from ingest.models import Stream
from ingest.sample import sample
from stack import Stack
from stack.postgres import wheel_installation
from tests.audit.test_gate import broker_away
from tests.flow.world import CONTRACT, Flow, thing
from tests.patience import stretched


def tell(flow: Flow) -> int:
    """Kafka has the ledger's generation of now: returns it."""
    behind._told_at = 0.0
    flow.sample()
    generation: int = flow.rows("SELECT max(id) AS id FROM sample")[0].id
    until = time.monotonic() + stretched(20.0)
    while told(flow) < generation:
        assert time.monotonic() < until
        time.sleep(0.5)
        if flow.admin._telling is None or not flow.admin._telling.is_alive():
            behind._told_at = 0.0  # a coordinator that was not found yet did not say what it had been told
            flow.sample()
    if flow.admin._telling is not None:
        flow.admin._telling.join(20)
    return told(flow)


def told(flow: Flow) -> int:
    install = install_id()
    return flow.admin.committed(ledger_group_of(install), flow.bus, [0], mark_of(install))[0].offset or 0


def commit(flow: Flow, topic: str, offset: int) -> None:
    """What a lane of a newer ledger told Kafka."""
    install, until = install_id(), time.monotonic() + 20.0
    group, mark = group_of(install, flow.name), mark_of(install)
    while flow.admin.committed(group, topic, [0])[0].offset != offset:
        assert time.monotonic() < until
        with PartitionReader(flow.cluster, group=group, mark=mark) as reader:
            reader.commit({Partition(topic, 0): (offset, None)})


def stops(flow: Flow) -> set[tuple[str, str]]:
    return {(row.lane, row.stopped_code) for row in positions(flow) if row.stopped_code}


def positions(flow: Flow) -> list[Any]:
    return flow.rows("SELECT * FROM position WHERE source_id = ANY(%(sources)s)", sources=flow.sources())


def rest(flow: Flow) -> None:
    """Its time has gone by."""
    flow.rows("UPDATE position SET stopped_until = NULL WHERE source_id = ANY(%(s)s) RETURNING 1", s=flow.sources())


def slice_once(flow: Flow) -> None:
    worker = flow.worker()
    try:
        worker.slice(4.0)
    finally:
        worker.close()


def test_a_ledger_that_is_behind_moves_nothing(make_flow: Callable[..., Flow]) -> None:
    flow = make_flow()
    flow.open()
    flow.produce([thing(1), thing(2)])
    flow.sample()
    commit(flow, flow.inbox, 5)
    connection.close()
    slice_once(flow)
    assert ("admission", "ledger_behind") in stops(flow)
    assert not flow.receipts() and not flow.attempts()
    detail = flow.position("admission").stopped_detail
    assert "5 there, 0 here" in detail and "newest copy" in detail
    commit(flow, flow.inbox, 0)  # the newest copy is back
    rest(flow)
    flow.work_until(lambda: flow.attempts() == ["ACKED"])
    assert len(flow.receipts()) == 2
    assert not stops(flow)


def test_publishing_waits_for_the_newest_ledger_too(make_flow: Callable[..., Flow]) -> None:
    flow = make_flow()
    flow.open()
    flow.produce([thing(1)])
    flow.sample()
    flow.work_until(lambda: len(flow.receipts()) == 1, "admission")
    commit(flow, flow.bus, 7)
    connection.close()
    slice_once(flow)
    assert ("publish", "ledger_behind") in stops(flow) and not flow.attempts()
    commit(flow, flow.bus, 0)
    rest(flow)
    flow.work_until(lambda: flow.attempts() == ["ACKED"])


HTTP = CONTRACT + "[inbox.http]\nenabled = true\n"


def test_the_door_lets_nothing_into_an_older_copy(make_flow: Callable[..., Flow]) -> None:
    """Each connection asks once. Events of a caller would be admitted again by the newest copy."""
    flow = make_flow(contract=HTTP)
    flow.open()
    flow.sample()
    send = [DoorRecord(0, None, None, thing(1), None)]
    assert len(receive(flow.name, send).outcomes) == 1
    tell_of(flow, tell(flow) + 1_000)
    assert len(receive(flow.name, send).outcomes) == 1  # not asked again under this connection
    connection.close()
    with pytest.raises(LedgerBehind) as refused:
        receive(flow.name, send)
    assert refused.value.retry and status_of(refused.value) == 503
    assert len(flow.receipts()) == 2
    tell_of(flow, 1)  # the newest copy is back
    assert len(receive(flow.name, send).outcomes) == 1


def test_what_another_incarnation_of_a_topic_was_told_says_nothing(make_flow: Callable[..., Flow]) -> None:
    """K5: the inbox was made again, and read further than this ledger's lane ever got on the old one; or it is gone."""
    flow = make_flow()
    flow.open()
    flow.sample()
    flow.admin.delete_topic(flow.inbox)
    connection.close()
    check_current(stream_of(flow), flow.admin)
    flow.admin.create_topic(flow.inbox, 1)
    commit(flow, flow.inbox, 5)
    connection.close()
    check_current(stream_of(flow), flow.admin)


def stream_of(flow: Flow) -> Stream:
    return Stream.objects.get(name=flow.name)


class Silent(Admin):
    """A Kafka whose coordinator never answers, and a test that does not wait for ever."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.asked = 0

    def _ask_once_more(self) -> None:
        self.asked += 1
        assert self.asked < 50, "it is asked for ever"

    def committed(self, group: str, topic: str, partitions: Any, mark: str = "") -> dict[int, CommittedOffset]:
        self._ask_once_more()
        return {number: CommittedOffset("UNMEASURED") for number in partitions}

    def told(self, group: str, partitions: Any, mark: str) -> int | None:
        self._ask_once_more()
        return None


def test_who_does_not_say_what_it_was_told_is_not_waited_for_for_ever(
    make_flow: Callable[..., Flow], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(behind, "COORDINATOR_SECONDS", 0.3)
    flow = make_flow()
    flow.open()
    connection.close()
    with pytest.raises(BrokerUnavailable, match="what was committed"):
        check_current(stream_of(flow), Silent(flow.cluster))
    with pytest.raises(BrokerUnavailable, match="the ledger's generation"):
        behind.newer_generation(stream_of(flow).id, Silent(flow.cluster))
    monkeypatch.setattr(behind, "_told_at", 0.0)
    behind.tell_generation(Silent(flow.cluster))  # and says nothing


def test_what_is_not_committed_yet_is_not_told(make_flow: Callable[..., Flow], monkeypatch: pytest.MonkeyPatch) -> None:
    flow = make_flow()
    flow.open()
    tell(flow)
    before = told(flow)
    with transaction.atomic():
        sample(flow.admin, flow.name)
        monkeypatch.setattr(behind, "_told_at", 0.0)
        behind.tell_generation(flow.admin)
        transaction.set_rollback(True)
    time.sleep(1.0)  # telling is not waited for
    assert told(flow) == before


def tell_of(flow: Flow, generation: int) -> None:
    """What a newer ledger told, or what Kafka would hold had it not."""
    install, until = install_id(), time.monotonic() + stretched(20.0)
    while told(flow) != generation:
        assert time.monotonic() < until
        flow.admin.tell(ledger_group_of(install), {Partition(flow.bus, 0): generation}, mark_of(install))
        time.sleep(0.2)


def test_the_door_is_open_while_kafka_says_nothing(make_flow: Callable[..., Flow]) -> None:
    """It needs none. Kafka is asked again after a while, and its silence is not waited for by each request."""
    flow = make_flow(contract=HTTP)
    flow.open()
    flow.sample()
    connection.close()
    door._admin.cache_clear()
    with broker_away():
        assert len(receive(flow.name, [DoorRecord(0, None, None, thing(1), None)]).outcomes) == 1
        began = time.monotonic()
        connection.close()
        assert len(receive(flow.name, [DoorRecord(0, None, None, thing(2), None)]).outcomes) == 1
        assert time.monotonic() - began < door.SILENT_SECONDS / 2
    assert len(flow.receipts()) == 2
    door._silent_until = 0.0
    door._admin.cache_clear()


# ---- a copy that was made, and put back -----------------------------------------------------------------------------


@contextmanager
def put_back(stack: Stack, dump: Path) -> Iterator[None]:
    """The database is the one of the dump for a while."""
    name, default = "older_copy", connections["default"]
    with psycopg.connect(stack.env()["PASSGATE_ADMIN_URL"], autocommit=True) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        owner = admin.execute("SELECT datdba::regrole::text FROM pg_database WHERE datname = 'passgate'").fetchall()[0][
            0
        ]
        admin.execute(f"CREATE DATABASE {name} TEMPLATE template0 OWNER {owner}")
        # References would be looked at in all rows, and other tests' cheats leave some that point nowhere.
        every = program("pg_restore", "--list", str(dump)).splitlines()
        wanted = dump.with_suffix(".list")
        wanted.write_text("".join(f"{line}\n" for line in every if " FK CONSTRAINT " not in line))
        program("pg_restore", "--exit-on-error", f"--use-list={wanted}", f"--dbname={at(stack, name)}", str(dump))
        default.close()
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(default.settings_dict, "NAME", name)
            try:
                yield
            finally:
                default.close()
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def at(stack: Stack, name: str) -> str:
    return urlsplit(stack.env()["PASSGATE_ADMIN_URL"])._replace(path=f"/{name}").geturl()


def program(name: str, *arguments: str) -> str:
    """What one of PostgreSQL's own programs prints."""
    command = [wheel_installation() / "bin" / name, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_older_copy_put_back_moves_nothing_although_no_lane_of_it_is_behind(
    make_flow: Callable[..., Flow], live: Stack, tmp_path: Path
) -> None:
    """Between the copy and the loss a run was judged, and its next one opened: of that Kafka's commits say nothing."""
    flow = make_flow()
    flow.open()
    flow.produce([thing(1), thing(2)])
    flow.work_until(lambda: flow.count("effect") == 2)
    tell(flow)
    dump = tmp_path / "copy"
    program("pg_dump", "--format=custom", f"--file={dump}", at(live, "passgate"))
    flow.cut()
    flow.work()
    assert flow.judge().verdict.state == "PASS"
    flow.open("r2")
    generation = tell(flow)
    flow.produce([thing(3)])
    with put_back(live, dump):
        assert flow.rows("SELECT count(*) AS n FROM verdict v JOIN run r ON r.id = v.run_id JOIN stream s"
                         " ON s.id = r.stream_id WHERE s.name = %(name)s")[0].n == 0  # fmt: skip
        behind._told_at = 0.0
        flow.sample()  # as beat does there: it does not tell Kafka of less
        if flow.admin._telling is not None:
            flow.admin._telling.join(10)
        slice_once(flow)
        assert ("admission", "ledger_behind") in stops(flow)
        assert f"Kafka was told of sample {generation:,}" in flow.position("admission").stopped_detail
        assert len(flow.receipts()) == 2 and flow.attempts() == ["ACKED"]
        found = examine(flow.name, names={"newest"})
        assert [(each.invariant, each.subject) for each in found.findings] == [("LEDGER", flow.name)]
    connections["default"].close()
    flow.work_until(lambda: len(flow.receipts()) == 3)
    assert not stops(flow)
    assert examine(flow.name, names={"newest"}).findings == ()


def test_a_lost_connection_does_not_keep_the_leases_for_their_time(make_flow: Callable[..., Flow]) -> None:
    flow = make_flow()
    flow.open()
    flow.produce([thing(1)])
    flow.sample()
    worker = flow.worker("admission")
    worker.slice(1.5)
    if flow.position("admission").owner is None:  # an idle lane was let go of: hold it again
        worker._take([("admission", flow.sources("inbox")[0])])
    assert flow.position("admission").owner is not None
    worker._forget()  # as a step does that finds its database gone
    assert flow.position("admission").owner is not None
    worker.give_back()
    assert flow.position("admission").owner is None
    begun = time.monotonic()
    flow.produce([thing(2)])
    flow.sample()
    other = flow.worker("admission")
    try:
        while len(flow.receipts()) < 2:
            assert time.monotonic() - begun < 15.0
            other.slice(2.0)
    finally:
        other.close()
