"""The stack in process, mostly with Valkey alone, which starts in a tenth of a second: what is tested is the
watching.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from stack import Stack, account, kafka, postgres, record
from stack import stack as stack_module
from stack.account import Account, private_folder
from stack.errors import (
    DataFolderBusy,
    DataFolderForeign,
    JavaUnusable,
    NoFreePort,
    PartFailed,
    StackError,
    UnknownPart,
)
from stack.place import PROJECT
from stack.ports import is_free
from stack.process import LOG_KEPT, LOG_LIMIT, bound_log
from tests.patience import until

ALONE = ("valkey",)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def alone(own_services: None, tmp_path: Path, said: list[str]) -> Iterator[Stack]:
    with Stack(tmp_path / "data", ALONE, progress=said.append) as stack:
        yield stack


@pytest.mark.usefixtures("own_services")
def test_what_runs_is_recorded_and_nothing_is_left(tmp_path: Path) -> None:
    with Stack(tmp_path / "data", ALONE) as stack:
        (row,) = stack.status()
        pids = stack.pids("valkey")
        port = row["port"]
        there = record.running(stack.data)
        assert there is not None
        assert there["env"]["CELERY_BROKER_URL"] == stack.env()["CELERY_BROKER_URL"]
        assert (row["state"], row["pid"], row["restarts"]) == ("up", pids[0], 0)
        assert not is_free(port)
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert is_free(port)
    assert record.running(stack.data) is None
    assert record.read(record.record_file(stack.data))["state"] == "stopped"


def test_files_with_passwords_are_for_their_owner_alone(alone: Stack) -> None:
    for name in ("secrets.json", "stack.json", "valkey/valkey.conf"):
        assert (alone.data / name).stat().st_mode & 0o077 == 0, name


def test_valkey_asks_for_its_password(alone: Stack) -> None:
    with socket.create_connection(("127.0.0.1", alone.status()[0]["port"])) as connection:
        connection.sendall(b"PING\r\n")
        assert connection.recv(100).startswith(b"-NOAUTH")


def test_a_part_that_dies_is_said_and_started_again(alone: Stack, said: list[str]) -> None:
    before = alone.pids("valkey")
    alone.kill("valkey")
    alone.wait_up("valkey", 10)
    assert alone.pids("valkey") != before
    assert alone.status()[0]["restarts"] == 1
    told = next(line for line in said if "ended" in line)
    assert told.startswith("valkey: ended (exit -9: ")
    assert "1 of 5" in told


@pytest.mark.usefixtures("own_services")
def test_a_part_that_keeps_dying_stops_the_stack(tmp_path: Path) -> None:
    with Stack(tmp_path / "data", ALONE, restart_limit=2) as stack:
        until(lambda: _kill_if_up(stack), 20, 0.05)
        assert stack.wait(5)
        assert isinstance(stack.failure, PartFailed)
        assert stack.failure.code == "stack_part_failed"
        assert str(stack.log("valkey")) in stack.failure.next_step


def _kill_if_up(stack: Stack) -> bool:
    if stack.is_up("valkey"):
        stack.kill("valkey")
    return stack.failure is not None


def test_a_frozen_part_answers_nothing_and_goes_on_when_thawed(alone: Stack) -> None:
    alone.freeze("valkey")
    assert alone.status()[0]["state"] == "frozen"
    stopped = time.monotonic() + 5  # each of its threads stops when it is next on a processor
    while psutil.Process(alone.pids("valkey")[0]).status() != psutil.STATUS_STOPPED:
        assert time.monotonic() < stopped
    alone.thaw("valkey")
    alone.wait_up("valkey", 5)
    assert alone.status()[0]["restarts"] == 0


def test_a_frozen_stack_stops_too(alone: Stack) -> None:
    alone.freeze("valkey")
    began = time.monotonic()
    alone.stop()
    assert time.monotonic() - began < 5


def test_one_part_is_stopped_and_started(alone: Stack) -> None:
    alone.stop_part("valkey")
    assert alone.status()[0]["state"] == "stopped"
    assert alone.pids("valkey") == []
    alone.start_part("valkey")
    alone.restart("valkey")
    assert alone.is_up("valkey")
    assert alone.status()[0]["restarts"] == 0


def test_a_second_stack_on_the_same_data_is_refused(alone: Stack) -> None:
    with pytest.raises(DataFolderBusy) as caught:
        Stack(alone.data, ALONE).start()
    assert str(os.getpid()) in caught.value.found
    assert alone.is_up("valkey")


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    tmp_path.chmod(0o755)
    with pytest.raises(DataFolderForeign, match="thesis.txt"):
        Stack(tmp_path, ALONE).start()
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    assert tmp_path.stat().st_mode & 0o777 == 0o755


def test_two_stacks_at_once(alone: Stack, tmp_path: Path) -> None:
    with Stack(tmp_path / "other", ALONE) as other:
        assert other.status()[0]["port"] != alone.status()[0]["port"]
        assert other.env()["CELERY_BROKER_URL"] != alone.env()["CELERY_BROKER_URL"]


@pytest.mark.usefixtures("own_services")
def test_the_ports_are_the_same_again_unless_taken(tmp_path: Path) -> None:
    with Stack(tmp_path / "data", ALONE) as stack:
        port = stack.status()[0]["port"]
    with Stack(tmp_path / "data", ALONE) as stack:
        assert stack.status()[0]["port"] == port
    with socket.create_server(("127.0.0.1", port)), Stack(tmp_path / "data", ALONE) as stack:
        assert stack.status()[0]["port"] != port


def test_a_port_asked_for_and_taken_is_an_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        stack = Stack(tmp_path / "data", ALONE, ports={"valkey": port})
        with pytest.raises(NoFreePort, match=str(port)):
            stack.start()
    assert record.running(stack.data) is None


@pytest.mark.usefixtures("own_services")
def test_a_port_lost_between_choosing_and_binding_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        choices = iter([taken])
        choose = stack_module.free_port
        monkeypatch.setattr(stack_module, "free_port", lambda *wanted: next(choices, None) or choose(*wanted))
        with Stack(tmp_path / "data", ALONE) as stack:
            assert stack.status()[0]["port"] != taken
            assert stack.is_up("valkey")


@pytest.mark.parametrize("java", ["/nonexistent/java", "/bin/true"])
def test_a_java_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch, java: str) -> None:
    monkeypatch.setenv("PASSGATE_JAVA", java)
    with pytest.raises(JavaUnusable, match=java):
        kafka.java()


def test_a_java_of_16_is_too_old(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    old = tmp_path / "java"
    old.write_text("#!/bin/sh\necho 'openjdk version \"16.0.2\" 2021-07-20' >&2\n")
    old.chmod(0o755)
    monkeypatch.setenv("PASSGATE_JAVA", str(old))
    with pytest.raises(JavaUnusable, match="17 or newer"):
        kafka.java()


def test_an_existing_kafka_is_used_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PASSGATE_KAFKA_HOME", str(tmp_path))
    with pytest.raises(StackError, match="PASSGATE_KAFKA_HOME"):
        kafka.class_path(print)
    (tmp_path / "libs").mkdir()
    (tmp_path / "libs" / "kafka_2.13-4.4.0.jar").touch()
    assert kafka.class_path(print) == f"{tmp_path}/libs/*"


def test_an_existing_service_replaces_its_part(tmp_path: Path) -> None:
    url = "redis://127.0.0.1:1/0"
    with Stack(tmp_path / "data", ALONE, external={"CELERY_BROKER_URL": url}) as stack:
        assert stack.env()["CELERY_BROKER_URL"] == url
        assert [row["state"] for row in stack.status()] == ["external"]


def test_an_unknown_part_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnknownPart, match="rabbit"):
        Stack(tmp_path / "data", ("rabbit",))


def test_a_record_whose_process_is_gone_is_not_believed(tmp_path: Path) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    record.write(record.record_file(tmp_path), {"pid": gone.pid, "started": time.time(), "state": "running"})
    assert record.running(tmp_path) is None
    record.write(record.record_file(tmp_path), {"pid": os.getpid(), "started": time.time() - 9999, "state": "running"})
    assert record.running(tmp_path) is None, "the pid was given to another process"


def test_a_log_is_bounded(tmp_path: Path) -> None:
    log = tmp_path / "part.log"
    log.write_bytes(b"x" * (LOG_LIMIT + 1))
    with log.open("ab") as writer:
        bound_log(log)
        writer.write(b"next\n")
    assert log.read_bytes() == b"next\n"
    assert (tmp_path / "part.log.1").stat().st_size == LOG_KEPT


@pytest.mark.usefixtures("own_services")
def test_a_killed_database_comes_back_and_removing_leaves_no_folder(tmp_path: Path) -> None:
    stack = Stack(tmp_path / "data", ("postgres",))
    stack.start()
    with psycopg.connect(stack.env()["PASSGATE_ADMIN_URL"], autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
    stack.kill("postgres")
    stack.wait_up("postgres", 60)
    with psycopg.connect(stack.env()["PASSGATE_ADMIN_URL"]) as connection:
        assert connection.execute("SELECT one FROM kept").fetchone() == (1,)
    assert stack.status()[0]["restarts"] == 1
    stack.remove()
    assert not stack.data.exists()
    assert not private_folder(stack.data).exists()


def test_a_private_folder_is_swept_when_its_data_folder_was_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account, "TEMPORARY", (tmp_path / "temporary",))
    (tmp_path / "temporary").mkdir()
    me = Account("me", os.geteuid(), os.getegid())
    gone, there, elsewhere = (tmp_path / name for name in ("gone", "there", "elsewhere"))
    for data in (gone, there, elsewhere):
        data.mkdir()
        account.make_private_folder(data, me)
    gone.rmdir()
    elsewhere.rmdir()
    unmounted = account.private_folder(elsewhere) / "origin.json"
    unmounted.write_text(json.dumps({"data": str(elsewhere), "device": 0}))
    assert account.sweep_abandoned() == [account.private_folder(gone)]
    assert account.private_folder(there).exists()
    assert account.private_folder(elsewhere).exists(), "its disk may only be unmounted"


SUPERVISOR = """
import sys
from pathlib import Path
from stack import Stack
stack = Stack(Path(sys.argv[1]), ("postgres", "valkey"))
stack.start()
print(*stack.pids("postgres"), *stack.pids("valkey"), stack._guard.pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.usefixtures("own_services")
def test_a_killed_supervisor_leaves_nothing_running(tmp_path: Path) -> None:
    data = tmp_path / "data"
    supervisor = subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, str(data)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=PROJECT,
    )
    assert supervisor.stdout is not None
    pids = [int(word) for word in supervisor.stdout.readline().split()]
    assert len(pids) > 5
    supervisor.send_signal(signal.SIGKILL)
    supervisor.wait()
    until(lambda: not any(psutil.pid_exists(pid) for pid in pids), 15, 0.05)
    with Stack(data, ("postgres", "valkey")) as again:
        assert again.is_up("postgres")
        again.stop()
        again.remove()


class TestPostgres:
    """On the session's stack."""

    def test_is_version_18_on_loopback_with_durable_commits(self, stack: Stack) -> None:
        with psycopg.connect(stack.env()["PASSGATE_ADMIN_URL"]) as connection:
            shown = {
                name: connection.execute(f"SHOW {name}").fetchone()
                for name in ("server_version_num", "listen_addresses", "fsync", "synchronous_commit")
            }
        assert str(shown["server_version_num"][0]).startswith("18")  # type: ignore[index]
        assert [shown[name] for name in ("listen_addresses", "fsync", "synchronous_commit")] == [
            ("127.0.0.1",),
            ("on",),
            ("on",),
        ]

    @pytest.mark.parametrize(
        ("variable", "role"),
        [
            ("DATABASE_URL", "passgate_app"),
            ("PASSGATE_OWNER_URL", "passgate_owner"),
            ("PASSGATE_AUDITOR_URL", "passgate_auditor"),
            ("PASSGATE_READER_URL", "passgate_reader"),
        ],
    )
    def test_each_login_acts_as_its_role(self, stack: Stack, variable: str, role: str) -> None:
        with psycopg.connect(stack.env()[variable]) as connection:
            assert connection.execute("SELECT current_user").fetchone() == (role,)

    def test_the_app_cannot_become_the_owner(self, stack: Stack) -> None:
        with psycopg.connect(stack.env()["DATABASE_URL"]) as connection:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("SET ROLE passgate_owner")

    def test_nobody_connects_without_a_password(self, stack: Stack) -> None:
        bare = stack.env()["PASSGATE_ADMIN_URL"].split("@")[1]
        with pytest.raises(psycopg.OperationalError, match="no password supplied"):
            psycopg.connect(f"postgresql://postgres@{bare}")

    @pytest.mark.skipif(os.geteuid() != 0, reason="wants root: only root runs it as somebody else")
    def test_does_not_run_as_root(self, stack: Stack) -> None:
        assert psutil.Process(stack.pids("postgres")[0]).uids().real != 0


@pytest.mark.parametrize(
    ("gib", "found"), [(0.5, "128MB"), (2, "256MB"), (8, "1024MB"), (16, "2048MB"), (256, "2048MB")]
)
def test_postgresql_takes_an_eighth_of_the_memory_within_bounds(gib: float, found: str) -> None:
    assert postgres.shared_buffers(int(gib * 2**30)) == found


@pytest.mark.parametrize(("limit", "is_limit"), [("1073741824\n", True), ("max\n", False), (None, False)])
def test_the_memory_of_a_container_is_its_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str | None, is_limit: bool
) -> None:
    file = tmp_path / "memory.max"
    if limit is not None:
        file.write_text(limit)
    monkeypatch.setattr(postgres, "CGROUP_LIMIT", file)
    assert postgres.memory() == (2**30 if is_limit else psutil.virtual_memory().total)
