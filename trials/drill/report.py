"""What was seen, for people and for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import shorten
from typing import Any

from trials.drill.judgement import Observation, Problem

HEADS = ("fault", "events", "effects", "publishes", "unknown", "lanes stopped by", "verdicts", "wrong")
Result = tuple[Observation, tuple[Problem, ...]]


def table(results: Sequence[Result]) -> str:
    rows = [HEADS, *(_row(seen, found) for seen, found in results)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADS))]
    lines = ("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _row(seen: Observation, found: Sequence[Problem]) -> tuple[str, ...]:
    kinds = ", ".join(dict.fromkeys(str(problem.kind) for problem in found))
    return (
        seen.name, f"{len(seen.sent):,}", f"{seen.effects:,}", states(seen.states), f"{seen.unknowns:,}",
        ", ".join(seen.stops) or "-", " then ".join(seen.verdicts) or "-", kinds or "nothing",
    )  # fmt: skip


def states(found: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {state}" for state, count in sorted(found.items())) or "-"


def lines(seen: Observation, found: Sequence[Problem]) -> list[str]:
    """What was seen of one fault, and what is wrong with it."""
    bus = sum(seen.on_bus.values()) + seen.strange
    parts = [
        f"seen: {seen.decided}; read again from the bus: {bus:,} records,"
        f" {len(seen.on_bus):,} events; effects: {seen.effects:,}",
        f"      publishes {states(seen.states)}; {seen.unknowns:,} of them were once UNKNOWN;"
        f" lanes stopped by {', '.join(seen.stops) or 'nothing'}",
        f"said: {' then '.join(seen.verdicts) or 'nothing'}. {shorten(seen.sentence, 300)}",
    ]
    return [*parts, *(f"WRONG {problem}" for problem in found)]


def document(results: Sequence[Result], code: int) -> dict[str, Any]:
    """The same, as JSON has it."""
    return {"faults": [_fault(seen, found) for seen, found in results], "exit_code": code}


def _fault(seen: Observation, found: Sequence[Problem]) -> dict[str, Any]:
    return {
        "fault": seen.name, "injected": seen.injected, "events": len(seen.sent),
        "bus": {"events": len(seen.on_bus), "records": sum(seen.on_bus.values()) + seen.strange},
        "effects": seen.effects, "attempts": dict(seen.states), "unknown": seen.unknowns, "stops": list(seen.stops),
        "verdicts": list(seen.verdicts), "sentence": seen.sentence, "fsck": list(seen.fsck),
        "seconds": round(seen.seconds, 1), "wrong": [{"kind": str(p.kind), "found": p.text} for p in found],
    }  # fmt: skip
