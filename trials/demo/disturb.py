"""What no operator wants: a worker killed in the middle of a batch, and a broker that stops answering."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from stack import Stack
from trials.demo.ledger import Ledger

LOOK_EVERY = 0.002
STUCK_AFTER = 0.6
"""An attempt that has not ended so long after the broker was frozen is caught by it."""


@dataclass(frozen=True)
class KilledProcess:
    """The process that was killed. `in_batch`: it had written receipts and not committed them."""

    pid: int
    in_batch: bool


def kill_in_mid_batch(stack: Stack, url: str, seconds: float) -> KilledProcess | None:
    """SIGKILL a lane worker that has receipts written and not committed; None if none was caught so within `seconds`.

    It is stopped first and looked at again, so that what is killed is certainly in the middle of it.
    """
    with Ledger(url, as_role=None) as ledger:  # only the login itself sees its sessions' ports
        workers = Workers(stack)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for row in ledger.rows("writing_batches"):
                pid = workers.at(row.port)
                if pid is not None and _caught(ledger, pid, row.port):
                    return KilledProcess(pid, in_batch=True)
            time.sleep(LOOK_EVERY)
    return None


class Workers:
    """The lane workers by their ends of connections to the database."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._pids: dict[int, int] = {}
        self._look()

    def at(self, port: int) -> int | None:
        """The worker whose connection comes from `port`; connections last, so most are known already."""
        if port not in self._pids:
            self._look()
        return self._pids.get(port)

    def _look(self) -> None:
        for pid in self._stack.pids("lanes"):
            with contextlib.suppress(psutil.Error):
                found = psutil.Process(pid).net_connections("tcp")
                self._pids |= {one.laddr.port: pid for one in found if one.laddr}


def _caught(ledger: Ledger, pid: int, port: int) -> bool:
    os.kill(pid, signal.SIGSTOP)
    if any(row.port == port for row in ledger.rows("writing_batches")):
        os.kill(pid, signal.SIGKILL)
        return True
    os.kill(pid, signal.SIGCONT)
    return False


def kill_any(stack: Stack, ledger: Ledger, stream: str) -> KilledProcess | None:
    """SIGKILL a lane worker that holds leases of the stream, wherever it is in its work."""
    held = {row.pid for row in ledger.rows("owners", stream=stream)}
    for pid in [pid for pid in stack.pids("lanes")[1:] if pid in held]:
        os.kill(pid, signal.SIGKILL)
        return KilledProcess(pid, in_batch=False)
    return None


def freeze_in_mid_publish(stack: Stack, ledger: Ledger, stream: str, seconds: float) -> tuple[int, ...]:
    """SIGSTOP the broker while an attempt is on its way; the attempts caught so, none if it could not be done in time.

    The broker stays frozen only where something was caught.
    """
    before = {row.id for row in ledger.rows("prepared", stream=stream)}
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if {row.id for row in ledger.rows("prepared", stream=stream)} - before:
            stack.freeze("kafka")
            time.sleep(STUCK_AFTER)
            caught = {row.id for row in ledger.rows("prepared", stream=stream)} - before
            if caught:
                return tuple(sorted(caught))
            stack.thaw("kafka")
        time.sleep(LOOK_EVERY)
    return ()


def wait_until(holds: Callable[[], bool], seconds: float, every: float = 0.1) -> bool:
    """Whether it came to hold in time."""
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(every)
    return True
