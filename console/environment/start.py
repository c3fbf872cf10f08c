"""What each start does with the environment: refuses one that cannot be used, and warns of names that are no setting.

A process that went on with a default in place of what a person wrote would do what nobody asked for, and say nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

from console.environment.faults import Fault, faults, unknown
from ingest.core.errors import SettingsError

REFUSED = 3
"""Of commands: refused. To gunicorn it means that a worker cannot boot, so that it ends and starts no other one."""
_warned: set[str] = set()


class UnusableSettings(SettingsError):
    """Settings that cannot be read, each with its key, what was found and what to write."""

    def __init__(self, found: Sequence[Fault]) -> None:
        self.faults = tuple(found)
        first = self.faults[0]
        super().__init__(expected=first.write, found=f"{first.key}: {first.found}", next_step="docs/settings.md")

    def __str__(self) -> str:
        return "\n".join([f"{self.what} [{self.code}]", *(f"  {fault}" for fault in self.faults)])


def refuse_unusable(environment: Mapping[str, str] | None = None) -> None:
    """What every process calls before it does anything; warns of an unknown name once in a process, on stderr.

    Raises:
        SystemExit: with code 3, after the message. Not an error of ours, since whoever imports us (gunicorn, Celery,
            Django) would show its traceback.
    """
    environment = os.environ if environment is None else environment
    for name in unknown(environment):
        if name.name not in _warned:
            _warned.add(name.name)
            print(f"passgate: warning: {name}", file=sys.stderr, flush=True)
    found = faults(environment)
    if found:
        end(str(UnusableSettings(found)))


def end(text: str) -> NoReturn:
    """Say why on stderr, and end the process."""
    print(f"passgate: {text}", file=sys.stderr, flush=True)
    sys.exit(REFUSED)
