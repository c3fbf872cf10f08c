"""Acts of people on a plan: approve exactly this, decline, pause, resume, cancel. It runs by itself."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from django.http import HttpRequest

from console import links
from console.pages.frame import contexts as c
from console.pages.frame.confirm import Confirmation, Done, Errors, confirmed, reason_in
from console.pages.plans.plans import box, plan_or_404, predicted
from console.people import Accounts, actor_named
from console.permissions import Act, Answer
from console.reads import plans as reads
from console.refusals import written_down
from ingest.core.ids import WindowId
from plans import answer, steer
from plans.core.plan import State, acts_in
from plans.models import Plan

NO_REASON = "Say why: it stands in the plan's history and in the audit log."
NO_DIGEST = "The form does not name what is approved. Load the page again, and look."


@confirmed
def approve(request: HttpRequest, plan: int) -> Approving:
    """`/plans/{id}/approve`: the form names the digest of what was shown."""
    return Approving(*_asked(request, plan, "approve"), digest=request.POST.get("digest", ""))


@confirmed
def decline(request: HttpRequest, plan: int) -> Declining:
    """`/plans/{id}/decline`"""
    return Declining(*_asked(request, plan, "decline"))


@confirmed
def pause(request: HttpRequest, plan: int) -> Pausing:
    """`/plans/{id}/pause`"""
    return Pausing(*_asked(request, plan, "pause"))


@confirmed
def resume(request: HttpRequest, plan: int) -> Resuming:
    """`/plans/{id}/resume`"""
    return Resuming(*_asked(request, plan, "resume"))


@confirmed
def cancel(request: HttpRequest, plan: int) -> Cancelling:
    """`/plans/{id}/cancel`"""
    return Cancelling(*_asked(request, plan, "cancel"))


def _asked(request: HttpRequest, number: int, act: str) -> tuple[Plan, str, str, str]:
    return plan_or_404(number), reason_in(request), links.plan_url(number, f"plan-{act}"), links.plan_url(number)


@dataclass(frozen=True)
class _OfPlan:
    """What every act on a plan has. `name` is the act's, in paths and commands; `reasoned`: it wants a reason."""

    template: ClassVar[str] = "plans/act"
    here: ClassVar[str] = "plans"
    permission: ClassVar[Act]
    name: ClassVar[str]
    button: ClassVar[str]
    lead: ClassVar[str]
    said: ClassVar[str]
    reasoned: ClassVar[bool] = True

    plan: Plan
    reason: str
    url: str
    back: str

    def allowed(self, user: Any) -> Answer:
        return reads.may_do(self.plan, user, self.name, self.permission, self.signing)

    @functools.cached_property
    def signing(self) -> reads.Signing:
        """The approvals that it has, and what else matters to one."""
        return reads.signing_of([self.plan])[self.plan.pk]

    def done(self) -> str:
        """What has become of the plan."""
        return self.said

    def told(self) -> str:
        """What is about to become of it."""
        return self.lead

    def nothing(self) -> str:
        if self.name in acts_in(self.plan.state):
            return ""
        return f"Plan {self.plan.pk} is {self.plan.state}: there is nothing to {self.name}."

    def lacks(self) -> Errors:
        return Errors.of([NO_REASON] if self.reasoned and not self.reason else [])

    def same(self) -> c.SameAct:
        number = self.plan.pk
        because = ' --because "…"' if self.reasoned else ""
        return c.SameAct(
            f"passgate plan {self.name} {number}{self.more}{because}",
            f"POST /api/v1/plans/{number}/{self.name}",
            self.body,
        )

    @property
    def more(self) -> str:
        """What the command line names besides."""
        return ""

    @property
    def body(self) -> str:
        return '{"reason": "…"}'

    def verb(self) -> Callable[[str], None]:
        """What is done, by the account of this name."""
        raise NotImplementedError

    def act(self, actor: str) -> Done:
        with written_down(actor, f"console.plan.{self.name}", f"plan:{self.plan.pk}"):
            self.verb()(actor)
        windows = [WindowId(self.plan.win_id)] if self.plan.win_id else []
        return Done(f"Plan {self.plan.pk} {self.done()}", self.back, windows)

    def page(self, confirm: c.Confirm) -> c.PlanActPage:
        return c.PlanActPage(
            confirm=confirm,
            plan=box(self.plan, self.signing.approvals),
            title=f"{self.name.capitalize()} plan {self.plan.pk}",
            lead=self.told(),
            predicted=predicted(self.plan),
            required=self.reasoned,
            reason=self.reason,
        )


@dataclass(frozen=True)
class Approving(_OfPlan, Confirmation):
    """One person's approval, of exactly what the page showed."""

    permission: ClassVar[Act] = Act.APPROVE
    name: ClassVar[str] = "approve"
    button: ClassVar[str] = "Approve exactly this"
    lead: ClassVar[str] = "You sign what stands here and nothing else. Then it runs by itself, within seconds."
    lead_of_several: ClassVar[str] = "You sign what stands here and nothing else. It runs once others have, too."
    said: ClassVar[str] = "is approved. It runs by itself."
    reasoned: ClassVar[bool] = False

    digest: str = ""

    def done(self) -> str:
        plan = plan_or_404(self.plan.pk)
        if plan.state != State.SUBMITTED:
            return self.said
        return f"has your approval, and waits for others: {reads.signing_of([plan])[plan.pk].approvals.says}."

    def told(self) -> str:
        lead = self.lead if self.signing.approvals.left <= 1 else self.lead_of_several
        return " ".join(filter(None, [lead, self.signing.says]))

    def hidden(self) -> tuple[tuple[str, str], ...]:
        return (("digest", bytes(self.plan.digest).hex()),)

    def lacks(self) -> Errors:
        return Errors.of([] if self._seen() else [NO_DIGEST])

    def _seen(self) -> bytes:
        try:
            return bytes.fromhex(self.digest)
        except ValueError:
            return b""

    @property
    def more(self) -> str:
        return f" --digest {bytes(self.plan.digest).hex()}"

    @property
    def body(self) -> str:
        return f'{{"digest": "{bytes(self.plan.digest).hex()}"}}'

    def verb(self) -> Callable[[str], None]:
        seen = self._seen()
        return lambda actor: answer.approve(self.plan.pk, seen, actor_named(actor), Accounts(), self.reason)


@dataclass(frozen=True)
class Declining(_OfPlan, Confirmation):
    """Saying no."""

    permission: ClassVar[Act] = Act.APPROVE
    name: ClassVar[str] = "decline"
    button: ClassVar[str] = "Confirm: decline"
    lead: ClassVar[str] = "It will not run. Whoever asked reads why, and may ask again."
    said: ClassVar[str] = "is declined."

    def verb(self) -> Callable[[str], None]:
        return lambda actor: answer.decline(self.plan.pk, actor_named(actor), Accounts(), self.reason)


@dataclass(frozen=True)
class Pausing(_OfPlan, Confirmation):
    """Holding a plan that runs."""

    permission: ClassVar[Act] = Act.STEER
    name: ClassVar[str] = "pause"
    button: ClassVar[str] = "Confirm: pause"
    lead: ClassVar[str] = "It is held after the step under way. Going on is under the same approval."
    said: ClassVar[str] = "is held."

    def verb(self) -> Callable[[str], None]:
        return lambda actor: steer.pause(self.plan.pk, actor_named(actor), Accounts(), self.reason)


@dataclass(frozen=True)
class Resuming(_OfPlan, Confirmation):
    """Going on with a plan that is held."""

    permission: ClassVar[Act] = Act.STEER
    name: ClassVar[str] = "resume"
    button: ClassVar[str] = "Confirm: resume"
    lead: ClassVar[str] = "It goes on with what is left, under the approval that it has."
    said: ClassVar[str] = "goes on by itself."
    reasoned: ClassVar[bool] = False

    def verb(self) -> Callable[[str], None]:
        return lambda actor: steer.resume(self.plan.pk, actor_named(actor), Accounts(), self.reason)


@dataclass(frozen=True)
class Cancelling(_OfPlan, Confirmation):
    """Ending a plan that runs or is held."""

    permission: ClassVar[Act] = Act.STEER
    name: ClassVar[str] = "cancel"
    button: ClassVar[str] = "Confirm: cancel"
    lead: ClassVar[str] = "What is done stays done; what is left never runs. It cannot be undone."
    said: ClassVar[str] = "is cancelled. What was done stays done."

    def verb(self) -> Callable[[str], None]:
        return lambda actor: steer.cancel(self.plan.pk, actor_named(actor), Accounts(), self.reason)
