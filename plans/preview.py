"""Previewing: what a plan would bind and do, and the digest that submitting would freeze. Nothing is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from plans.approvals import approvals_needed
from plans.core.approvals import Approvals
from plans.core.binding import NO_LIMITS, Limits, binding_digest, is_stop_rule
from plans.core.plan import Kind
from plans.errors import PlanRefused
from plans.kinds import kind_named
from plans.kinds.base import Bindings, Prediction

MOST = 2**31 - 1


@dataclass(frozen=True)
class PlanPreview:
    """What would be submitted. `binds` is the document that `digest` is over."""

    bound: Bindings
    limits: Limits
    binds: Mapping[str, Any]
    digest: bytes
    prediction: Prediction

    @property
    def says(self) -> tuple[str, ...]:
        """What it would do, and how many have to approve it where one is not enough: a sentence each."""
        approvals = Approvals(self.bound.approvals).says
        return (*self.prediction.lines, *([f"{approvals}."] if approvals else []))


def preview(kind: Kind | str, asked: Mapping[str, Any], limits: Limits = NO_LIMITS) -> PlanPreview:
    """Raises KindNotThere, PlanRefused, NotFound, or an error of the kind's own."""
    plan_kind = kind_named(str(kind))
    bound = bind(plan_kind.kind, asked, limits)
    binds = bound.document(limits)
    return PlanPreview(bound, limits, binds, binding_digest(binds), plan_kind.foresee(bound))


def bind(kind: Kind | str, asked: Mapping[str, Any], limits: Limits) -> Bindings:
    """What would be bound, with limits that can be kept."""
    _check(limits)
    plan_kind = kind_named(str(kind))
    for name in plan_kind.asks:
        if asked.get(name) is None:
            raise PlanRefused(expected=name, found="none", next_step=f"say which {name} the plan is about")
    bound = plan_kind.bind(asked)
    return replace(bound, approvals=approvals_needed(bound.kind, bound.stream, bound.win))


def _check(limits: Limits) -> None:
    for name, value in (("first", limits.first), ("rate", limits.rate)):
        if value is not None and not 1 <= value <= MOST:
            raise PlanRefused(expected=f"{name} from 1 to {MOST:,}", found=str(value))
    if limits.stop_when is not None and not is_stop_rule(limits.stop_when):
        raise PlanRefused(expected='a rule such as "quarantined > 0"', found=limits.stop_when[:100])
