"""The shapes of requests and answers: requests are judged by them, answers are documented by them (OpenAPI), and a test
holds every answer against the generated schema."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers as s

from audit.anchors import Reach
from audit.core.check import WAIVABLE
from console.permissions import Act
from console.reads.plans import MEMBERS, plan_members
from ingest.core.reason import Decision, Flag, Reason
from ingest.models import AttemptState, GapState, ItemState, Resolution, RunState, WindowState
from ingest.quarantine import MOST_ITEMS, OF_PEOPLE
from plans.core.plan import MOST_ATTEMPTS, Kind, Outcome
from plans.core.plan import State as PlanState
from plans.kinds.redrive import MOST_CORRECTED
from plans.kinds.redrive import MOST_ITEMS as MOST_REDRIVEN
from plans.submit import MOST_WORDS

MOST_CLASSES = 1_000
MOST_RANGES = 1_000
LARGEST = 2**63 - 1


class Body(s.Serializer[Any]):
    """A request's body. A member that is not understood is an error, so that a misspelt one is not silently ignored."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping) and (unknown := sorted(set(data) - set(self.fields))):
            known = ", ".join(self.fields) or "none"
            raise s.ValidationError({name: [f"not a member here; there are: {known}"] for name in unknown})
        return super().to_internal_value(data)


class Text(s.CharField):
    """A JSON string; numbers are not taken for one."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class Whole(s.IntegerField):
    """A JSON integer; neither "7" nor 7.0 nor true is one."""

    def to_internal_value(self, data: Any) -> int:
        if type(data) is not int:
            self.fail("invalid")
        return super().to_internal_value(data)


# ---- requests -------------------------------------------------------------------------------------------------------


class Nothing(Body):
    """An empty object, or no body."""


class ContractNamed(Body):
    version = Whole(required=False, min_value=1, max_value=2**31 - 1)
    digest = s.RegexField(r"^[0-9a-f]{64}\Z", required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if len(attrs) != 1:
            raise s.ValidationError("either version or digest is expected")
        return attrs


class OpenRun(Body):
    """`contract` absent: the newest. `pins`: a verdict per context (`weather/2013-01#1`); absent: the newest PASS.

    `run` is the id itself, for one that cannot stand in a path: there `~` and 16 characters of its digest stand for it.
    """

    run = Text(required=False, max_length=400)

    contract = ContractNamed(required=False)
    pins = s.DictField(child=Text(max_length=400), required=False)


def totals_field(required: bool) -> s.DictField:
    """Records per event class."""
    return s.DictField(child=Whole(min_value=0, max_value=LARGEST), required=required, allow_empty=False)


class Totals(Body):
    totals = totals_field(required=True)

    def validate_totals(self, totals: dict[str, int]) -> dict[str, int]:
        if len(totals) > MOST_CLASSES:
            raise s.ValidationError(f"at most {MOST_CLASSES} classes are expected")
        return totals


class CutRun(Totals):
    totals = totals_field(required=False)
    go_on = s.BooleanField(required=False, help_text="Open the run's next window at the cuts: the run stays open.")
    next_run = Text(required=False, max_length=200, help_text="Go on with the first window of this run.")
    window = Whole(
        required=False, min_value=1, max_value=2**31 - 1, help_text="With go_on: the window that is meant, cut once."
    )


class CloseRun(Body):
    """`window` absent: the run's newest."""

    window = Whole(required=False, min_value=1, max_value=2**31 - 1)
    rerun = Whole(required=False, min_value=1, max_value=2**31 - 1, help_text="A rerun of that window.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "rerun" in attrs and "window" not in attrs:
            raise s.ValidationError({"rerun": ["this goes with window: a rerun's number holds within its window"]})
        return attrs


class Resolve(Body):
    resolution = s.ChoiceField([str(each) for each in OF_PEOPLE], help_text="REDRIVEN is said by a plan alone.")
    reason = Text(max_length=2_000, help_text="Why, for whoever audits this.")
    beyond_bound = s.ListField(
        child=Text(max_length=400),
        required=False,
        max_length=100,
        help_text="Runs (STREAM/RUN) in which more may be discarded than their contract allows: they then never pass.",
    )


class ResolveMany(Resolve):
    items = s.ListField(child=Whole(min_value=1, max_value=LARGEST), allow_empty=False, max_length=MOST_ITEMS)


#: A range of offsets to read again; one of its members is named as no attribute of Python can be.
ReplayRange = type(
    "ReplayRange",
    (Body,),
    {
        "source": Text(max_length=300, help_text="As the window calls it: inbox/0."),
        "from": Whole(min_value=0, max_value=LARGEST),
        "to": Whole(min_value=1, max_value=LARGEST),
        "__doc__": "Offsets [from, to) of a source of the window.",
        "__module__": __name__,
    },
)


class AskForPlan(Body):
    """What a plan should do. Which members go with a kind, its documentation says; all others are left out."""

    kind = s.ChoiceField(list(MEMBERS))
    stream = Text(max_length=400)
    run = Text(required=False, max_length=400, help_text="Not of retire and adopt: every other kind is about a run.")
    window = Whole(required=False, min_value=1, max_value=2**31 - 1, help_text="Absent: the run's newest.")
    check = s.ChoiceField(sorted(str(name) for name in WAIVABLE), required=False, help_text="waive: which check.")
    until = s.DateTimeField(required=False, help_text="waive: until when, with a time zone.")
    topic = Text(required=False, max_length=249, help_text="retire: the inbox topic that was moved.")
    topic_id = Text(required=False, max_length=100, help_text="retire: which of several topics of that name.")
    attempt = Whole(required=False, min_value=1, max_value=LARGEST, help_text="decide: about which attempt.")
    attempts = s.ListField(
        child=Whole(min_value=1, max_value=LARGEST),
        required=False,
        min_length=1,
        max_length=MOST_ATTEMPTS,
        help_text="republish: of which attempts. Absent: all of the window that are withheld, or lost with its bus.",
    )
    items = s.ListField(
        child=Whole(min_value=1, max_value=LARGEST),
        required=False,
        allow_empty=False,
        max_length=MOST_REDRIVEN,
        help_text="redrive: these quarantine items.",
    )
    reason_code = s.ChoiceField(
        [reason.name for reason in Reason if reason],
        required=False,
        help_text="redrive: all open items of the window that were set aside for this.",
    )
    contract = Whole(
        required=False,
        min_value=1,
        max_value=2**31 - 1,
        help_text="redrive, replay: the version to admit under. Absent: the newest; to prove, the window's own.",
    )
    mode = s.ChoiceField(["prove", "fresh"], required=False, help_text="replay: prove, where none is said.")
    ranges = s.ListField(
        child=ReplayRange(),
        required=False,
        allow_empty=False,
        max_length=MOST_RANGES,
        help_text="replay: these offsets.",
    )
    whole = s.BooleanField(required=False, help_text="replay: all of the window, in the place of ranges.")
    out_of_order = s.BooleanField(
        required=False,
        help_text="redrive, replay: consents to events that come late for a key whose order the projection keeps.",
    )
    corrections = s.DictField(
        child=Text(max_length=2 * MOST_CORRECTED),
        required=False,
        help_text="redrive: by item, other bytes in base64 for it. What arrived stays as it is.",
    )
    first = Whole(required=False, min_value=1, max_value=2**31 - 1, help_text="Held after so many items.")
    rate = Whole(required=False, min_value=1, max_value=2**31 - 1, help_text="Items a second.")
    stop_when = Text(required=False, max_length=100, help_text="Held once this is so, as in `quarantined > 0`.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        needed, other = plan_members(attrs["kind"])
        missing = {name: [f"a plan of the kind {attrs['kind']} needs it"] for name in needed if name not in attrs}
        surplus = {name: [f"a plan of the kind {attrs['kind']} takes none"] for name in other if name in attrs}
        if missing or surplus:
            raise s.ValidationError(missing | surplus)
        if attrs["kind"] == "redrive" and ("items" in attrs) == ("reason_code" in attrs):
            raise s.ValidationError({"items": ["either items or reason_code is expected"]})
        if attrs["kind"] == "replay" and ("ranges" in attrs) == bool(attrs.get("whole")):
            raise s.ValidationError({"ranges": ["either ranges or whole is expected"]})
        return attrs


class SubmitPlan(AskForPlan):
    reason = Text(max_length=MOST_WORDS, help_text="Why, for whoever has to say yes.")
    digest = s.RegexField(r"^[0-9a-f]{64}\Z", required=False, help_text="Of the preview: refused if it is another now.")


class ApprovePlan(Body):
    digest = s.RegexField(r"^[0-9a-f]{64}\Z", help_text="Of the plan that was looked at.")
    reason = Text(required=False, max_length=MOST_WORDS, allow_blank=True)


class BecauseOf(Body):
    reason = Text(max_length=MOST_WORDS, help_text="Why, for whoever audits this.")


class ResumePlan(Body):
    reason = Text(required=False, max_length=MOST_WORDS, allow_blank=True)


# ---- answers --------------------------------------------------------------------------------------------------------


class Fault(s.Serializer[Any]):
    pointer = s.CharField(help_text="A JSON Pointer into the body, `?name` for a parameter, or a header's name.")
    detail = s.CharField()


class Problem(s.Serializer[Any]):
    """RFC 9457. `code` is stable; `retry` says whether the same request can succeed later with nothing changed."""

    type = s.CharField()
    title = s.CharField()
    status = s.IntegerField()
    code = s.CharField()
    retry = s.BooleanField()
    request_id = s.CharField()
    detail = s.CharField(required=False)
    errors = Fault(many=True, required=False)  # type: ignore[assignment]  # a member, not the property
    expected = s.CharField(required=False)
    found = s.CharField(required=False)
    next = s.CharField(required=False)


class ContractNumber(s.Serializer[Any]):
    version = s.IntegerField()
    digest = s.CharField()


class ContractAnswer(ContractNumber):
    loaded_by = s.CharField()
    loaded_at = s.DateTimeField()


class InboxAnswer(s.Serializer[Any]):
    topic = s.CharField()
    format = s.CharField()


class BusAnswer(s.Serializer[Any]):
    topic = s.CharField()
    partitions = s.IntegerField()


class StreamAnswer(s.Serializer[Any]):
    stream = s.CharField()
    owner = s.CharField(allow_null=True)
    runbook = s.CharField(allow_null=True)
    contract = ContractAnswer()
    inbox = InboxAnswer()
    bus = BusAnswer()
    event_classes = s.ListField(child=s.CharField())
    open_run = s.CharField(allow_null=True)


class VerdictLine(s.Serializer[Any]):
    verdict = s.CharField(help_text="flights/2013-01#7")
    number = s.IntegerField()
    window = s.IntegerField()
    rerun = s.IntegerField(allow_null=True, help_text="Which rerun of the window it is of; null: the window itself.")
    state = s.ChoiceField(["PASS", "BLOCKED", "FAIL"])
    waived = s.BooleanField()
    sentence = s.CharField()
    basis_generation = s.IntegerField()
    contract_digest = s.CharField()
    digest = s.CharField()
    decided_by = s.CharField()
    decided_at = s.DateTimeField()


class VerdictAnswer(VerdictLine):
    body = s.DictField(help_text="What `digest` is over, in canonical form (RFC 8785).")


class GateLease(s.Serializer[Any]):
    open_until = s.DateTimeField()
    checked_at = s.DateTimeField()
    shut_why = s.CharField(allow_null=True)


class RerunAnswer(s.Serializer[Any]):
    """A rerun of a window: whose plan it is, under which contract, and how it stands. Its gate is its own."""

    window = s.IntegerField()
    rerun = s.IntegerField()
    state = s.ChoiceField(WindowState.values)
    contract = ContractNumber()
    plan = s.IntegerField()
    kind = s.ChoiceField(["redrive", "replay"])
    requested_by = s.CharField()
    approved_by = s.CharField()
    reason = s.CharField()
    out_of_order = s.BooleanField(help_text="Whoever asked consented to events that come late for their key.")
    opened_at = s.DateTimeField()
    cut_at = s.DateTimeField(allow_null=True)
    verdict = VerdictLine(allow_null=True)
    gate = GateLease(allow_null=True)


class WindowAnswer(s.Serializer[Any]):
    number = s.IntegerField()
    state = s.ChoiceField(WindowState.values)
    opened_at = s.DateTimeField()
    cut_at = s.DateTimeField(allow_null=True)
    reruns_total = s.IntegerField()
    reruns = RerunAnswer(many=True, help_text="The newest 20.")
    verdict = VerdictLine(allow_null=True)
    gate = GateLease(allow_null=True)


class VerdictCounts(s.Serializer[Any]):
    """Windows by their newest verdict; `none`: open, or cut and not judged."""

    PASS = s.IntegerField()
    BLOCKED = s.IntegerField()
    FAIL = s.IntegerField()
    none = s.IntegerField()


class WorstAnswer(s.Serializer[Any]):
    verdict = s.ChoiceField(["PASS", "BLOCKED", "FAIL"])
    window = s.IntegerField(allow_null=True, help_text="The first window that has it; null for PASS.")


class WindowLine(WindowAnswer):
    """A window in the list of a run's. `records`: how many it has read."""

    records = s.IntegerField()


@extend_schema_serializer(deprecate_fields=["sealed_at"])
class RunAnswer(s.Serializer[Any]):
    stream = s.CharField()
    run = s.CharField()
    state = s.ChoiceField(RunState.values)
    contract = ContractNumber()
    opened_by = s.CharField()
    opened_at = s.DateTimeField()
    cut_at = s.DateTimeField(allow_null=True)
    sealed_at = s.DateTimeField(allow_null=True, help_text="The same as cut_at: its name of before.")
    closed_at = s.DateTimeField(allow_null=True)
    windows_total = s.IntegerField()
    verdicts = VerdictCounts(help_text="Windows by their newest verdict.")
    worst = WorstAnswer(allow_null=True, help_text="The worst verdict that stands; null: no window is judged.")
    gates_shut = s.IntegerField(help_text="Windows that passed and whose gate is over.")
    windows = WindowAnswer(
        many=True, help_text="The newest, in order: 20 of each run of a list, 100 of one run; all of them: windows/."
    )


class NoticeAnswer(s.Serializer[Any]):
    """What a window goes on without, while it is so."""

    window = s.IntegerField()
    text = s.CharField()
    next = s.CharField(help_text="What ends it.")


class OneRunAnswer(RunAnswer):
    notices = NoticeAnswer(many=True, help_text="What its windows go on without now, the oldest window first.")


class BehindAnswer(s.Serializer[Any]):
    """Offsets [from, to) that were there when the cut was made, and lie behind it."""

    source = s.CharField(help_text="inbox/3")  # type: ignore[assignment]
    to = s.IntegerField()
    since = s.DateTimeField(required=False, help_text="Since when an open transaction was seen to hide them.")

    def get_fields(self) -> dict[str, s.Field[Any, Any, Any, Any]]:
        return {**super().get_fields(), "from": s.IntegerField()}  # no name for an attribute


class NextWindow(s.Serializer[Any]):
    """The window that was opened at the cuts."""

    run = s.CharField()
    window = s.IntegerField()


class CutAnswer(RunAnswer):
    """`cuts`: by source, the first offset of the next window."""

    cuts = s.DictField(child=s.IntegerField())
    behind = BehindAnswer(many=True)
    window = s.IntegerField(required=False, help_text="With go_on: the window that was cut.")
    next = NextWindow(required=False)
    notes = s.ListField(
        child=s.CharField(), required=False, help_text="With go_on: what the next window does not begin with, and why."
    )


class Total(s.Serializer[Any]):
    window = s.IntegerField()
    event_class = s.CharField()
    declared = s.IntegerField()
    declared_by = s.CharField()
    declared_at = s.DateTimeField()


class TotalsAnswer(s.Serializer[Any]):
    stream = s.CharField()
    run = s.CharField()
    totals = Total(many=True)


class OfferAnswer(s.Serializer[Any]):
    """A plan that can be asked for."""

    kind = s.ChoiceField(choices=[str(kind) for kind in Kind])
    why = s.CharField()
    permission = s.CharField(help_text="What asking for it takes.")
    lacks = s.ListField(child=s.CharField(), help_text="Members that whoever asks has to say.")
    body = s.DictField(help_text="As POST /plans/preview/ takes it, with what it lacks.")


class ChecksAnswer(s.Serializer[Any]):
    """What would be judged now. Not a verdict."""

    window = s.IntegerField()
    sentence = s.CharField()
    body = s.DictField()
    offers = OfferAnswer(many=True, help_text="Plans that would be taken now, the nearest first.")


class ActAnswer(s.Serializer[Any]):
    by = s.CharField(allow_null=True, help_text="Null: nobody wrote it down.")
    at = s.DateTimeField()


class GenerationAnswer(s.Serializer[Any]):
    """One generation of the basis; `differences` from the one before, in words."""

    generation = s.IntegerField()
    digest = s.CharField()
    why = s.CharField()
    recorded_at = s.DateTimeField()
    differences = s.ListField(child=s.CharField())


class GapAnswer(s.Serializer[Any]):
    """Offsets [start, end) at which a reader was given nothing; `proof` is what a second reader wrote down."""

    start = s.IntegerField()
    end = s.IntegerField()
    state = s.ChoiceField(GapState.values)
    why = s.CharField()
    isolation = s.CharField()
    claimed_at = s.DateTimeField()
    proven_at = s.DateTimeField(allow_null=True)
    proof = s.DictField(allow_null=True)


class GapsAnswer(s.Serializer[Any]):
    """All gaps of a source in the window, in offsets; `first` lists the first twenty."""

    number = s.IntegerField()
    offsets = s.IntegerField()
    proven = s.IntegerField()
    claimed = s.IntegerField()
    deleted = s.IntegerField(help_text="Gone before anybody read them: nobody can prove what was there.")
    first = GapAnswer(many=True)


class AccountAnswer(s.Serializer[Any]):
    """One source in the window: [start, end), and what became of its records. Of a bus nothing is counted: null."""

    source = s.IntegerField()  # type: ignore[assignment]
    name = s.CharField(help_text="inbox/3")
    role = s.ChoiceField(["inbox", "bus"])
    kind = s.ChoiceField(["topic", "door", "plan"])
    cluster_id = s.CharField()
    topic_id = s.CharField()
    topic = s.CharField()
    partition = s.IntegerField()
    start = s.IntegerField()
    end = s.IntegerField(allow_null=True, help_text="The cut; of a bus, where the window's end of it is read.")
    read_to = s.IntegerField()
    records = s.IntegerField(allow_null=True)
    admitted = s.IntegerField(allow_null=True)
    duplicates = s.IntegerField(allow_null=True)
    quarantined = s.IntegerField(allow_null=True)
    batches = s.IntegerField(allow_null=True)
    batches_root = s.CharField(
        allow_null=True,
        help_text="RFC 9162 tree head over the digests of the window's batches of this source, by offset.",
    )
    first_at = s.DateTimeField(allow_null=True)
    last_at = s.DateTimeField(allow_null=True)
    unread = s.IntegerField(allow_null=True)
    unaccounted = s.IntegerField(allow_null=True, help_text="Offsets that were read and have neither record nor gap.")
    gaps = GapsAnswer()


class ProcessedAnswer(s.Serializer[Any]):
    """What the window processed, by the ledger alone."""

    at = s.DateTimeField()
    opened = ActAnswer()
    cut = ActAnswer(allow_null=True)
    contract = ContractNumber()
    basis = GenerationAnswer(many=True)
    sources = AccountAnswer(many=True)


class StandInsAnswer(s.Serializer[Any]):
    """What the ledger holds of the offsets that are gone."""

    receipts = s.IntegerField()
    gaps = s.IntegerField(help_text="Offsets in proven gaps: no record was there.")
    neither = s.IntegerField(help_text="No replay covers a window that has any.")


class AnchorAnswer(s.Serializer[Any]):
    """How much of a source's range can be read again. Of UNMEASURED, `gone` is the least there is; null: unknown."""

    name = s.CharField()
    role = s.ChoiceField(["inbox", "bus"])
    start = s.IntegerField()
    end = s.IntegerField()
    reach = s.ChoiceField([reach.value for reach in Reach])
    first = s.IntegerField(allow_null=True, help_text="The first offset that can be read again.")
    gone = s.IntegerField(allow_null=True)
    why = s.ListField(child=s.CharField())
    measured_at = s.DateTimeField(allow_null=True)
    measured_by = s.ChoiceField(["kafka", "sample", "ledger"], allow_null=True)
    age = s.FloatField(allow_null=True, help_text="Seconds since it was measured.")
    stand_ins = StandInsAnswer(allow_null=True)


class ReplayAnswer(s.Serializer[Any]):
    """What Kafka holds of it now. `asked_at` null, and `why`: it did not answer."""

    at = s.DateTimeField()
    asked_at = s.DateTimeField(allow_null=True)
    age = s.FloatField(allow_null=True)
    why = s.CharField(allow_null=True)
    sentence = s.CharField()
    differences = s.ListField(
        child=s.CharField(), allow_null=True, help_text="Of basis and bus, in words. Null: not measured."
    )
    sources = AnchorAnswer(many=True)


class AnchorsAnswer(s.Serializer[Any]):
    """What a window processed, and what of it is safe to replay now."""

    stream = s.CharField()
    run = s.CharField()
    window = s.IntegerField()
    state = s.ChoiceField(WindowState.values)
    reruns = s.IntegerField(allow_null=True)
    processed = ProcessedAnswer()
    replay = ReplayAnswer()


class FailedCheck(s.Serializer[Any]):
    check = s.CharField()
    state = s.CharField()
    required = s.CharField()  # type: ignore[assignment]
    observed = s.CharField()


class WaiverAnswer(s.Serializer[Any]):
    """A check that does not hold, and that an approved plan lets stand until a time."""

    check = s.CharField()
    plan = s.IntegerField()
    requested_by = s.CharField()
    approved_by = s.CharField()
    reason = s.CharField()
    until = s.DateTimeField()
    facts = s.CharField(help_text="The digest of the facts that were approved: of others the waiver is none.")


class NotOpen(s.Serializer[Any]):
    window = s.IntegerField()
    code = s.CharField()


class CoversAnswer(s.Serializer[Any]):
    """The windows that an answer is about, from `first` to `last`. `not_open`: the worst 20 of those that are not."""

    windows = s.IntegerField()
    first = s.IntegerField()
    last = s.IntegerField()
    open = s.IntegerField()
    not_open = NotOpen(many=True)


class RecheckEndAnswer(s.Serializer[Any]):
    """An approved plan ended the re-checks of an inbox topic: what was judged of it stands on the ledger."""

    plan = s.IntegerField()
    topic = s.CharField()
    requested_by = s.CharField()
    approved_by = s.CharField()
    at = s.DateTimeField()


class ProofAnswer(s.Serializer[Any]):
    """A window that failed, and the rerun whose PASS opened it."""

    window = s.IntegerField()
    rerun = s.IntegerField()
    verdict = s.CharField()


class GateBasis(s.Serializer[Any]):
    """What the answer rests on. `rechecks_ended`: what of a yes nobody asks Kafka for any more. `proven`: of a yes, the
    windows that failed and that a rerun has proven."""

    verdict = s.CharField(allow_null=True)
    failed_checks = FailedCheck(many=True)
    waivers = WaiverAnswer(many=True)
    rechecks_ended = RecheckEndAnswer(many=True)
    proven = ProofAnswer(many=True)
    basis_digest = s.CharField(allow_null=True)
    checked_at = s.DateTimeField(allow_null=True)
    covers = CoversAnswer(allow_null=True)


class GateAnswer(GateBasis):
    open = s.BooleanField()
    code = s.CharField()
    stream = s.CharField()
    run = s.CharField()
    window = s.IntegerField(allow_null=True)
    rerun = s.IntegerField(allow_null=True)
    detail = s.CharField()
    retry = s.BooleanField()
    open_until = s.DateTimeField(allow_null=True)


class SpanAnswer(s.Serializer[Any]):
    """`windows`: the newest hundred of those that hold the span; `open_until`: the shortest of their leases."""

    open = s.BooleanField()
    code = s.CharField()
    stream = s.CharField()
    complete_until = s.DateTimeField()
    windows_total = s.IntegerField()
    windows = s.ListField(child=s.CharField())
    open_until = s.DateTimeField()
    rechecks_ended = RecheckEndAnswer(many=True)


class GateProblem(Problem):
    """`permission_denied` carries no basis; every other code of a shut gate does."""

    verdict = s.CharField(required=False, allow_null=True)
    failed_checks = FailedCheck(many=True, required=False)
    waivers = WaiverAnswer(many=True, required=False)
    rechecks_ended = RecheckEndAnswer(many=True, required=False)
    proven = ProofAnswer(many=True, required=False)
    basis_digest = s.CharField(required=False, allow_null=True)
    checked_at = s.DateTimeField(required=False, allow_null=True)
    covers = CoversAnswer(required=False, allow_null=True)


class SourceAnswer(s.Serializer[Any]):
    source = s.IntegerField()  # type: ignore[assignment]
    name = s.CharField()
    role = s.ChoiceField(["inbox", "bus"])
    kind = s.ChoiceField(["topic", "door", "plan"])
    cluster_id = s.CharField()
    topic_id = s.CharField()
    topic = s.CharField()
    partition = s.IntegerField()


class PlaceAnswer(s.Serializer[Any]):
    attempt = s.IntegerField()
    bus_source = s.IntegerField()
    bus_offset = s.IntegerField()


class ReceiptAnswer(s.Serializer[Any]):
    source = s.IntegerField()  # type: ignore[assignment]
    source_name = s.CharField(allow_null=True)
    offset = s.IntegerField()
    decision = s.ChoiceField([decision.name for decision in Decision])
    reason = s.CharField(allow_null=True)
    flags = s.ListField(child=s.CharField())
    event_class = s.CharField(allow_null=True)
    identity = s.CharField(allow_null=True)
    payload_digest = s.CharField()
    batch = s.IntegerField()
    stream = s.CharField(allow_null=True)
    run = s.CharField(allow_null=True)
    window = s.IntegerField(allow_null=True)
    rerun = s.IntegerField(allow_null=True, help_text="Of a plan's source: which rerun of the window.")
    place = PlaceAnswer(allow_null=True)


class FirstPlace(s.Serializer[Any]):
    source = s.IntegerField()  # type: ignore[assignment]
    offset = s.IntegerField()


class ResolutionAnswer(s.Serializer[Any]):
    resolution = s.ChoiceField(Resolution.choices)
    by = s.CharField()
    reason = s.CharField()
    at = s.DateTimeField()


class ItemAnswer(s.Serializer[Any]):
    item = s.IntegerField()
    stream = s.CharField()
    run = s.CharField()
    window = s.IntegerField()
    source = s.IntegerField()  # type: ignore[assignment]
    source_name = s.CharField()
    offset = s.IntegerField()
    reason = s.CharField()
    detail = s.CharField()
    event_id = s.ListField(allow_null=True)
    identity = s.CharField(allow_null=True)
    payload_digest = s.CharField()
    payload_bytes = s.IntegerField(allow_null=True)
    first = FirstPlace(allow_null=True)
    seen = s.IntegerField()
    arrived_at = s.DateTimeField()
    state = s.ChoiceField(ItemState.values)
    resolution = ResolutionAnswer(allow_null=True)


class HeaderAnswer(s.Serializer[Any]):
    name = s.CharField()
    value = s.CharField(allow_null=True)


class PayloadAnswer(s.Serializer[Any]):
    """Bytes are base64; `text` is the value where it is UTF-8; `hidden` says why something is not shown."""

    value = s.CharField(allow_null=True)
    text = s.CharField(allow_null=True)
    key = s.CharField(allow_null=True)
    headers = HeaderAnswer(many=True)
    hidden = s.CharField(allow_null=True)


class RedriveAnswer(s.Serializer[Any]):
    """One time that a plan sent the item through admission again. Its receipt is at `source` and `offset`."""

    plan = s.IntegerField()
    source = s.IntegerField()  # type: ignore[assignment]
    offset = s.IntegerField()
    outcome = s.ChoiceField([decision.name for decision in Decision])
    reason = s.CharField(allow_null=True)
    detail = s.CharField(allow_null=True)
    corrected_by = s.CharField(allow_null=True, help_text="Who asked for other bytes than those that arrived.")
    at = s.DateTimeField()


class ItemWhole(ItemAnswer):
    payload = PayloadAnswer()
    first_payload = PayloadAnswer(allow_null=True)
    redrives = RedriveAnswer(many=True)


class ResolvedAnswer(s.Serializer[Any]):
    resolved = s.IntegerField()


class Asked(s.Serializer[Any]):
    by = s.CharField()
    at = s.DateTimeField()


class ScanAnswer(s.Serializer[Any]):
    answer = s.ChoiceField(["PRESENT", "ABSENT", "PARTIAL", "UNDECIDABLE"])
    why = s.CharField(allow_null=True)
    expected = s.IntegerField()
    found = s.IntegerField()
    fence = s.IntegerField()
    asked_by = s.CharField()
    ended_at = s.DateTimeField()


class AttemptAnswer(s.Serializer[Any]):
    attempt = s.IntegerField()
    state = s.ChoiceField(AttemptState.values)
    why = s.CharField(allow_null=True)
    source = s.IntegerField()  # type: ignore[assignment]
    topic = s.CharField()
    transactional_id = s.CharField()
    fence = s.IntegerField()
    events = s.IntegerField()
    bytes = s.IntegerField()
    windows = s.ListField(child=s.CharField())
    prepared_at = s.DateTimeField()
    unknown_at = s.DateTimeField(allow_null=True)
    settled_at = s.DateTimeField(allow_null=True)
    over_at = s.DateTimeField(allow_null=True, help_text="Since when its topic is gone: nobody can settle it any more.")
    reconcile_requested = Asked(allow_null=True)
    scan = ScanAnswer(allow_null=True)


class PlanPreviewAnswer(s.Serializer[Any]):
    """What would be submitted, and what it would do on what is there now."""

    kind = s.CharField()
    digest = s.CharField(help_text="Over `binds` in canonical form (RFC 8785).")
    binds = s.DictField()
    items = s.IntegerField()
    outcomes = s.DictField(child=s.IntegerField(), help_text="How many items would end how.")
    verdict = s.CharField(allow_null=True, help_text="What the window's next verdict would be, where that can be told.")
    approvals = s.IntegerField(help_text="How many people besides who asks have to approve it.")
    says = s.ListField(child=s.CharField())


class ApprovalAnswer(s.Serializer[Any]):
    who = s.CharField()
    why = s.CharField(help_text="What they said; empty: nothing.")
    at = s.DateTimeField()


class ApprovalsAnswer(s.Serializer[Any]):
    """Who has approved a plan, in order, each under its digest. One that its requester started alone has none."""

    needed = s.IntegerField(help_text="How many it binds (`plans.approvals` of the contract when it was asked for).")
    given = ApprovalAnswer(many=True)


class PlanAnswer(s.Serializer[Any]):
    plan = s.IntegerField()
    kind = s.ChoiceField([str(kind) for kind in Kind])
    state = s.ChoiceField([str(state) for state in PlanState])
    does = s.CharField()
    stream = s.CharField()
    run = s.CharField(allow_null=True)
    window = s.IntegerField(allow_null=True)
    digest = s.CharField()
    reason = s.CharField()
    requested_by = s.CharField()
    requested_at = s.DateTimeField()
    expires_at = s.DateTimeField()
    approved_by = s.CharField(allow_null=True, help_text="Who approved it, in order; or who started it alone.")
    approved_at = s.DateTimeField(allow_null=True)
    approvals = ApprovalsAnswer()
    free_records = s.IntegerField(
        allow_null=True, help_text="Where its requester started it alone: of how many records."
    )
    decided_reason = s.CharField(allow_null=True)
    held_why = s.CharField(allow_null=True)
    void_why = s.CharField(allow_null=True)
    started_at = s.DateTimeField(allow_null=True)
    ended_at = s.DateTimeField(allow_null=True)
    items = s.IntegerField()
    outcomes = s.DictField(child=s.IntegerField())
    rerun = s.IntegerField(allow_null=True, help_text="The rerun of the window that it has opened.")


class PlanEventAnswer(s.Serializer[Any]):
    to = s.CharField()
    who = s.CharField()
    why = s.CharField()
    at = s.DateTimeField()

    def get_fields(self) -> dict[str, s.Field[Any, Any, Any, Any]]:
        return {"from": s.CharField(allow_null=True), **super().get_fields()}  # no name for an attribute


class PlanItemAnswer(s.Serializer[Any]):
    ordinal = s.IntegerField()
    subject = s.CharField()
    outcome = s.ChoiceField([str(outcome) for outcome in Outcome], allow_null=True)
    reason = s.CharField(allow_null=True)
    at = s.DateTimeField(allow_null=True)


class PlanActAnswer(s.Serializer[Any]):
    act = s.CharField()
    permission = s.CharField()
    refusal = s.CharField(allow_null=True, help_text="Why you cannot; null: you can.")


class FreeAnswer(s.Serializer[Any]):
    """What is left of the requester's free records today (`plans.free_records` of the contract)."""

    most = s.IntegerField(help_text="Of a person, stream and day (UTC).")
    left = s.IntegerField()
    records = s.IntegerField(allow_null=True, help_text="Of the plan; null: it always wants a second person.")
    alone = s.BooleanField(help_text="Whether its requester may approve it.")
    says = s.CharField()


class PlanDetails(PlanAnswer):
    """`binds` is what `digest` is over, and what an approval is of. Of corrections that you may not see there is the
    digest instead, as `sha256:…`."""

    free = FreeAnswer(allow_null=True, help_text="While it waits for an approval, where the contract gives any.")
    binds = s.DictField()
    events = PlanEventAnswer(many=True)
    first_items = PlanItemAnswer(many=True)
    acts = PlanActAnswer(many=True)


class Admission(s.Serializer[Any]):
    decision = s.ChoiceField([decision.name for decision in Decision])
    reason = s.ChoiceField([reason.name for reason in Reason])
    flags = s.ListField(child=s.ChoiceField([str(flag.name) for flag in Flag if flag]))
    receipt = s.CharField(help_text="The path of the record's receipt.")
    first = s.CharField(required=False, help_text="The path of the first one's receipt, where it was known already.")


class Admissions(s.Serializer[Any]):
    stream = s.CharField()
    run = s.CharField()
    results = Admission(many=True, help_text="One for each event, in the order they were sent.")


class MeAnswer(s.Serializer[Any]):
    name = s.CharField()
    roles = s.ListField(child=s.CharField())
    acts = s.ListField(child=s.ChoiceField([act.value for act in Act]))
    token = s.CharField(allow_null=True)


@cache
def paged(item: type[s.Serializer[Any]]) -> type[s.Serializer[Any]]:
    """A page of `item`s."""
    name = item.__name__.removesuffix("Answer")
    members = {
        "items": item(many=True),
        "next": s.CharField(allow_null=True, help_text="The URL of the page that follows, or null."),
    }
    return type(f"{name}Page", (s.Serializer,), members)
