"""What was asked for, and what was found: one document, in a file after every measure."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from trials.bench.machine import describe
from trials.bench.measures import BY_KEY, LETTERS

Say = Callable[[str], None]


@dataclass(frozen=True)
class BenchOptions:
    """What was asked for. `long`: records of the long run; `apart`: a stack of its own for each kind."""

    events: int = 1_000_000
    rounds: int = 3
    only: tuple[str, ...] = LETTERS
    long: int = 10_000_000
    apart: bool = True

    def wants(self, *letters: str) -> bool:
        return any(letter in self.only for letter in letters)


@dataclass
class Notebook:
    """What was found, in a file after every measure: who interrupts a long run keeps what there is."""

    asked: BenchOptions
    out: Path | None
    say: Say
    machine: dict[str, Any] = field(default_factory=describe)
    rounds: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)

    def note(self, key: str, answer: dict[str, Any]) -> dict[str, Any]:
        self.rounds.setdefault(key, []).append(answer)
        measure = BY_KEY[key]
        self.say(f"{measure.letter:2} {measure.title.replace('**', '')}: {answer[measure.value]:,} {measure.unit}")
        self._write()
        return answer

    def fail(self, what: str, error: Exception) -> None:
        """What could not be measured is said, and the rest goes on."""
        self.failed.append(f"{what}: {error}")
        self.say(f"NOT MEASURED {what}: {error}")
        self._write()

    def _write(self) -> None:
        if self.out is not None:
            self.out.write_text(json.dumps(self.document(), indent=1) + "\n", encoding="utf-8")

    def document(self) -> dict[str, Any]:
        return {
            "format": 1,
            "asked": asdict(self.asked),
            "machine": self.machine,
            "rounds": self.rounds,
            "failed": self.failed,
        }
