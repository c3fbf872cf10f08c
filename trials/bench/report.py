"""The table: Markdown from the rounds, for the terminal, for docs and for the README."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trials.bench.machine import sentence
from trials.bench.measures import Line, TargetResult, judged, lines

BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
README = "README.md"
GROUPS = ("client", "workers", "web", "control", "watch", "postgres", "broker")


def markdown(document: dict[str, Any]) -> str:
    """Both tables and the machine, from a document that the benchmark wrote."""
    found = lines(document["rounds"])
    parts = [rates(found), "", targets(judged(found, document["asked"])), "", _foot(document)]
    return "\n".join(parts)


def rates(found: Sequence[Line]) -> str:
    """One line a measure: median, range, against the loop by hand, and CPU seconds a million records."""
    hand = next((line.median for line in found if line.measure.key == "a"), None)
    rows = [
        "| | what | median | range | × by hand | CPU seconds a million: who |",
        "|---|---|---:|---:|---:|---|",
    ]
    for line in found:
        rate = line.measure.unit == "records/s" or line.measure.unit == "events/s"
        ratio = f"{line.median / hand:.1f}" if hand and rate else ""
        spread = f"{_number(line.low)} - {_number(line.high)}" if line.rounds > 1 else "one round"
        rows.append(
            f"| {line.measure.letter} | {line.measure.title} | {_number(line.median)} {line.measure.unit} | {spread} |"
            f" {ratio} | {_cpu(line) or line.said} |"
        )
    return "\n".join(rows)


def targets(found: Sequence[TargetResult]) -> str:
    rows = ["| to reach | found | |", "|---|---:|---|"]
    rows += [f"| {each.text} | {each.found} | {each.word} |" for each in found]
    return "\n".join(rows)


def insert(readme: Path, text: str) -> None:
    """Puts the text between the two marks of a file."""
    whole = readme.read_text(encoding="utf-8")
    if BEGIN not in whole or END not in whole:
        raise ValueError(f"{readme.name} has no place for the table: {BEGIN} … {END}")
    before, rest = whole.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    readme.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


def _foot(document: dict[str, Any]) -> str:
    asked = document["asked"]
    return f"{asked['events']:,} records, {asked['rounds']} rounds interleaved. {sentence(document['machine'])}."


def _cpu(line: Line) -> str:
    return ", ".join(f"{name} {line.cpu[name]:.1f}" for name in GROUPS if line.cpu.get(name, 0) >= 0.05)


def _number(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.2f}" if value < 10 else f"{value:.1f}"
