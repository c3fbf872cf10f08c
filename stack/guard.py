"""Outlives a supervisor that was killed, and ends what it left: whole process groups, not only their leaders.

Run as a script in a session of its own. Reads lines `+PID SIGNAL` and `-PID` from standard input; `q` means all is
stopped. At end of file without `q`, the supervisor is dead: every group left gets its signal, and after some seconds
SIGKILL.
"""

import contextlib
import os
import signal
import sys
import time

PATIENCE = 7.0


def listen() -> dict[int, int]:
    """The groups to end: pid of the leader to the signal it is asked with. Empty after a clean stop."""
    groups: dict[int, int] = {}
    for line in sys.stdin:
        word = line.strip()
        if word == "q":
            return {}
        if word.startswith("+"):
            pid, number = word[1:].split()
            groups[int(pid)] = int(number)
        elif word.startswith("-"):
            groups.pop(int(word[1:]), None)
    return groups


def alive(pid: int) -> bool:
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def send(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def end(groups: dict[int, int]) -> None:
    for pid, number in groups.items():
        send(pid, signal.SIGCONT)
        send(pid, number)
    until = time.monotonic() + PATIENCE
    while any(alive(pid) for pid in groups) and time.monotonic() < until:
        time.sleep(0.1)
    for pid in groups:
        send(pid, signal.SIGKILL)


if __name__ == "__main__":
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    end(listen())
