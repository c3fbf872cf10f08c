"""The invariants, checked at any moment: in the ledger, and against what Kafka answers.

Nothing here repairs anything: a finding is a fact for a person. Each check recomputes what it holds from what lies
under it, in another way than the code that wrote it, and says what it could not look at. Rows are compared where they
are; what has to leave the database (batches, readings of Kafka) goes through in bounded pieces.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from itertools import islice

from audit.core.finding import BlindSpot, Finding, Report, Said
from audit.fsck import again, chain, ledger, newest, passes, reread, truth
from audit.fsck.looking import MOST, Check, Scope

#: What `passgate fsck` says it does not check.
NOT_IN_FORCE = {
    "I9": "verdicts are not sealed yet: batch roots and verdict digests are recomputed, signatures are not there",
}
#: Checks of the ledger. `passes` and `newest` ask Kafka, too, but not for records.
CHECKS: tuple[Check, ...] = (
    *newest.CHECKS, *ledger.CHECKS, *again.CHECKS, *truth.CHECKS, *passes.CHECKS, *chain.CHECKS,
)  # fmt: skip
#: Every check by its name, those that read Kafka again included.
NAMES: tuple[str, ...] = (*(check.name for check in CHECKS), *reread.COMPARISONS)

__all__ = ["CHECKS", "NAMES", "NOT_IN_FORCE", "Finding", "Report", "BlindSpot", "examine", "fsck"]


def fsck(stream: str | None = None, bus: bool = True) -> list[Finding]:
    """Every finding; empty when all that could be looked at is what it says it is. `examine` tells what could not."""
    return list(examine(stream, bus).findings)


def examine(stream: str | None = None, bus: bool = True, names: Collection[str] = NAMES) -> Report:
    """What the checks of these names say of one stream, or of all (None).

    `bus`: read inbox and bus again, which takes as long as they are long.
    """
    said = [*_of_ledger(Scope(stream), names), *_of_kafka(stream, bus, names)]
    findings = tuple(x for x in said if isinstance(x, Finding))
    return Report(findings, tuple(x for x in said if isinstance(x, BlindSpot)))


def _of_ledger(scope: Scope, names: Collection[str]) -> Iterator[Said]:
    for check in CHECKS:
        if check.name in names:
            yield from (replace(said, check=check.name) for said in _bounded(check.look(scope)))


def _bounded(said: Iterable[Said]) -> Iterator[Said]:
    return islice(said, MOST)


def _of_kafka(stream: str | None, bus: bool, names: Collection[str]) -> Iterator[Said]:
    wanted = [name for name in reread.COMPARISONS if name in names]
    if wanted and bus:
        yield from reread.read_again(stream, wanted)
