"""Named points between the steps of verbs, where a test ends or stops this very process (S27). Not for people.

Armed by the process's environment only: PASSGATE_FAILPOINT=NAME, or NAME:3 for the third time the point is reached, or
NAME:1:STOP for SIGSTOP in place of SIGKILL; several with commas. Which points there must be, and that a process armed
for any of them loses and doubles nothing, is tested in tests/failpoints; docs/failpoints.md says how.
"""

from __future__ import annotations

import os
import signal

#: What is left to count down to, by name; empty in every process that no test armed.
_armed: dict[str, tuple[int, signal.Signals]] = {}


def failpoint(name: str) -> None:
    """Nothing at all, unless this process is armed for `name`: then it ends, or stops, here."""
    if _armed:
        _hit(name)


def arm(text: str) -> None:
    """`text` as in the environment variable; "" disarms. Raises ValueError or KeyError for anything else."""
    _armed.clear()
    for each in filter(None, text.split(",")):
        name, _, rest = each.partition(":")
        nth, _, action = rest.partition(":")
        _armed[name] = (int(nth or 1), signal.Signals[f"SIG{action or 'KILL'}"])


def _hit(name: str) -> None:
    left, number = _armed.get(name, (0, signal.SIGKILL))
    if left > 1:
        _armed[name] = (left - 1, number)
    elif left == 1:
        del _armed[name]  # a process that is woken up again goes on
        os.kill(os.getpid(), number)


arm(os.environ.get("PASSGATE_FAILPOINT", ""))
