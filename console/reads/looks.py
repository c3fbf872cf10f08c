"""Looking at what plans bind, beside the request that wants it: a page does not wait until millions are counted."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from console.reads.beside import Asker
from ingest.core.errors import PassgateError
from plans.core.binding import Limits
from plans.kinds.base import Prediction
from plans.preview import PlanPreview, preview
from plans.since import changed_since, foreseen

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

PATIENCE = 1.5  # seconds
ASKED_PATIENCE = 5.0  # where somebody has asked for nothing else, and Kafka may be asked for it
STILL = "it is still being worked out; look again in a moment"


@dataclass(frozen=True, slots=True)
class PlanLook:
    """What a look at a plan found. `why`: it found nothing, as this says."""

    at: datetime
    changes: tuple[str, ...] = ()
    says: tuple[str, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True)
class PreviewLook:
    """What would be asked for, or why that cannot be said."""

    preview: PlanPreview | None
    why: str = ""


_previews: Asker[str, PlanPreview] = Asker("plan-preview", 2)
_changes: Asker[int, list[str]] = Asker("plan-changes", 2)
_foreseen: Asker[int, Prediction] = Asker("plan-foreseen", 1)


def changes_of(number: int) -> PlanLook:
    """How what a plan binds differs from what was asked for."""
    found, why = _answer(_changes, number, functools.partial(changed_since, number))
    return PlanLook(datetime.now(UTC), changes=tuple(line for each in found for line in each), why=why)


def foreseen_of(number: int) -> PlanLook:
    """What it would do on what is there now, a sentence each."""
    found, why = _answer(_foreseen, number, functools.partial(foreseen, number))
    return PlanLook(datetime.now(UTC), says=tuple(line for each in found for line in each.lines), why=why)


def preview_of(kind: str, asked: Mapping[str, Any], limits: Limits) -> PreviewLook:
    """What a plan would bind and do."""
    key = json.dumps([kind, asked, limits.document()], sort_keys=True)
    found, why = _answer(_previews, key, functools.partial(preview, kind, asked, limits), ASKED_PATIENCE)
    return PreviewLook(found[0] if found else None, why)


def _answer(asker: Asker[K, T], key: K, ask: Callable[[], T], patience: float | None = None) -> tuple[list[T], str]:
    """The answer, or why there is none."""
    question = asker.asked(key, ask)
    try:
        return [question.answer.result(timeout=question.patience(patience or PATIENCE))], ""
    except NotYet:
        return [], STILL
    except PassgateError as error:
        return [], str(error)
