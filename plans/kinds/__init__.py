"""The kinds of plans that can be asked for, one module each."""

from __future__ import annotations

from collections.abc import Mapping

from plans.core.plan import Kind
from plans.errors import KindNotThere
from plans.kinds.adopt import AdoptPlan
from plans.kinds.base import PlanKind
from plans.kinds.basis import BasisPlan
from plans.kinds.decide import DecidePlan
from plans.kinds.redrive import RedrivePlan
from plans.kinds.replay import ReplayPlan
from plans.kinds.republish import RepublishPlan
from plans.kinds.retire import RetirePlan
from plans.kinds.waive import WaivePlan

_ALL: tuple[PlanKind, ...] = (
    WaivePlan(),
    RedrivePlan(),
    ReplayPlan(),
    RepublishPlan(),
    DecidePlan(),
    BasisPlan(),
    RetirePlan(),
    AdoptPlan(),
)
KINDS: Mapping[Kind, PlanKind] = {each.kind: each for each in _ALL}


def kind_named(name: str) -> PlanKind:
    """Raises KindNotThere."""
    found = KINDS.get(Kind(name)) if name in list(Kind) else None
    if found is None:
        raise KindNotThere(expected=f"one of {', '.join(KINDS)}", found=name[:100])
    return found
