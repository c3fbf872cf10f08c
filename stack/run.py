"""A part of a running stack: its present process, and what became of earlier ones."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from stack.part import Part
from stack.process import Process


class State(StrEnum):
    """What a part is doing."""

    STARTING = "starting"
    UP = "up"
    FROZEN = "frozen"
    RESTARTING = "restarting"
    STOPPED = "stopped"


@dataclass
class Run:
    """A part and its present process."""

    part: Part
    process: Process | None = None
    state: State = State.STOPPED
    wanted: bool = False
    since: float = 0.0
    restarts: int = 0
    deaths: list[float] = field(default_factory=list)
    again_at: float | None = None
    ready_by: float = 0.0
    why: str | None = None

    def row(self, name: str) -> dict[str, Any]:
        """What `status` says about it. `since` is when its present process started, None where none runs; `why` is how
        the one before ended by itself, None where none did."""
        alive = self.process is not None and self.process.exit_code() is None
        return {
            "part": name,
            "state": str(self.state),
            "pid": self.process.pid if self.process and alive else None,
            "port": self.part.port,
            "restarts": self.restarts,
            "since": self.since if alive else None,
            "why": self.why,
        }

    def obituary(self) -> str:
        """How its process ended: exit code and last log lines."""
        assert self.process is not None
        return f"exit {self.process.exit_code()}: {self.process.last_lines()[-600:]}"

    def lost_a_port(self) -> bool:
        """Whether it ended because another program has its port: all of them say "in use" then."""
        return self.process is not None and "in use" in self.process.new_log().lower()
