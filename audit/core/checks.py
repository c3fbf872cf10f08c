"""Every check of a verdict (docs/design.md#closing), one pure function each, in the order pages list them.

SEALED is not among them: verdicts are not sealed yet.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from audit.core import facts as f
from audit.core.basis import basis, other_cluster, other_topic
from audit.core.bus import applied, context, degraded, published
from audit.core.check import WAIVABLE, Act, Cause, Check, CheckName, Severity, State
from audit.core.ledger import balanced, expected, not_empty, quarantine
from audit.core.progress import accounted, caught_up, committed, coverage

__all__ = [
    "ALL", "NOT_LISTED", "WAIVABLE", "Act", "Cause", "Check", "CheckName", "Severity", "State",
    "context", "degraded", "expected", "other_cluster", "other_topic",
]  # fmt: skip

ALL: tuple[tuple[CheckName, Callable[[f.WindowFacts, datetime], Check | None]], ...] = (
    (CheckName.COVERAGE, coverage),
    (CheckName.CAUGHT_UP, caught_up),
    (CheckName.ACCOUNTED, accounted),
    (CheckName.BALANCED, balanced),
    (CheckName.EXPECTED, expected),
    (CheckName.PUBLISHED, published),
    (CheckName.APPLIED, applied),
    (CheckName.COMMITTED, committed),
    (CheckName.QUARANTINE, quarantine),
    (CheckName.DEGRADED, degraded),
    (CheckName.CONTEXT, context),
    (CheckName.BASIS, basis),
    (CheckName.NOT_EMPTY, not_empty),
)

NOT_LISTED = {
    CheckName.EXPECTED: "no control totals are declared and the contract does not require them",
    CheckName.DEGRADED: "the stream has no projection that joins",
    CheckName.CONTEXT: "the stream has no projection that joins",
}
