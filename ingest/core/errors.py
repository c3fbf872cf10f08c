"""Named errors: each carries a code, what was expected and found, what to do next, and whether trying again helps.

A class says what went wrong (`code`, `what`, `retry`); an instance says it about one case (`expected`, `found`,
`next_step`). Verbs define their own subclasses beside the verb; the areas below are what callers catch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar


class PassgateError(Exception):
    """Base of every error this project raises on purpose.

    `code` is stable and machine-readable; `retry` says whether the same call can succeed later with nothing changed
    by a person.
    """

    code: ClassVar[str] = "passgate_error"
    what: ClassVar[str] = "Passgate refused"
    retry: ClassVar[bool] = False

    def __init__(self, *, expected: str = "", found: str = "", next_step: str = "") -> None:
        self.expected = expected
        self.found = found
        self.next_step = next_step
        super().__init__(expected, found, next_step)

    def __str__(self) -> str:
        """One sentence: what, expected, found, next step; parts that are empty are left out."""
        parts = [
            f"expected {self.expected}" if self.expected else "",
            f"found {self.found}" if self.found else "",
            f"next: {self.next_step}" if self.next_step else "",
        ]
        said = "; ".join(part for part in parts if part)
        return f"{self.what}: {said}" if said else self.what


class ContractError(PassgateError):
    """One fault in a contract file: where it stands, what was found there and what to write instead."""

    code = "contract_invalid"
    what = "the contract is not valid"

    def __init__(self, *, file: str, line: int, key: str, found: str, write: str) -> None:
        self.file = file
        self.line = line
        self.key = key
        self.write = write
        super().__init__(expected=write, found=found, next_step=f"edit {file} line {line}")

    def __str__(self) -> str:
        """`file:line: key: found ...; write ...`, as compilers do, so that editors can jump to it."""
        where = f"{self.file}:{self.line}"
        return f"{where}: {self.key}: found {self.found}; write {self.write}"


class ContractErrors(PassgateError):
    """Every fault of one contract file, in the order of their lines."""

    code = "contract_invalid"
    what = "the contract is not valid"

    def __init__(self, errors: Sequence[ContractError]) -> None:
        self.errors = tuple(errors)
        first = self.errors[0]
        super().__init__(expected=first.write, found=first.found, next_step=first.next_step)

    def __str__(self) -> str:
        return "\n".join(str(error) for error in self.errors)


class RecordError(PassgateError):
    """A value handed to the record rules is not what they work on: a caller's mistake, not a producer's."""

    code = "record_invalid"
    what = "the record cannot be judged"


class LedgerError(PassgateError):
    """The database refused something that must never happen; the constraint's name tells which (ingest/db.py)."""

    code = "ledger_refused"
    what = "the ledger refused the change"


class LeaseError(PassgateError):
    """The lane's position is owned by somebody else, or its fence has risen."""

    code = "lease_lost"
    what = "the lease is not ours"


class BrokerError(PassgateError):
    """Kafka did not answer, or answered something the lane cannot go on with."""

    code = "broker_failed"
    what = "the broker did not answer as it must"
    retry = True


class RunError(PassgateError):
    """A run or window is not in the state the act needs."""

    code = "run_refused"
    what = "the run cannot do this now"


class PublishError(PassgateError):
    """An attempt cannot be prepared, sent or settled."""

    code = "publish_refused"
    what = "the attempt cannot go on"


class GateError(PassgateError):
    """The gate cannot evaluate: never a yes."""

    code = "gate_unavailable"
    what = "the gate cannot evaluate"
    retry = True


class PermissionRefused(PassgateError):
    """The person may not do this, or it could not be looked up, which is a no."""

    code = "permission_denied"
    what = "not permitted"


class NotFound(PassgateError):
    """No stream, run, window, receipt or item of that name."""

    code = "not_found"
    what = "there is no such thing"


class SettingsError(PassgateError):
    """The environment does not say what the program needs at start."""

    code = "settings_invalid"
    what = "the settings are not usable"
