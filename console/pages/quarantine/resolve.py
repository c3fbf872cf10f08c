"""Resolving quarantine items: one, those that were ticked, or a group as it was when its page was made."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from django.http import Http404, HttpRequest
from django.urls import reverse

from console import links
from console.pages.frame import contexts as c
from console.pages.frame.confirm import NO_REASON, Confirmation, Done, Errors, confirmed, reason_in
from console.pages.quarantine.quarantine import CHOICES, item_or_404, item_rows, redrive_button
from console.permissions import Act
from console.phrases import reason_name, reason_words
from console.reads import quarantine as reads
from console.reads.named import run_names
from console.whole import whole
from ingest import quarantine as verbs
from ingest.core.ids import RunId
from ingest.core.reason import Reason
from ingest.models import ItemState, QuarantineItem, Resolution

MOST_TICKED = 200
MOST_NAME = 400  # characters of what somebody types to confirm
MOST_LISTED = 20  # items that stand on a confirm page

WHY = "why, for whoever audits this"


@dataclass(frozen=True, slots=True)
class Form:
    """What a person has said: what becomes of the items, why, and the run whose bound they exceed knowingly."""

    resolution: str
    reason: str
    beyond: str

    @classmethod
    def of(cls, request: HttpRequest) -> Form:
        given = request.POST
        return cls(given.get("resolution", ""), reason_in(request), given.get("beyond", ""))


@dataclass(frozen=True, slots=True)
class Names:
    """How pages, commands and the API name what is to be resolved. `body` begins the API's body."""

    title: str
    reason: str
    command: str
    api: str
    body: str = ""


@confirmed
def resolve(request: HttpRequest, number: int) -> Resolving:
    """`/quarantine/{id}/resolve`: one item, then the next one."""
    stored_item = item_or_404(number)
    following, _ = reads.next_open(stored_item)
    done = links.item_url(following) if following else reverse("quarantine")
    return Resolving(
        [stored_item],
        Names(
            f"Resolve item {number}",
            reason_name(stored_item.reason),
            f"passgate quarantine resolve {number}",
            f"POST /api/v1/quarantine/{number}/resolve",
        ),
        Form.of(request),
        url=reverse("resolve", args=[number]),
        back=links.item_url(number),
        done=done if request.POST.get("next") else links.item_url(number),
        then_next=True,
        redrive=redrive_button(request, [number]),
    )


@confirmed
def resolve_many(request: HttpRequest) -> Resolving:
    """`/quarantine/resolve?group=&upto=` or `?item=1&item=2`: a selection, frozen when the page was made."""
    given = request.POST if request.method == "POST" else request.GET
    named = reads.group_key(given.get("group", ""))
    if named is not None:
        return _of_group(request, named, given.get("upto", ""))
    numbers = sorted({number for each in given.getlist("item") if (number := whole(each)) is not None})[:MOST_TICKED]
    stored_items = reads.some(numbers)
    if not stored_items:
        raise Http404
    ids = [str(each.id) for each in stored_items]
    back = links.group_url(stored_items[0].run_id, reason_name(stored_items[0].reason))
    return Resolving(
        stored_items,
        Names(
            f"Resolve {len(stored_items)} items",
            "",
            f"passgate quarantine resolve {' '.join(ids)}",
            "POST /api/v1/quarantine/resolve",
            f'"items": [{", ".join(ids)}], ',
        ),
        Form.of(request),
        url=reverse("resolve-many"),
        back=back,
        done=back,
        ticked=tuple(ids),
        redrive=redrive_button(request, [each.id for each in stored_items]),
    )


def _of_group(request: HttpRequest, named: reads.GroupKey, upto: str) -> Resolving:
    last = whole(upto) or 0
    run = run_names([named.run]).get(named.run)
    if run is None or not last:
        raise Http404
    found, count = reads.upto(named, last, MOST_LISTED)
    back = reverse("group", args=[named.text])
    name = f"{run.stream}/{run.name}"
    return Resolving(
        found,
        Names(
            f"Resolve all {count:,} of {name}",
            named.reason.name,
            f"passgate quarantine resolve {shlex.quote(name)} --reason {named.reason.name}",
            "POST /api/v1/quarantine/resolve",
            '"items": [...], ',
        ),
        Form.of(request),
        url=reverse("resolve-many"),
        back=back,
        done=back,
        group=verbs.Group(RunId(named.run), named.reason, last),
        count=count,
    )


@dataclass(frozen=True)
class Resolving(Confirmation):
    """`items` are all of what is resolved, or the first ones of a `group`, which has `count`.

    `done` is where a person goes after it; `ticked` are the items as the form carries them.
    """

    permission: ClassVar[Act] = Act.RESOLVE
    template: ClassVar[str] = "quarantine/resolve"
    here: ClassVar[str] = "quarantine"

    items: Sequence[QuarantineItem]
    names: Names
    form: Form
    url: str
    back: str
    done: str
    then_next: bool = False
    ticked: tuple[str, ...] = ()
    group: verbs.Group | None = None
    count: int = 0
    redrive: c.Button | None = None

    @cached_property
    def open(self) -> list[int]:
        """The items that are open, by number."""
        return [each.id for each in self.items if each.state == ItemState.OPEN]

    @property
    def number(self) -> int:
        """How many items the button resolves."""
        return self.count if self.group else len(self.open)

    @cached_property
    def discards(self) -> tuple[verbs.Discards, ...]:
        """What discarding them would come to, in each window."""
        return verbs.discards_of_group(self.group) if self.group else verbs.discards_of(self.open)

    @property
    def beyond(self) -> tuple[str, ...]:
        """The runs in which that exceeds what the contract allows."""
        return tuple(each.run for each in self.discards if each.beyond)

    @cached_property
    def choices(self) -> tuple[c.Choice, ...]:
        """What may become of them."""
        mismatch = all(each.reason == Reason.PAYLOAD_MISMATCH for each in self.items)
        no_first = "" if mismatch else "There is no first payload that could stand."
        return tuple(
            c.Choice(
                value,
                word,
                words,
                no_first if value == Resolution.ACCEPTED_FIRST else "",
                tuple(_sums(each) for each in self.discards) if value == Resolution.DISCARDED else (),
            )
            for value, word, words in CHOICES
        )

    @property
    def chosen(self) -> str:
        """What the person chose, or the first that is allowed."""
        if self.form.resolution in [each.value for each in self.choices]:
            return self.form.resolution
        return next((each.value for each in self.choices if not each.refused), "")

    @property
    def button(self) -> str:
        return f"Confirm: resolve {self.number:,}" if self.number else "Nothing to resolve"

    def nothing(self) -> str:
        return "" if self.number else "Nothing of this is open any more."

    def lacks(self) -> Errors:
        wrong = []
        if not any(each.value == self.form.resolution and not each.refused for each in self.choices):
            wrong.append("Choose what becomes of it.")
        if not self.form.reason:
            wrong.append(NO_REASON)
        if not self.number:
            wrong.append("Nothing of this is open any more.")
        return Errors.of(wrong)

    def hidden(self) -> tuple[tuple[str, str], ...]:
        if self.group:
            return (("group", _key(self.group).text), ("upto", str(self.group.upto)))
        return tuple(("item", each) for each in self.ticked)

    def same(self) -> c.SameAct:
        names, resolution = self.names, self.chosen
        return c.SameAct(
            f'{names.command} --resolution {resolution} --because "{WHY}"{_named_in_command(resolution, self.beyond)}',
            names.api,
            f'{{{names.body}"resolution": "{resolution}", "reason": "{WHY}"{_named_in_body(resolution, self.beyond)}}}',
        )

    def act(self, actor: str) -> Done:
        resolution, typed = Resolution(self.form.resolution), [self.form.beyond.replace("\x00", "").strip()]
        if self.group:
            done = verbs.resolve_group(self.group, actor, resolution, self.form.reason, typed)
        else:
            done = verbs.resolve(self.open, actor, resolution, self.form.reason, typed)
        words = f"Resolved {done.items:,} item{'' if done.items == 1 else 's'}. The window is judged again by itself."
        return Done(words, self.done, done.windows)

    def page(self, confirm: c.Confirm) -> c.ResolvePage:
        reason = self.names.reason
        return c.ResolvePage(
            confirm=confirm,
            title=self.names.title,
            headline=reason_words(Reason[reason]) if reason in Reason.__members__ else "",
            rows=item_rows(self.items[:MOST_LISTED]),
            count=self.number,
            choices=self.choices,
            chosen=self.chosen,
            reason=self.form.reason,
            then_next=self.then_next,
            redrive=self.redrive,
            joined=reads.later(_key(self.group), self.group.upto) if self.group else 0,
            beyond=self.beyond,
            confirmed=self.form.beyond[:MOST_NAME],
        )


def _key(group: verbs.Group) -> reads.GroupKey:
    return reads.GroupKey(group.run, group.reason)


def _named_in_command(resolution: str, beyond: Sequence[str]) -> str:
    meant = resolution == Resolution.DISCARDED
    return "".join(f" --beyond-bound {shlex.quote(run)}" for run in beyond if meant)


def _named_in_body(resolution: str, beyond: Sequence[str]) -> str:
    return f', "beyond_bound": {json.dumps(beyond)}' if beyond and resolution == Resolution.DISCARDED else ""


def _sums(found: verbs.Discards) -> str:
    """ "flights/2013-01, window 1: 50 allowed, 0 used, this makes 10,000: the window can then never pass." """
    words = f"{found.run}, window {found.window}: {found}"
    return f"{words}: the window can then never pass." if found.beyond else f"{words}."
