"""How the demo talks: chapters, lines with the time since it began, and commands as a person would type them."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Sequence
from typing import TextIO

from stack.place import is_clone

PROGRAM = "python3 manage.py" if is_clone() else "passgate"


class Teller:
    """Writes to `out`; never more than a line at a time, so that it can be piped and followed."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self._began = time.monotonic()
        self.prefix = ""
        """What must stand before a command for it to find this demo's stack."""

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def line(self, text: str = "") -> None:
        print(text, file=self._out, flush=True)

    def chapter(self, title: str) -> None:
        self.line()
        self.line(title)

    def say(self, text: str) -> None:
        self.line(f"[{self.seconds:5.1f} s] {text}")

    def typed(self, words: Sequence[str]) -> str:
        """A command line that can be copied."""
        return f"{self.prefix}{PROGRAM} {shlex.join(words)}"

    def command(self, words: Sequence[str]) -> None:
        self.say(f"$ {self.typed(words)}")

    def answer(self, text: str) -> None:
        for line in text.rstrip().splitlines():
            self.line(f"          {line}".rstrip())
