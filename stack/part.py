"""What every part of the stack is: something to prepare, a command, a way to see that it answers, a way to stop."""

import signal
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from stack.ports import answers
from stack.process import Command, Process

Say = Callable[[str], None]


class Part(ABC):
    """One part. Ports are given by the stack before `prepare`; everything it keeps lies below `data`."""

    name: ClassVar[str]
    port_names: ClassVar[tuple[str, ...]] = ()
    start_seconds: ClassVar[float] = 60.0
    vital: ClassVar[bool] = True
    """Whether the stack ends with it: without a store nothing works; what works on the stores is started ever again."""
    stop_steps: ClassVar[tuple[tuple[int, float], ...]] = ((signal.SIGTERM, 8.0),)

    def __init__(self, data: Path) -> None:
        self.data = data
        self.ports: dict[str, int] = {}

    @property
    def port(self) -> int | None:
        """The port others connect to; None for a part that listens on none."""
        return self.ports.get(self.port_names[0]) if self.port_names else None

    def prepare(self, say: Say) -> None:
        """Make what the first start needs. Does nothing the second time."""

    @abstractmethod
    def command(self) -> Command:
        """What to execute."""

    def is_ready(self, process: Process) -> bool:
        """Whether it answers. Called again and again while it starts."""
        return self.port is not None and answers(self.port)

    def env(self) -> dict[str, str]:
        """The settings by which others find it."""
        return {}

    def remove(self) -> None:
        """Remove what it keeps outside the data folder."""
