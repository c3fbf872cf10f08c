"""What a fault must not do, held against what was counted without trusting the ledger. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class ProblemKind(StrEnum):
    """Kinds of problems; any one of them makes the drill fail."""

    LOST = "lost"
    DOUBLED = "doubled"
    EARLY = "committed early"
    GREEN = "falsely green"
    JUDGED = "judged otherwise"
    FSCK = "fsck"
    NOT_PLAYED = "not played"


@dataclass(frozen=True)
class Expectation:
    """What must come of a fault.

    `verdicts` in their order; a BLOCKED before them, while lanes still work, is no difference. `says`: words that a
    verdict which is no PASS has to give as its cause. `foreign`: records on the bus that are not ours.
    """

    verdicts: tuple[str, ...] = ("PASS",)
    says: str = ""
    foreign: int = 0


@dataclass(frozen=True)
class Observation:
    """What the driver knows and saw of one fault.

    `sent`: identities that went to the inbox. `on_bus`: how often each was read from the bus by a consumer of the
    driver's own; `strange`: records there that are none of them. `effects`: the ledger's, unique by constraint.
    `early`: Kafka commits that were ahead of the durable position. `opened`: the gate let somebody read before a PASS.
    `open_after`: it does now. `sentence`: what the verdicts said, in their order.
    """

    name: str
    injected: str
    sent: frozenset[str]
    on_bus: Mapping[str, int]
    strange: int
    effects: int
    verdicts: tuple[str, ...]
    sentence: str
    early: tuple[str, ...] = ()
    opened: bool = False
    open_after: bool = False
    fsck: tuple[str, ...] = ()
    states: Mapping[str, int] = field(default_factory=dict)
    stops: tuple[str, ...] = ()
    unknowns: int = 0
    decided: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Problem:
    kind: ProblemKind
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}"


def problems(expected: Expectation, seen: Observation) -> tuple[Problem, ...]:
    """Everything that is wrong; empty where the fault did no harm and the verdict said what it should."""
    return (*_played(seen), *_records(expected, seen), *_early(seen), *_verdicts(expected, seen), *_fsck(seen))


def exit_code(found: Mapping[str, tuple[Problem, ...]]) -> int:
    """0 only if faults were played and none of them did harm."""
    return 0 if found and not any(found.values()) else 1


def _played(seen: Observation) -> list[Problem]:
    return [] if seen.injected else [Problem(ProblemKind.NOT_PLAYED, "the fault could not be brought about")]


def _records(expected: Expectation, seen: Observation) -> list[Problem]:
    missing = len(seen.sent - seen.on_bus.keys())
    twice = sum(count - 1 for count in seen.on_bus.values() if count > 1)
    unknown = len(seen.on_bus.keys() - seen.sent) + seen.strange
    found = [
        (ProblemKind.LOST, missing, "events are not on the bus"),
        (ProblemKind.LOST, len(seen.sent) - seen.effects, "events have no effect"),
        (ProblemKind.DOUBLED, twice, "records lie on the bus again"),
        (ProblemKind.DOUBLED, seen.effects - len(seen.sent), "effects more than events"),
        (ProblemKind.DOUBLED, unknown - expected.foreign, "records on the bus that nobody sent"),
    ]
    return [Problem(kind, f"{count:,} {what}") for kind, count, what in found if count > 0]


def _early(seen: Observation) -> list[Problem]:
    return [Problem(ProblemKind.EARLY, text) for text in seen.early]


def _verdicts(expected: Expectation, seen: Observation) -> list[Problem]:
    faults = []
    states, wanted = seen.verdicts, expected.verdicts
    if "BLOCKED" not in wanted and states[:1] == ("BLOCKED",):
        states = states[1:]
    if states != wanted:
        early_pass = "PASS" in states and (wanted[-1] != "PASS" or states[0] != wanted[0])
        text = f"{_then(states)}, where {_then(wanted)} was to be said: {seen.sentence}"
        faults.append(Problem(ProblemKind.GREEN if early_pass else ProblemKind.JUDGED, text))
    elif expected.says not in seen.sentence:
        faults.append(Problem(ProblemKind.JUDGED, f'"{expected.says}" is not the cause given: {seen.sentence}'))
    return faults + _gate(seen, states[-1:] == ("PASS",))


def _then(verdicts: tuple[str, ...]) -> str:
    return " then ".join(verdicts) or "nothing"


def _gate(seen: Observation, passed: bool) -> list[Problem]:
    if seen.opened or (seen.open_after and not passed):
        return [Problem(ProblemKind.GREEN, "the gate was open without a PASS")]
    if passed and not seen.open_after:
        return [Problem(ProblemKind.JUDGED, "the gate stayed shut after a PASS")]
    return []


def _fsck(seen: Observation) -> list[Problem]:
    return [Problem(ProblemKind.FSCK, text) for text in seen.fsck]
