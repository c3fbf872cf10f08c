"""`/plans/new`: asking for a plan. What it would bind and do stands on the same page, and that is what is sent."""

from __future__ import annotations

import dataclasses
import json
import shlex
from base64 import b64encode
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, ClassVar

from django.http import HttpRequest
from django.urls import reverse

from audit import capture
from audit.core.check import WAIVABLE
from audit.core.phrases import listed
from console import links
from console.pages.frame import contexts as c
from console.pages.frame.confirm import Confirmation, Done, Errors, confirmed, reason_in
from console.pages.plans.plans import asked_facts, facts_of
from console.pages.quarantine.quarantine import hidden_from, shown_bytes
from console.people import Accounts, actor_named
from console.permissions import Act, Answer, may
from console.reads import looks, quarantine
from console.reads.plans import ALL_MEMBERS, MEMBERS, RENAMED, plan_members, range_in
from console.reads.quarantine import run_named
from console.refusals import written_down
from console.whole import whole
from ingest.core.contract.table import duration
from ingest.core.visible import is_printable
from plans.core.binding import Limits
from plans.core.plan import ASKING, Kind
from plans.kinds import KINDS
from plans.submit import submit

NO_REASON = "Say why, for whoever has to say yes."
NO_DIGEST = "The form does not name what was previewed. Preview it again, and look."
MOST = 2**31 - 1
MOST_TICKED, MOST_ITEMS_TEXT, MOST_TYPED = 200, 8_000, 200_000  # items, and characters of items and of a correction
MOST_WORD, MOST_NAME = 100, 800  # characters of a field, and of one that names a run

#: In the place of ranges: all of the window.
WHOLE = "whole"


@confirmed
def ask(request: HttpRequest) -> Asking:
    """`/plans/new?kind=&run=&window=…`: with all that the kind needs, the page shows the preview.

    A corrected payload is no part of a URL: the form sends it, to be looked at or to be asked for.
    """
    form, wrong = _form(request)
    run = run_named(form.run)
    return Asking(
        form,
        wrong,
        digest=request.POST.get("digest", ""),
        reason=reason_in(request),
        correction=_correction(request),
        payload=_payload(request, form),
        looked_at="look" in request.POST,
        url=links.with_query(reverse("plan-new"), **dataclasses.asdict(form)),
        back=links.run_url(run.stream.name, run.name) if run else reverse("plans"),
    )


def _form(request: HttpRequest) -> tuple[c.PlanForm, tuple[str, ...]]:
    """What a person has said, as text, and what of it cannot be. How long from now becomes until when."""
    form = c.PlanForm(
        kind=request.GET.get("kind", "")[:MOST_WORD].strip() or str(Kind.WAIVE),
        run=request.GET.get("run", "")[:MOST_NAME].strip(),
        window=request.GET.get("window", "")[:MOST_WORD].strip(),
        check=request.GET.get("check", "")[:MOST_WORD].strip(),
        until=request.GET.get("until", "")[:MOST_WORD].strip(),
        topic=request.GET.get("topic", "")[:MOST_NAME].strip(),
        topic_id=request.GET.get("topic_id", "")[:MOST_WORD].strip(),
        attempt=request.GET.get("attempt", "")[:MOST_WORD].strip(),
        attempts=request.GET.get("attempts", "")[:MOST_NAME].strip(),
        first=request.GET.get("first", "")[:MOST_WORD].strip(),
        rate=request.GET.get("rate", "")[:MOST_WORD].strip(),
        stop_when=request.GET.get("stop_when", "")[:MOST_WORD].strip(),
        reason_code=request.GET.get("reason_code", "")[:MOST_WORD].strip(),
        items=_items(request),
        contract=request.GET.get("contract", "")[:MOST_WORD].strip(),
        mode=request.GET.get("mode", "")[:MOST_WORD].strip(),
        ranges=request.GET.get("ranges", "")[:MOST_ITEMS_TEXT].strip(),
        out_of_order="yes" if request.GET.get("out_of_order") else "",
    )
    form = _placed(form)
    if form.kind not in MEMBERS:
        return form, (f"A plan of the kind {form.kind!r} cannot be asked for yet.",)
    numbers = {"Window": form.window, "First": form.first, "Rate": form.rate, "Contract": form.contract}
    wrong = [f"{name} is a number from 1 to {MOST:,}." for name, text in numbers.items() if text and not _some(text)]
    if form.attempt and len(_attempts(form.attempt)) != 1:
        wrong.append("Attempt is a number, as in 12.")
    if form.attempts and not _attempts(form.attempts):
        wrong.append("Attempts are numbers, as in 12, 13.")
    if any(whole(each) is None for each in form.items.split(",") if form.items):
        wrong.append("Items are numbers, with commas between them.")
    if form.ranges not in ("", WHOLE) and None in _ranges(form):
        wrong.append("Ranges are a source with both ends, as in inbox/0=0:500, or whole.")
    end = _moment(form.until) if form.until else None
    if form.until and end is None:
        wrong.append("Until is a time such as 2026-02-01T12:00, or how long from now, such as 7d.")
    elif end is not None:
        form = dataclasses.replace(form, until=end.isoformat(timespec="seconds").replace("+00:00", "Z"))
    return form, tuple(wrong)


def _items(request: HttpRequest) -> str:
    """Numbers of items: as a person writes them, or those that were ticked."""
    ticked = request.GET.getlist("item")[:MOST_TICKED]
    written = request.GET.get("items", "")[:MOST_ITEMS_TEXT].split(",")
    return ",".join(part.strip()[:MOST_WORD] for part in (ticked or written) if part.strip())


def _numbers(form: c.PlanForm) -> list[int]:
    return [number for each in form.items.split(",") if (number := whole(each)) is not None]


def _ranges(form: c.PlanForm) -> list[dict[str, Any] | None]:
    return [range_in(text) for text in form.ranges.split(",")] if form.ranges not in ("", WHOLE) else []


def _placed(form: c.PlanForm) -> c.PlanForm:
    """Items say themselves which window they are asked for, as long as nobody says another one."""
    numbers = _numbers(form)
    found = quarantine.one(numbers[0]) if form.kind == Kind.REDRIVE and numbers and not form.run else None
    if found is None:
        return form
    run, window = quarantine.where_redriven(found)
    return dataclasses.replace(form, run=run, window=str(window or ""))


def _correction(request: HttpRequest) -> str | None:
    """What somebody typed, with the line ends that it was shown with; None: nothing was sent."""
    text = request.POST.get("correction")
    return text.replace("\r\n", "\n") if text else None


def _payload(request: HttpRequest, form: c.PlanForm) -> tuple[str, str]:
    """The text that arrived, to be corrected, or why it is not shown: it is as hidden here as on the item's page."""
    numbers = _numbers(form)
    stored = quarantine.one(numbers[0]) if form.kind == Kind.REDRIVE and len(numbers) == 1 else None
    if stored is None:
        return "", ""
    hidden = hidden_from(request, stored) or shown_bytes(stored)[1]
    if hidden or stored.value is None:
        return "", hidden or "This record has no value."
    try:
        text = bytes(stored.value).decode("utf-8")
    except UnicodeDecodeError:
        return "", "What arrived is not UTF-8."
    plain = is_printable(text.replace("\n", "").replace("\t", ""))
    if not plain or len(text) > MOST_TYPED:
        return "", "What arrived is too long to be shown here, or has characters that cannot be seen."
    return text, ""


def _some(text: str) -> int | None:
    """A number from 1 on."""
    return whole(text, MOST) or None


def _attempts(text: str) -> list[int]:
    """Numbers apart by commas; empty where one of them is none."""
    found = [whole(each.strip(), 2**63 - 1) for each in text.split(",")] if text else []
    return [number for number in found if number] if all(found) else []


def _moment(text: str) -> datetime | None:
    """A time, in UTC where it names no zone, or a stretch from now on by the database's clock."""
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    try:
        stretch = duration(text)
        return capture.now() + stretch if stretch else None
    except OverflowError:
        return None


@dataclass(frozen=True)
class Asking(Confirmation):
    """Asking for what was previewed: the form names its digest, and what would bind anything else is refused."""

    permission: ClassVar[Act] = Act.PLAN
    template: ClassVar[str] = "plans/new"
    here: ClassVar[str] = "plans"
    button: ClassVar[str] = "Confirm: ask for exactly this"

    form: c.PlanForm
    wrong: tuple[str, ...]
    digest: str
    reason: str
    url: str
    back: str
    correction: str | None = None
    payload: tuple[str, str] = ("", "")
    looked_at: bool = False

    def only_looks(self) -> bool:
        return self.looked_at

    @property
    def item(self) -> int | None:
        """The one item that is redriven: its payload may be corrected."""
        numbers = _numbers(self.form)
        return numbers[0] if self.form.kind == Kind.REDRIVE and len(numbers) == 1 else None

    def allowed(self, user: Any) -> Answer:
        """By what asking for a plan of this kind takes."""
        found = [act for kind, act in ASKING.items() if kind in KINDS and kind == self.form.kind]
        return may(user, found[0] if found else self.permission)

    @property
    def lacking(self) -> list[str]:
        """What is to be said before there is anything to preview."""
        needed, other = plan_members(self.form.kind)
        said = {"stream" if "run" in other else "run": self.form.run}
        said |= {name: getattr(self.form, name) for name in needed if name != "run"}
        if self.form.kind == Kind.REDRIVE:
            said["reason or items"] = self.form.reason_code or self.form.items
        if self.form.kind == Kind.REPLAY:
            said["ranges"] = self.form.ranges
        return [name for name, text in said.items() if not text]

    @property
    def asked(self) -> dict[str, Any]:
        """As the kind is asked."""
        stream, slash, run = self.form.run.partition("/")
        form, other = self.form, plan_members(self.form.kind)[1]
        subject = {"stream": stream} if "run" in other and not slash else {"stream": stream, "run": run}
        said: dict[str, Any] = {
            "check": form.check, "until": form.until, "topic": form.topic, "topic_id": form.topic_id,
            "window": _some(form.window), "attempt": next(iter(_attempts(form.attempt)), None),
            "attempts": _attempts(form.attempts), "items": _numbers(form), "reason_code": form.reason_code,
            "contract": _some(form.contract), "corrections": self._corrections(), "mode": form.mode,
            "ranges": [each for each in _ranges(form) if each], "whole": form.ranges == WHOLE,
            "out_of_order": bool(form.out_of_order),
        }  # fmt: skip
        kept = {name: value for name, value in said.items() if value and name not in other}
        return subject | {RENAMED.get(name, name): value for name, value in kept.items()}

    def _corrections(self) -> dict[str, str]:
        """Of the one item, where somebody typed something else than what arrived."""
        if self.item is None or self.correction in (None, self.payload[0]):
            return {}
        return {str(self.item): b64encode((self.correction or "").encode()).decode()}

    @property
    def limits(self) -> Limits:
        return Limits(_some(self.form.first), _some(self.form.rate), self.form.stop_when or None)

    @cached_property
    def previewed(self) -> looks.PreviewLook:
        if self.wrong or self.lacking:
            return looks.PreviewLook(None)
        return looks.preview_of(self.form.kind, self.asked, self.limits)

    def nothing(self) -> str:
        if self.previewed.preview is not None:
            return ""
        if self.lacking:
            return f"Say {listed(self.lacking)}, and preview it."
        return "There is no preview to ask for."

    def lacks(self) -> Errors:
        wrong = [*self.wrong, *([] if self._seen() else [NO_DIGEST]), *([] if self.reason else [NO_REASON])]
        return Errors.of(wrong)

    def _seen(self) -> bytes:
        try:
            return bytes.fromhex(self.digest)
        except ValueError:
            return b""

    def hidden(self) -> tuple[tuple[str, str], ...]:
        found = self.previewed.preview
        return (("digest", found.digest.hex()),) if found else ()

    def same(self) -> c.SameAct:
        form, digest = self.form, dict(self.hidden())
        other = plan_members(form.kind)[1]
        wanted = {{v: k for k, v in RENAMED.items()}.get(name, name): value for name, value in self.asked.items()}
        names = (
            "window", "check", "until", "topic", "topic_id", "reason_code", "items", "contract", "mode", "first",
            "rate", "stop_when",
        )  # fmt: skip
        options = {name: getattr(form, name) for name in names if name not in other} | digest
        numbers = [*([wanted["attempt"]] if "attempt" in wanted else ()), *wanted.get("attempts", ())]
        line = "".join(f" --attempt {number}" for number in numbers)
        line += "".join(f" --{name.replace('_', '-')} {shlex.quote(text)}" for name, text in options.items() if text)
        line += " --whole" if "whole" in wanted else ""
        line += " --out-of-order" if "out_of_order" in wanted else ""
        line += "".join(f" --range {each['source']}={each['from']}:{each['to']}" for each in wanted.get("ranges", ()))
        if "corrections" in wanted:
            line += f" --correction {self.item}=FILE"
        limits = {name: value for name, value in dataclasses.asdict(self.limits).items() if value is not None}
        body = {"kind": form.kind} | wanted | limits | digest | {"reason": "…"}
        run = shlex.quote(form.run or ("STREAM" if "run" in other else "STREAM/RUN"))
        return c.SameAct(
            f'passgate plan submit {shlex.quote(form.kind)} {run}{line} --because "…"',
            "POST /api/v1/plans/",
            json.dumps(body, ensure_ascii=False),
        )

    def act(self, actor: str) -> Done:
        with written_down(actor, "console.plan.submit", self.form.run):
            number = submit(
                self.form.kind, self.asked, actor_named(actor), self.reason, Accounts(), self.limits, self._seen()
            )
        return Done(f"Plan {number} waits for another person.", links.plan_url(number))

    def page(self, confirm: c.Confirm) -> c.AskPage:
        previewed = self.previewed.preview
        return c.AskPage(
            confirm=confirm,
            action=reverse("plan-new"),
            form=self.form,
            kinds=tuple(MEMBERS),
            fields=tuple(name for name in ALL_MEMBERS if name not in plan_members(self.form.kind)[1]),
            checks=tuple(sorted(map(str, WAIVABLE))),
            of_items=previewed is not None and (len(previewed.bound.items) > 1 or self.form.kind == Kind.REPLAY),
            wrong=(*self.wrong, *((self.previewed.why,) if self.previewed.why else ())),
            says=previewed.says if previewed else (),
            facts=(*asked_facts(previewed.binds), *facts_of(previewed.binds)) if previewed else (),
            digest=previewed.digest.hex() if previewed else "",
            reason=self.reason,
            reasons=tuple(quarantine.REASONS),
            outcomes=tuple((str(name), n) for name, n in previewed.prediction.outcomes.items()) if previewed else (),
            correction=self._correcting(),
        )

    def _correcting(self) -> c.CorrectionForm | None:
        if self.item is None:
            return None
        text, why = self.payload
        return c.CorrectionForm(self.item, text if self.correction is None else self.correction, why)
