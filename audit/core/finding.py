"""What a look at the ledger brings: findings, and what could not be looked at. Neither is ever silence."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One broken invariant: what it is about, what was found there, and the check that found it."""

    invariant: str
    subject: str
    found: str
    check: str = ""

    def __str__(self) -> str:
        return f"{self.invariant} {self.subject}: {self.found}"


@dataclass(frozen=True)
class BlindSpot:
    """What a check could not look at, and why: it is neither right nor wrong."""

    subject: str
    why: str
    check: str = ""

    def __str__(self) -> str:
        return f"{self.subject} was not looked at: {self.why}"


Said = Finding | BlindSpot


@dataclass(frozen=True)
class Report:
    """What all checks said. Nothing found means something only beside an empty `unseen`."""

    findings: tuple[Finding, ...]
    unseen: tuple[BlindSpot, ...]
