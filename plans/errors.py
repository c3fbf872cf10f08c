"""What a plan is refused for; and which of these each rule of the database stands for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from ingest.core.errors import NotFound, PassgateError, PermissionRefused
from ingest.db import ConstraintViolated


class PlanRefused(PassgateError):
    """The plan cannot be asked for, or cannot do this now."""

    code: ClassVar[str] = "plan_refused"
    what: ClassVar[str] = "the plan cannot do this now"


class KindNotThere(PlanRefused):
    """A kind of plan that nobody can ask for yet."""

    code: ClassVar[str] = "plan_kind_not_there"
    what: ClassVar[str] = "plans of this kind cannot be asked for yet"


class WrongState(PlanRefused):
    """The plan is in a state from which this does not follow."""

    code: ClassVar[str] = "plan_state"
    what: ClassVar[str] = "the plan is in another state"


class PlanExpired(PlanRefused):
    code: ClassVar[str] = "plan_expired"
    what: ClassVar[str] = "the plan has expired"


class PlanChanged(PlanRefused):
    """What the plan binds is not any more what was previewed or submitted."""

    code: ClassVar[str] = "plan_changed"
    what: ClassVar[str] = "what the plan binds has changed"


class AnotherDigest(PlanRefused):
    """Whoever approves names another digest than the plan's: they saw something else."""

    code: ClassVar[str] = "plan_digest"
    what: ClassVar[str] = "the plan has another digest"


class ConsentNeeded(PlanRefused):
    """A projection keeps the order of each Kafka key, and nobody has consented to events that come late."""

    code: ClassVar[str] = "order_consent"
    what: ClassVar[str] = "what comes out of order wants an explicit consent"


class UnreceivedOffset(PlanRefused):
    """What the plan was to read next is gone from the inbox, and not all of it was ever received."""

    code: ClassVar[str] = "gone_unreceived"
    what: ClassVar[str] = "what was never received is gone from the inbox"


class OriginTaken(PlanRefused):
    """Another plan runs over the same offsets."""

    code: ClassVar[str] = "plan_origin_taken"
    what: ClassVar[str] = "another plan runs over the same offsets"
    retry: ClassVar[bool] = True


class SamePerson(PermissionRefused):
    """Whoever asked for a plan does not approve it, under whatever account."""

    code: ClassVar[str] = "same_person"
    what: ClassVar[str] = "a plan is approved by somebody else than who asked for it"


class ApprovedAlready(PermissionRefused):
    """A plan that several people approve is approved by each of them once, under whatever account."""

    code: ClassVar[str] = "approved_already"
    what: ClassVar[str] = "each person approves a plan once"


class NotAllowed(PermissionRefused):
    """The account may not do this, or there is no such account."""


class NoSuchPlan(NotFound):
    """No plan of that number."""

    what: ClassVar[str] = "there is no such plan"


#: By the name of the database's rule. What is not named here comes out as ConstraintViolated.
RULES: dict[str, type[PassgateError]] = {
    "plan_transition": WrongState,
    "plan_is_over": WrongState,
    "plan_starts_submitted": WrongState,
    "plan_fixed": PlanRefused,
    "plan_approval_fixed": PlanRefused,
    "plan_digest": AnotherDigest,
    "plan_approves_its_digest": AnotherDigest,
    "plan_four_eyes": SamePerson,
    "plan_approval_waits": WrongState,
    "plan_approval_once": ApprovedAlready,
    "plan_has_its_approvals": WrongState,
    "plan_approvals_of_contract": PlanChanged,
    "plan_expired": PlanExpired,
    "plan_expires_in_time": WrongState,
    "plan_says_why": PlanRefused,
    "plan_done_is_whole": WrongState,
    "plan_one_running_origin": OriginTaken,
    "plan_item_outcome_once": WrongState,
    "plan_item_of_running_plan": WrongState,
    "waiver_of_its_plan": PlanRefused,
    "basis_of_its_plan": PlanRefused,
    "recheck_end_of_its_plan": PlanRefused,
    "decision_of_its_plan": PlanRefused,
    "decision_of_undecidable": PlanRefused,
    "decision_of_effects": PlanRefused,
    "republish_of_its_plan": PlanRefused,
    "gone_was_received": UnreceivedOffset,
    "mended_of_its_plan": PlanRefused,
    "mended_of_its_window": PlanRefused,
    "mended_as_it_was": PlanRefused,
}


@contextmanager
def named() -> Iterator[None]:
    """What the database refused comes out under the name of a plan's error."""
    try:
        yield
    except ConstraintViolated as refused:
        error = RULES.get(refused.constraint)
        if error is None:
            raise
        raise error(expected=refused.expected, found=refused.found) from refused
