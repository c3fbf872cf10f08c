"""Reconcile, for one attempt or for all of a run: asks the lane's owner, who fences the old producer first."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from django.http import Http404, HttpRequest
from django.urls import reverse

from console import links
from console.pages.frame import contexts as c
from console.pages.frame.confirm import Confirmation, Done, Errors, confirmed
from console.pages.unknown.unknown import rows
from console.permissions import Act
from console.reads import attempts as reads
from console.reads import quarantine
from console.reads.attempts import LOST
from console.reads.named import RunName
from console.whole import whole
from ingest.core.errors import PassgateError
from ingest.core.ids import AttemptId
from ingest.publish import reconcile as verbs


@confirmed
def reconcile_one(request: HttpRequest, number: int) -> Reconciling:
    """`/attempts/{id}/reconcile`"""
    found = reads.one(number)
    if found is None:
        raise Http404
    return Reconciling(
        [found],
        found.run,
        f"Reconcile attempt {number}",
        _named(request),
        url=reverse("reconcile-one", args=[number]),
        back=links.attempt_url(number),
    )


@confirmed
def reconcile(request: HttpRequest) -> Reconciling:
    """`/unknown/reconcile?run=stream/run`: all of a run."""
    name = request.GET.get("run", "")
    run = quarantine.run_named(name)
    if run is None:
        raise Http404
    return Reconciling(
        reads.lost_of_run(run.id),
        RunName(run.id, run.stream.name, run.name),
        f"Reconcile all of {name}",
        _named(request),
        url=links.with_query(reverse("reconcile"), run=name),
        back=links.run_url(run.stream.name, run.name),
    )


def _named(request: HttpRequest) -> frozenset[int]:
    given = (whole(each) for each in request.POST.getlist("attempt"))
    return frozenset(number for number in given if number is not None)


@dataclass(frozen=True)
class Reconciling(Confirmation):
    """Asking for the attempts that were `named` on the page. What became unknown since is said, and not part of it."""

    permission: ClassVar[Act] = Act.RECONCILE
    template: ClassVar[str] = "unknown/reconcile"
    here: ClassVar[str] = "unknown"

    found: Sequence[reads.AttemptListing]
    run: RunName | None
    title: str
    named: frozenset[int]
    url: str
    back: str

    @property
    def waiting(self) -> list[reads.AttemptListing]:
        """Those whose outcome nobody knows."""
        return [each for each in self.found if each.attempt.state in LOST]

    @property
    def chosen(self) -> list[reads.AttemptListing]:
        """Those of them that were named."""
        return [each for each in self.waiting if each.attempt.id in self.named]

    @property
    def button(self) -> str:
        return f"Confirm: reconcile {len(self.waiting):,}" if self.waiting else "Confirm"

    def nothing(self) -> str:
        return "" if self.waiting else "None of these is UNKNOWN."

    def lacks(self) -> Errors:
        if self.chosen:
            return Errors()
        return Errors.of(["None of these attempts is UNKNOWN any more. Nothing was asked for."], 409)

    def hidden(self) -> tuple[tuple[str, str], ...]:
        return tuple(("attempt", str(each.attempt.id)) for each in self.found)

    def same(self) -> c.SameAct:
        waiting = self.waiting
        return c.SameAct(
            f"passgate reconcile {shlex.quote(self._run_name)}",
            "\n".join(f"POST /api/v1/attempts/{each.attempt.id}/reconcile" for each in waiting[:5])
            + (f"\n… and {len(waiting) - 5} more" if len(waiting) > 5 else ""),
        )

    @property
    def _run_name(self) -> str:
        return f"{self.run.stream}/{self.run.name}" if self.run else ""

    def act(self, actor: str) -> Done | Errors:
        """Ask for each; a refusal of one leaves the others asked for."""
        fresh, already, errors = 0, 0, []
        for each in self.chosen:
            try:
                asked = verbs.request(AttemptId(each.attempt.id), actor)
            except PassgateError as error:
                errors.append(f"Attempt {each.attempt.id}: {error}")
                continue
            fresh, already = fresh + asked, already + (not asked)
        if errors:
            return Errors.of(errors, 409)
        before = f" {already} had been asked for already." if already else ""
        message = (
            f"Asked to reconcile {fresh} attempt{'' if fresh == 1 else 's'}.{before} The lane's owner "
            "fences the old producer first, then looks; the run is judged again by itself."
        )
        return Done(message, self.back)

    def page(self, confirm: c.Confirm) -> c.ReconcilePage:
        return c.ReconcilePage(
            confirm=confirm,
            title=self.title,
            rows=rows(self.found),
            events=sum(each.attempt.events for each in self.waiting),
            attempts=len(self.waiting),
            joined=sum(each.attempt.id not in self.named for each in self.found) if self.named else 0,
            run=self._run_name,
        )
