"""Time in tests is either what they are about, or patient: on a busy machine everything takes longer.

A bound that only keeps a broken test from running for ever, and a lease that a worker must hold until it has reached a
point, say nothing about the code when the machine had no time for it. They are stretched by how busy it is.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

MOST = 4.0


def stretched(seconds: float) -> float:
    """`seconds` on an idle machine, up to four times as many where processes wait for its cores."""
    try:
        load = os.getloadavg()[0]
    except OSError:
        return seconds
    return seconds * min(MOST, max(1.0, load / (os.cpu_count() or 1)))


def until(holds: Callable[[], object], seconds: float = 30.0, pause: float = 0.001) -> None:
    """Waits for what other threads and processes do; fails after `seconds`, stretched as above."""
    ends = time.monotonic() + stretched(seconds)
    while not holds():
        assert time.monotonic() < ends, "waited in vain"
        time.sleep(pause)
