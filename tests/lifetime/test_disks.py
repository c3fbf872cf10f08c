"""A full disk, for PostgreSQL and for Kafka: clear errors, lanes stop and go on, nothing is lost.

The disks are small tmpfs mounts, so only root can run these. Not shown: a full disk under PostgreSQL's WAL, where
the server itself ends (PANIC) until there is room; to the workers that is a killed server (test_parts.py).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from ingest.kafka import BusMessage, PlainProducer
from stack import Stack
from tests.flow.world import thing
from tests.lifetime.patience import Stretch

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
MEGABYTE = 1024 * 1024


def mounts() -> bool:
    """Whether this process may mount: root in a container may not."""
    if os.geteuid() != 0:
        return False
    tried = subprocess.run(["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True)
    return tried.returncode == 0


needs_root = pytest.mark.skipif(not mounts(), reason="wants root that may mount: a small disk is a tmpfs")


class Disk:
    """A tmpfs of a few megabytes."""

    def __init__(self, where: Path, megabytes: int) -> None:
        self.where = where
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(where)], check=True)

    def resize(self, megabytes: int) -> None:
        subprocess.run(["mount", "-o", f"remount,size={megabytes}m", str(self.where)], check=True)

    def fill(self) -> Path:
        """A file that leaves some 100 kB."""
        ballast = self.where / "ballast"
        found = os.statvfs(self.where)
        ballast.write_bytes(bytes(max(0, found.f_bavail * found.f_frsize - 100_000)))
        return ballast

    def remove(self) -> None:
        subprocess.run(["umount", "--lazy", str(self.where)], check=True)


@pytest.fixture
def admin(serving: Stack) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(serving.env()["PASSGATE_ADMIN_URL"], autocommit=True) as connection:
        yield connection


@pytest.fixture
def small_disk(serving: Stack, admin: psycopg.Connection[Any], tmp_path_factory: Any) -> Iterator[Disk]:
    """A disk of 12 MB, and the tablespace `small` on it."""
    where = Path(f"/tmp/passgate-test-disk-{os.getpid()}")
    where.mkdir()
    disk = Disk(where, 12)
    folder = where / "tablespace"
    folder.mkdir(mode=0o700)
    server = psutil.Process(serving.pids("postgres")[0])
    os.chown(folder, server.uids().real, server.gids().real)
    admin.execute(f"CREATE TABLESPACE small LOCATION '{folder}'".encode())
    yield disk
    admin.execute("CHECKPOINT")
    admin.execute("DROP TABLESPACE small")
    disk.remove()
    where.rmdir()


@needs_root
def test_a_full_disk_under_postgresql(serving: Stack, admin: psycopg.Connection[Any], small_disk: Disk) -> None:
    """Events lie on the small disk. It fills up: the admission lane stops by name, and says what to do; nothing of the
    batch happened. With room it goes on by itself.
    """
    run = Stretch(partitions=1)
    newest = "SELECT max(r.id) AS id FROM run r JOIN stream s ON s.id = r.stream_id WHERE s.name = %(name)s"
    leaf = f"event_p{run.flow.rows(newest)[0].id // 16}"
    admin.execute(f"ALTER TABLE {leaf} SET TABLESPACE small".encode())
    values = [thing(n, filling=os.urandom(1500).hex()) for n in range(6_000)]
    run.flow.produce(values)
    try:
        stopped = wait_for_stop(run, "admission")
        assert "database_full" in str(stopped), stopped
        admitted = run.flow.count("event")
        assert admitted < len(values)
        assert run.flow.position("admission").next_offset == len(run.flow.receipts())
        small_disk.resize(200)
        run.wait_applied(len(values), seconds=120)
        assert run.flow.position("admission").stopped_code is None
    finally:
        small_disk.resize(200)
        admin.execute(f"ALTER TABLE {leaf} SET TABLESPACE pg_default".encode())
    run.flow.cut()
    passes(run)


def wait_for_stop(run: Stretch, lane: str) -> Any:
    until = time.monotonic() + 90
    while not (stopped := [row for row in run.lanes() if row[0] == lane and row[3]]):
        assert time.monotonic() < until, run.lanes()
        time.sleep(0.2)
    return stopped[0]


@pytest.fixture
def kafka_disk(serving: Stack) -> Iterator[Disk]:
    """The broker's log folder on a disk of its own with 40 MB to spare; afterwards it lies where it lay."""
    logs = serving.data / "kafka" / "logs"
    kept = logs.with_name("logs-kept")
    serving.stop_part("kafka")
    logs.rename(kept)
    logs.mkdir()
    disk = Disk(logs, megabytes_of(kept) + 40)
    copy(kept, logs)
    serving.start_part("kafka")
    yield disk
    serving.stop_part("kafka")
    shutil.rmtree(kept)
    kept.mkdir()
    copy(logs, kept)
    disk.remove()
    logs.rmdir()
    kept.rename(logs)
    serving.start_part("kafka")


def megabytes_of(folder: Path) -> int:
    return sum(file.stat().st_blocks * 512 for file in folder.rglob("*") if file.is_file()) // MEGABYTE + 1


def copy(source: Path, target: Path) -> None:
    """Index files are mostly holes."""
    subprocess.run(["cp", "-a", "--sparse=always", f"{source}/.", str(target)], check=True)


@needs_root
def test_a_full_disk_under_kafka(serving: Stack, kafka_disk: Disk) -> None:
    """The broker ends itself when it cannot append. Once there is room it is started again, and the flow goes on."""
    run = Stretch(partitions=1)
    run.flow.produce([thing(n) for n in range(100)])
    run.wait_applied(100)
    broker = serving.pids("kafka")[0]
    ballast = kafka_disk.fill()
    producer = PlainProducer(run.flow.cluster, delivery_timeout=150)
    messages = [BusMessage(0, b"k", thing(n, filling=os.urandom(1000).hex()), None) for n in range(100, 1500)]
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(producer.send, run.flow.inbox, messages, 150)
        until = time.monotonic() + 60
        while psutil.pid_exists(broker):
            assert time.monotonic() < until, "the broker goes on with a full disk"
            time.sleep(0.2)
        ballast.unlink()
        serving.wait_up("kafka", 90)
        assert [report.fault for report in sent.result() if report.fault] == []
    run.wait_applied(1500, seconds=120)
    run.flow.cut()
    passes(run)


def passes(run: Stretch) -> None:
    until = time.monotonic() + 90
    while run.verdict() != "PASS":
        assert time.monotonic() < until, run.lanes()
        time.sleep(0.3)
    assert run.flow.count("effect") == run.flow.count("event") == len(run.flow.receipts())
    run.flow.check()
