"""One running part: started in a process group of its own, watched, signalled as a whole, never left behind."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from stack.account import Account

HERE = Path(__file__).resolve().parent
LOG_LIMIT = 8 * 1024 * 1024
LOG_KEPT = 512 * 1024


@dataclass(frozen=True)
class Command:
    """What to execute, where, and as whom. `death_signal` is what the kernel sends it when we die."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    account: Account | None = None
    death_signal: int = signal.SIGKILL


@dataclass
class Process:
    """A started command. Its log file is opened for appending, so that it can be cut while in use."""

    popen: "subprocess.Popen[bytes]"
    log: Path
    log_start: int
    death_signal: int
    began: float = field(default_factory=time.time)

    @property
    def pid(self) -> int:
        return self.popen.pid

    def exit_code(self) -> int | None:
        """None while it runs."""
        return self.popen.poll()

    def new_log(self) -> str:
        """What it wrote to its log since it was started."""
        with self.log.open("rb") as file:
            file.seek(self.log_start if self.log_start <= self.log.stat().st_size else 0)
            return file.read().decode(errors="replace")

    def last_lines(self, count: int = 5) -> str:
        """Its last log lines, on one line."""
        lines = [line.strip() for line in self.new_log().splitlines() if line.strip()]
        return " | ".join(lines[-count:]) or "its log is empty"

    def members(self) -> list[psutil.Process]:
        """Its leader and all the descendants that live."""
        try:
            head = psutil.Process(self.pid)
            return [head, *head.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def send(self, number: int) -> None:
        """Signal its leader."""
        if self.exit_code() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def send_all(self, number: int) -> None:
        """Signal every process of it, descendants in other groups (PostgreSQL's backends) included."""
        for member in self.members():
            with contextlib.suppress(psutil.NoSuchProcess):
                member.send_signal(number)

    def wait(self, seconds: float) -> bool:
        """Whether it ended within `seconds`."""
        try:
            self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def end(self, steps: tuple[tuple[int, float], ...]) -> None:
        """Stop it: each step a signal and the seconds it may take; then SIGKILL for all that is left of it."""
        members = self.members()
        for number, seconds in steps:
            self.send_all(signal.SIGCONT)
            self.send(number)
            if self.wait(seconds):
                break
        sweep(self.pid, members)
        self.popen.wait()


def sweep(group: int, members: list[psutil.Process]) -> None:
    """SIGKILL what is left of a process group and of its recorded members: backends have groups of their own."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
    for member in members:
        # kill() looks at the start time too, so a pid given to another program since then is left alone.
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            member.kill()


def start(command: Command, log: Path) -> Process:
    """Start a command in a session of its own, output appended to `log`. It dies with this thread's process."""
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    who = (command.account.uid, command.account.gid) if command.account else (-1, -1)
    words = (os.getpid(), int(command.death_signal), *who)
    with log.open("ab") as output:
        position = output.tell()
        popen = subprocess.Popen(
            [sys.executable, "-I", "-S", str(HERE / "launch.py"), *map(str, words), *command.argv],
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            env=dict(command.env), cwd=command.cwd, start_new_session=True,
        )  # fmt: skip
    return Process(popen, log, position, int(command.death_signal))


def bound_log(log: Path) -> None:
    """Cut a log that has grown over its limit down to its end; writers append, so they go on at the new end."""
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size > LOG_LIMIT:
            with log.open("r+b") as file:
                file.seek(-LOG_KEPT, os.SEEK_END)
                kept = file.read()
                log.with_suffix(".log.1").write_bytes(kept)
                file.truncate(0)


class Guard:
    """The process that ends our parts should we be killed; see guard.py."""

    def __init__(self) -> None:
        self._popen = subprocess.Popen(
            [sys.executable, "-I", "-S", str(HERE / "guard.py")],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True, text=True, env={"PATH": os.defpath},  # it needs no password to end processes
        )  # fmt: skip

    @property
    def pid(self) -> int:
        return self._popen.pid

    def watch(self, process: Process) -> None:
        self._write(f"+{process.pid} {process.death_signal}")

    def forget(self, process: Process) -> None:
        self._write(f"-{process.pid}")

    def dismiss(self) -> None:
        """All parts are stopped; nothing is left to guard."""
        self._write("q")
        with contextlib.suppress(OSError):
            if self._popen.stdin:
                self._popen.stdin.close()
        self._popen.wait()

    def _write(self, line: str) -> None:
        if self._popen.stdin:
            with contextlib.suppress(OSError):
                self._popen.stdin.write(line + "\n")
                self._popen.stdin.flush()
