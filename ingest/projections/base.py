"""Projections: allow-listed classes that turn a batch of events into SQL, in the transaction that applies them.

What readers may see of a projection is insert-only, lies in schema `truth`, and carries its window. A join never fills
in silently: it says MATCHED, MISSING or AMBIGUOUS per event; a degraded event carries its reason. Context is another
stream's rows of the very windows that the pin names; they are proven and their rows never change, so the answer does
not depend on who came first.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, ClassVar, NamedTuple

import msgspec
from django.conf import settings

from ingest.core.contract import Contract
from ingest.core.errors import PassgateError, SettingsError
from ingest.core.ids import WindowId
from ingest.db import Cursor, read, statements
from ingest.models import ContextState

sql = statements("ingest.projections", "base")


class ProjectionFailed(PassgateError):
    """A projection raised. The lane stands still until somebody has looked: nothing is skipped."""

    code: ClassVar[str] = "projection_failed"
    what: ClassVar[str] = "the projection raised"


class NotPinned(PassgateError):
    """The window does not say which verdict of the context's stream it joins with."""

    code: ClassVar[str] = "context_not_pinned"
    what: ClassVar[str] = "the window has no pin for the projection's context"


class TruthUnguarded(PassgateError):
    """A relation of schema truth does not go by its window's gate: readers would read it while the gate is shut."""

    code: ClassVar[str] = "truth_unguarded"
    what: ClassVar[str] = "a table that readers read does not go by the gate"


@dataclass(frozen=True, slots=True)
class AppliedEvent:
    """An event that is being applied. `payload` is its raw value, equal to the ledger's by digest."""

    identity: bytes
    class_name: str
    payload: bytes


class ContextNotOpen(PassgateError):
    """A projection reads under the gate's rule, and its context's gate could not be re-checked for a while."""

    code: ClassVar[str] = "context_not_open"
    what: ClassVar[str] = "the gate of the projection's context is not open"
    retry: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Pin:
    """The windows whose gated truth is the context, and the verdict that named it: `weather/2013-01#1`.

    One window; of one that failed and that a rerun opened also those of replays that brought events it had missed.
    `fallen`: why the verdict does not stand any more. Its rows are nobody's then, and there are no windows.
    """

    wins: tuple[WindowId, ...]
    verdict: str
    fallen: str = ""


class Joined(NamedTuple):
    """What became of one event's look-up; `reason` is empty for MATCHED."""

    state: ContextState
    reason: str = ""


#: What a projection says of its order.
KEY = "key"


class Projection(ABC):
    """Stateless; one instance a process. `apply` returns one answer an event, None where it joins nothing."""

    #: Statements that make its tables, run as owner by a migration; each table then gets `guard_truth_table`.
    ddl: ClassVar[str]
    tables: ClassVar[tuple[str, ...]]
    #: Per table, the event classes of which it writes rows; a table that is not named has rows of every class. A
    #: verdict compares each table's identities with the effects of these: `win` and `identity` are columns of each.
    takes: ClassVar[Mapping[str, Sequence[str]]] = {}
    #: Names of the contexts it needs a pin for.
    contexts: ClassVar[tuple[str, ...]] = ()
    #: KEY: its rows stand on events of one Kafka key being applied in their order. What comes late then, by a redrive
    #: or a replay that proves, wants a person's explicit consent.
    order: ClassVar[str] = ""
    #: Its rows and answers stand on the event and the pins alone, and it keeps no state beside them. Then what went
    #: missing of an event can be written again by a plan; else it might count the event twice.
    repeatable: ClassVar[bool] = False

    @abstractmethod
    def apply(
        self, cur: Cursor, win: WindowId, events: Sequence[AppliedEvent], pins: Mapping[str, Pin]
    ) -> Sequence[Joined | None]:
        """Write the rows of these events of window `win`, set-based, in the caller's transaction."""


@cache
def load_projection(class_path: str) -> Projection:
    """The projection `module:Class`, if the settings allow it. Raises SettingsError."""
    if class_path not in settings.PASSGATE_PROJECTIONS:
        raise SettingsError(
            expected=f"one of PASSGATE_PROJECTIONS: {', '.join(settings.PASSGATE_PROJECTIONS)}",
            found=class_path,
            next_step="add it to the setting, or correct the contract",
        )
    module, _, name = class_path.partition(":")
    try:
        made = getattr(import_module(module), name)()
    except Exception as error:  # whatever a module of somebody else's does when it is imported
        raise SettingsError(
            expected=f"a projection class {class_path}",
            found=f"{type(error).__name__}: {error}",
            next_step="make it importable for every process of Passgate, or correct the contract",
        ) from error
    if not isinstance(made, Projection):
        raise SettingsError(expected=f"{class_path} to be a Projection", found=type(made).__name__)
    return made


@dataclass(frozen=True, slots=True)
class UnguardedRelation:
    """A relation of schema truth (`truth.weather`), and what lets readers read more of it than the gate does."""

    table: str
    fault: str


def unguarded(cur: Cursor, tables: Iterable[str] | None = None) -> list[UnguardedRelation]:
    """Those of `tables` that are not guarded, or not there; None: of all that lies in schema truth."""
    values = {"tables": None if tables is None else sorted(set(tables))}
    return [UnguardedRelation(row.name, row.fault) for row in cur.execute(sql.unguarded, values).fetchall()]


def check_guarded(cur: Cursor, contract: Contract) -> None:
    """Raises TruthUnguarded for a table of the contract's projection, SettingsError for a class that cannot be used."""
    if contract.projection is None:
        return
    projection = load_projection(contract.projection.class_path)
    found = unguarded(cur, {*contract.projection.tables, *projection.tables})
    if found:
        raise TruthUnguarded(
            expected=f"tables of {contract.projection.class_path} guarded by their window's gate",
            found=", ".join(f"{each.table} {each.fault}" for each in found)[:500],
            next_step="let a migration make the table and call guard_truth_table() on it",
        )


def check_projection(class_path: str, tables: Sequence[str] = ()) -> Projection:
    """The projection, its tables and these there. Raises SettingsError, before a lane meets what cannot work."""
    projection = load_projection(class_path)
    with read() as cur:
        rows = cur.execute(_MISSING, {"tables": sorted({*projection.tables, *tables})}).fetchall()
    if projection.order not in ("", KEY):
        raise SettingsError(
            expected=f'order = "{KEY}", or none',
            found=f"{class_path} says {projection.order!r}",
            next_step="correct it",
        )
    if rows:
        raise SettingsError(
            expected=f"the tables of {class_path}",
            found=f"no table {', '.join(row.name for row in rows)}",
            next_step="make them by a migration that runs the projection's ddl",
        )
    return projection


_MISSING = "SELECT name FROM unnest(%(tables)s::text[]) AS t(name) WHERE to_regclass(name) IS NULL ORDER BY name"


def check_pins(projection: Projection, win: WindowId, pins: Mapping[str, Pin]) -> None:
    missing = [name for name in projection.contexts if name not in pins]
    if missing:
        raise NotPinned(
            expected=f"a pin of {', '.join(missing)} for window {win}",
            found=", ".join(pins) or "no pins",
            next_step="open a run after the context's stream has a PASS",
        )


# --- reading fields of a payload: producers write numbers as numbers, as text, or not at all


_decode = msgspec.json.Decoder(dict[str, Any]).decode


def fields(payload: bytes) -> dict[str, Any]:
    """The payload's members. Admitted events are JSON objects; anything else raises, which stops the lane."""
    return _decode(payload)


def as_text(value: Any) -> str | None:
    """A string as it is; a number or truth value as JSON writes it; nothing for null and compound values."""
    if value is None or isinstance(value, str):
        return value
    return None if isinstance(value, dict | list) else msgspec.json.encode(value).decode()


def as_number(value: Any) -> float | None:
    """A number, or text that is one; nothing for the rest ("NA", "", null)."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except ValueError:
        return None


def as_integer(value: Any) -> int | None:
    """A whole number within 32 bits, or text that is one; nothing for the rest."""
    number = as_number(value)
    whole = number is not None and number == number and abs(number) < 2**31 and number == int(number)
    return int(number) if whole and number is not None else None
