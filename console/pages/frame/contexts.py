"""What each page is given, typed. A template reads these and nothing else, so a page's every query shows in its view.

Times are aware datetimes; offsets belong to the source beside them; `None` means not measured and is shown as such.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from console.pages.frame.charts import LedgerBar, LineChart, Part
from console.pages.frame.lineage import LineagePicture
from console.permissions import Answer

# --- around every page


@dataclass(frozen=True, slots=True)
class Entry:
    """One of the seven entries. `url` is empty for one that has no page yet."""

    word: str
    url: str
    here: bool
    count: int | None = None
    loud: bool = False


@dataclass(frozen=True, slots=True)
class Person:
    """Who is looking, as the header names them."""

    name: str
    roles: str


@dataclass(frozen=True, slots=True)
class Shell:
    """Header and index. `pace` is how often an open page asks again, in seconds; 0: it does not."""

    now: datetime
    environment: str
    tone: str
    theme: str
    entries: tuple[Entry, ...]
    needs: int | None
    person: Person | None
    path: str
    pace: int = 0


@dataclass(frozen=True, slots=True)
class Link:
    """A link with its words."""

    text: str
    url: str


@dataclass(frozen=True, slots=True)
class Tab:
    """A tab is a link; `count` None is not shown."""

    text: str
    url: str
    here: bool
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Button:
    """Something to do. A refused one is drawn disabled, with the reason."""

    text: str
    url: str
    answer: Answer
    main: bool = False


@dataclass(frozen=True, slots=True)
class SameAct:
    """The act of a form as a command line and as an API call."""

    command: str
    api: str
    body: str = ""


@dataclass(frozen=True, slots=True)
class Confirm:
    """What every page that acts has: where its form goes and Back leads, its one button, whether this person may, what
    went wrong, the same act elsewhere. `nothing` says why there is nothing to do; `hidden` is the selection.
    """

    url: str
    back: str
    button: str
    nothing: str
    answer: Answer
    errors: tuple[str, ...]
    same: SameAct
    hidden: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Pager:
    """Keyset pages: `first` and `next` are empty where there is no such page."""

    shown: int
    first: str = ""
    next: str = ""
    total: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """An offset of a source, as a link to its receipt."""

    source: str
    offset: int
    url: str


@dataclass(frozen=True, slots=True)
class Fact:
    """One line of a list of facts. `kind`: text, code, state, number, time, link, outside (text from outside).

    A number of a plan, attempt or batch is its name, hence text: `number` is for counts, and has separators.
    """

    name: str
    value: object
    kind: str = "text"
    url: str = ""


# --- checks and verdicts


@dataclass(frozen=True, slots=True)
class CheckLine:
    """One check. `follows` names the check it follows from; `evidence` is where the rows are; `acts`: what its causes
    ask for."""

    name: str
    state: str
    required: str = ""
    observed: str = ""
    at: datetime | None = None
    source: str = ""
    evidence: Link | None = None
    follows: str = ""
    acts: tuple[str, ...] = ()

    @property
    def tone(self) -> str:
        """The row's mark at its left edge."""
        return {"BROKEN": "is-bad", "UNMEASURED": "is-loud"}.get(self.state, "")


@dataclass(frozen=True, slots=True)
class Checks:
    """All checks of a window. `verdict` is empty for what is measured now: the two never look alike."""

    lines: tuple[CheckLine, ...]
    at: datetime | None
    verdict: str = ""
    not_listed: tuple[str, ...] = ()
    failed: str = ""

    @property
    def loud(self) -> tuple[CheckLine, ...]:
        return tuple(line for line in self.lines if line.state != "HOLDS")

    @property
    def holding(self) -> tuple[CheckLine, ...]:
        return tuple(line for line in self.lines if line.state == "HOLDS")

    def count(self, state: str) -> int:
        return sum(1 for line in self.lines if line.state == state)

    @property
    def tally(self) -> str:
        """ "8 hold · 3 broken · 1 unmeasured"; states that do not occur stay out, but "hold" always stands."""
        words = [f"{self.count('HOLDS')} hold"]
        words += [
            f"{self.count(state)} {word}"
            for state, word in (("BROKEN", "broken"), ("UNMEASURED", "unmeasured"), ("WAIVED", "waived"))
            if self.count(state)
        ]
        if other := len(self.lines) - sum(map(self.count, ("HOLDS", "BROKEN", "UNMEASURED", "WAIVED"))):
            words.append(f"{other} not known here")
        return " · ".join(words)


@dataclass(frozen=True, slots=True)
class DiagnosisBox:
    """The diagnosis: one sentence, the next act, and whether the person looking can do it."""

    sentence: str
    next: str = ""
    can: str = ""


@dataclass(frozen=True, slots=True)
class VerdictLine:
    """A verdict in a history, with what changed since the one before. `window` is "3", or "3 rerun 1"."""

    name: str
    url: str
    state: str
    window: str
    at: datetime
    by: str
    since: str = ""


@dataclass(frozen=True, slots=True)
class GateLine:
    """The gate of one window, or of the run. `left`: seconds of its lease; after them an open page knows nothing."""

    word: str
    state: str
    why: str
    until: datetime | None = None
    checked_at: datetime | None = None
    verdict: Link | None = None
    left: float | None = None


# --- a run


@dataclass(frozen=True, slots=True)
class WindowPlace:
    """Which run is read in a window's place, or in the place of which window a run is: words, a link, more words."""

    words: str
    link: Link
    after: str


@dataclass(frozen=True, slots=True)
class Strip:
    """Line 2 of the header, in a run. Of several windows `whole` says how they all stand, `worst` the worst verdict of
    them, and `beside` leads to those before and after and to the newest."""

    stream: str
    stream_url: str
    run: str
    run_url: str
    state: str
    contract: str
    contract_url: str
    owner: str = ""
    verdict: str = ""
    gate: str = ""
    durability: str = ""
    window: int | None = None
    beside: tuple[Link, ...] = ()
    whole: str = ""
    worst: str = ""
    windows_url: str = ""
    gate_left: float | None = None
    rerun: int | None = None
    place: WindowPlace | None = None


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run in a list. `why` is the cause in a few words."""

    stream: str
    run: str
    url: str
    state: str
    verdict: str
    why: str
    bar: LedgerBar
    opened_at: datetime
    by: str
    gate: str
    gate_left: float | None = None


@dataclass(frozen=True, slots=True)
class RunsPage:
    """`/runs/`"""

    tabs: tuple[Tab, ...]
    rows: tuple[RunRow, ...]
    streams: tuple[Tab, ...]
    pager: Pager
    empty: tuple[str, ...] = ()
    rows_key: str = ""


@dataclass(frozen=True, slots=True)
class RunPage:
    """`/runs/{s}/{run}/`: the sentence, the next act, checks, the ledger bar, the gate, the history."""

    strip: Strip
    tabs: tuple[Tab, ...]
    said: DiagnosisBox
    buttons: tuple[Button, ...]
    runbook: str
    bar: LedgerBar
    checks: Checks | None
    gate: GateLine
    verdicts: tuple[VerdictLine, ...]
    reasons: tuple[tuple[str, int, str], ...]
    joins: tuple[Fact, ...]
    pins: tuple[Link, ...]
    stands: bool = False
    measuring: bool = False
    trouble: str = ""
    plans: tuple[Todo, ...] = ()
    requests: tuple[Button, ...] = ()
    reruns: RerunList | None = None
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CutPage:
    """`/runs/{s}/{run}/cut`: the confirm page of cutting. `hidden`: offsets behind an open transaction, which would go
    to the next window."""

    confirm: Confirm
    strip: Strip
    ranges: tuple[tuple[str, int, int | None, int | None], ...]
    behind: int | None
    hidden: int
    totals: str


@dataclass(frozen=True, slots=True)
class GoOnPage:
    """`/runs/{s}/{run}/go-on`: the confirm page of cutting and going on. A range: a source, its start, its position."""

    confirm: Confirm
    strip: Strip
    ranges: tuple[tuple[str, int, int | None], ...]
    totals: str


@dataclass(frozen=True, slots=True)
class ClosePage:
    """`/runs/{s}/{run}/close`: the confirm page of closing."""

    confirm: Confirm
    strip: Strip
    said: DiagnosisBox | None
    by_itself: bool


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One source of a run. Offsets that nobody measured are None."""

    name: str
    role: str
    lane: str
    url: str
    state: str
    log_start: int | None
    window_start: int | None
    cut: int | None
    committed: int | None
    committed_words: str
    position: int
    lso: int | None
    hw: int | None
    lag: int | None
    lag_words: str
    seconds: str
    trend: LineChart
    moved_at: datetime
    sampled_at: datetime | None
    stale: bool
    owner: str
    fence: int
    stopped: str = ""


@dataclass(frozen=True, slots=True)
class SourcesPage:
    """`…/sources`"""

    strip: Strip
    tabs: tuple[Tab, ...]
    rows: tuple[SourceRow, ...]
    chart: LineChart
    samples: tuple[tuple[datetime, int | None], ...]
    max_age: str
    gaps: tuple[tuple[str, int, int, str, str], ...]


@dataclass(frozen=True, slots=True)
class ReceiptRow:
    """One receipt in a list."""

    place: Place
    decision: str
    reason: str
    class_name: str
    event_id: str
    flags: str
    batch: int


@dataclass(frozen=True, slots=True)
class ReceiptsPage:
    """`…/receipts`: searched by qualifiers, paged by (source, offset). `kept`: the window or rerun that it keeps to."""

    strip: Strip
    tabs: tuple[Tab, ...]
    q: str
    searched: str
    wrong: tuple[str, ...]
    rows: tuple[ReceiptRow, ...]
    pager: Pager
    examples: tuple[Link, ...]
    empty: tuple[str, ...] = ()
    kept: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ReceiptPage:
    """`/receipts/{source}/{offset}`"""

    place: Place
    strip: Strip | None
    decision: str
    reason: str
    reason_words: str
    event_id: str
    facts: tuple[Fact, ...]
    digests: tuple[Fact, ...]
    bus: tuple[Fact, ...]
    batch: tuple[Fact, ...]
    flags: tuple[str, ...]
    item: Link | None
    first: Place | None
    copies: str = ""


@dataclass(frozen=True, slots=True)
class RerunRow:
    """A rerun beside its window: how it stands, whose plan it is. `words` is "window 1 rerun 2"."""

    words: str
    url: str
    state: str
    verdict: str
    verdict_name: str
    verdict_url: str
    gate: str
    gate_left: float | None
    plan: int
    plan_url: str
    kind: str
    contract: str
    who: str
    approved_by: str
    opened_at: datetime


@dataclass(frozen=True, slots=True)
class RerunList:
    """The newest reruns of a window. `left`: how many came before these."""

    rows: tuple[RerunRow, ...]
    left: int = 0
    more_url: str = ""


@dataclass(frozen=True, slots=True)
class RerunPage:
    """`…/windows/{w}/reruns/{k}/`: a rerun as its run's page has a window, with whose it is. `receipts`: the first of
    its plan's source, and where all of them are."""

    strip: Strip
    tabs: tuple[Tab, ...]
    words: str
    window: Link
    said: DiagnosisBox
    buttons: tuple[Button, ...]
    bar: LedgerBar
    checks: Checks | None
    gate: GateLine
    verdicts: tuple[VerdictLine, ...]
    facts: tuple[Fact, ...]
    receipts: tuple[ReceiptRow, ...]
    receipts_url: str
    stands: bool = False
    measuring: bool = False
    trouble: str = ""
    requests: tuple[Button, ...] = ()


@dataclass(frozen=True, slots=True)
class LineageRow:
    """A row of the lineage in words. `pins` are the letters of what it was joined with, `place` is the window in whose
    place a fresh run stands."""

    run: Link
    window: Link
    verdict: str
    verdict_name: str
    verdict_url: str
    gate: str
    contract: str
    plan: Link | None
    pins: str
    place: Link | None = None


@dataclass(frozen=True, slots=True)
class LineagePage:
    """`…/lineage`: a picture, and the rows that it is drawn from. `pins`: what each letter stands for."""

    strip: Strip
    tabs: tuple[Tab, ...]
    picture: LineagePicture
    rows: tuple[LineageRow, ...]
    pins: tuple[tuple[str, Link], ...]
    says: str


@dataclass(frozen=True, slots=True)
class WindowPage:
    """`…/windows/{w}/`"""

    strip: Strip
    tabs: tuple[Tab, ...]
    facts: tuple[Fact, ...]
    ranges: tuple[tuple[str, str, int, int | None, int], ...]
    bar: LedgerBar
    verdicts: tuple[VerdictLine, ...]
    basis: tuple[tuple[int, str, str, datetime], ...]
    totals: tuple[tuple[str, int, str, datetime], ...]
    requests: tuple[Button, ...] = ()
    reruns: RerunList | None = None


@dataclass(frozen=True, slots=True)
class WindowRow:
    """One window in the list of a run's. `superseded`: the run that is read in its place."""

    number: int
    url: str
    state: str
    opened_at: datetime
    cut_at: datetime | None
    records: int
    verdict: str
    verdict_url: str
    gate: str
    gate_left: float | None = None
    reruns: RerunList | None = None
    superseded: Link | None = None

    @property
    def tone(self) -> str:
        """The row's mark at its left edge."""
        return {"FAIL": "is-bad", "BLOCKED": "is-loud"}.get(self.verdict, "")


@dataclass(frozen=True, slots=True)
class WindowsPage:
    """`…/windows/`"""

    strip: Strip
    tabs: tuple[Tab, ...]
    filters: tuple[Tab, ...]
    rows: tuple[WindowRow, ...]
    pager: Pager
    empty: tuple[str, ...] = ()
    rows_key: str = ""


@dataclass(frozen=True, slots=True)
class VerdictPage:
    """`…/verdicts/{n}`"""

    strip: Strip
    tabs: tuple[Tab, ...]
    name: str
    state: str
    sealed: bool
    at: datetime
    said: DiagnosisBox
    checks: Checks
    bar: LedgerBar
    facts: tuple[Fact, ...]
    since: tuple[str, ...]
    compare: str
    others: tuple[Link, ...]


@dataclass(frozen=True, slots=True)
class AccountRow:
    """What a window did with one source. A bus has no receipts: its counts are None. `end` None: not cut yet."""

    name: str
    role: str
    incarnation: str
    url: str
    start: int
    end: int | None
    read_to: int
    records: int | None
    admitted: int | None
    duplicates: int | None
    quarantined: int | None
    gaps: int
    unproven: int
    deleted: int
    unread: int | None
    unaccounted: int | None
    batches: int | None
    root: str
    last_at: datetime | None


@dataclass(frozen=True, slots=True)
class GapRow:
    """Offsets [start, end) without a record, and what proves that."""

    name: str
    start: int
    end: int
    state: str
    why: str
    proof: str
    proven_at: datetime | None


@dataclass(frozen=True, slots=True)
class ReplayRow:
    """How much of a source can be read again. `gone` None: nobody knows of any; `least`: there may be more."""

    name: str
    state: str
    word: str
    start: int
    end: int
    gone: int | None
    least: bool
    receipts: int | None
    gaps: int | None
    neither: int | None
    why: str
    measured_at: datetime | None
    measured_by: str


@dataclass(frozen=True, slots=True)
class GenerationRow:
    """One generation of the basis, and how it differs from the one before."""

    number: int
    digest: str
    why: str
    at: datetime
    differences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BasisPage:
    """`…/basis`. `asked_at` None, and `why`: Kafka did not answer. `differences` None: not measured."""

    strip: Strip
    tabs: tuple[Tab, ...]
    facts: tuple[Fact, ...]
    accounts: tuple[AccountRow, ...]
    gaps: tuple[GapRow, ...]
    more_gaps: int
    sentence: str
    asked_at: datetime | None
    why: str
    replays: tuple[ReplayRow, ...]
    generations: tuple[GenerationRow, ...]
    differences: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class GatePage:
    """`…/gate`"""

    strip: Strip
    tabs: tuple[Tab, ...]
    run: GateLine
    covers: str
    windows: tuple[tuple[Link, GateLine], ...]
    left_out: int
    readers: tuple[str, ...]
    tables: tuple[str, ...]
    snippets: tuple[tuple[str, str], ...]
    decisions: tuple[tuple[datetime, str, str, int, str, str], ...]
    enforced_at: datetime | None
    enforced: str


# --- quarantine


@dataclass(frozen=True, slots=True)
class GroupRow:
    """Items of one run with one reason."""

    reason: str
    words: str
    stream: str
    run: str
    url: str
    open: int
    records: int
    oldest: datetime
    newest: datetime
    first_item: str
    bar: float = 0.0


@dataclass(frozen=True, slots=True)
class ItemRow:
    """One item in a list. `redriven`: the plan that sent it through admission last, and to which `outcome`."""

    id: int
    url: str
    reason: str
    detail: str
    stream: str
    run: str
    place: Place
    event_id: str
    seen: int
    arrived_at: datetime
    state: str
    resolution: str = ""
    redriven: Link | None = None
    outcome: str = ""


@dataclass(frozen=True, slots=True)
class QuarantinePage:
    """`/quarantine/`: by reason, or as a list."""

    tabs: tuple[Tab, ...]
    groups: tuple[GroupRow, ...]
    rows: tuple[ItemRow, ...]
    pager: Pager
    grouped: bool
    filtered: str = ""
    empty: tuple[str, ...] = ()
    rows_key: str = ""


@dataclass(frozen=True, slots=True)
class GroupPage:
    """`/quarantine/groups/{g}`; `tick` shows boxes to whoever may resolve or ask for a redrive. `redrives`: asking for
    one of the items of a window."""

    key: str
    reason: str
    words: str
    run: Link
    count: int
    records: int
    oldest: datetime | None
    rows: tuple[ItemRow, ...]
    pager: Pager
    button: Button | None
    tick: bool
    redrives: tuple[Button, ...]
    may_redrive: Answer
    rows_key: str
    empty: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DiffRow:
    """One field of two payloads. None: the field is not there."""

    pointer: str
    first: str | None
    arrived: str | None

    @property
    def equal(self) -> bool:
        return self.first == self.arrived


@dataclass(frozen=True, slots=True)
class Difference:
    """Two payloads field by field; `only_digests` says why there are no values to see."""

    differing: tuple[DiffRow, ...]
    equal: tuple[DiffRow, ...]
    left_out: int = 0
    only_digests: str = ""


@dataclass(frozen=True, slots=True)
class RedriveLine:
    """One time that an item went through admission again: by which plan, into which rerun, and what became of it."""

    plan: int
    plan_url: str
    place: Place
    outcome: str
    why: str
    corrected_by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class ItemPage:
    """`/quarantine/{id}`"""

    id: int
    strip: Strip
    reason: str
    headline: str
    detail: str
    state: str
    facts: tuple[Fact, ...]
    first: Place | None
    first_at: datetime | None
    arrived: Place
    arrived_at: datetime
    seen: int
    difference: Difference | None
    payload: str | None
    hidden: str
    key: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    headers_left: int
    bytes: int | None
    raw_url: str
    buttons: tuple[Button, ...]
    resolution: tuple[Fact, ...]
    redrives: tuple[RedriveLine, ...] = ()
    next_url: str = ""
    open_left: int = 0


@dataclass(frozen=True, slots=True)
class Choice:
    """A way to resolve an item."""

    value: str
    word: str
    words: str
    refused: str = ""
    sums: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ResolvePage:
    """`/quarantine/{id}/resolve`, or of a selection.

    `beyond` are the runs in which discarding would exceed the contract's bound: one of them is to be typed.
    """

    confirm: Confirm
    title: str
    headline: str
    rows: tuple[ItemRow, ...]
    count: int
    choices: tuple[Choice, ...]
    chosen: str
    reason: str
    then_next: bool = True
    redrive: Button | None = None
    joined: int = 0
    beyond: tuple[str, ...] = ()
    confirmed: str = ""


# --- unknown publishes


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """One attempt in a list."""

    id: int
    url: str
    source: str
    stream: str
    run: str
    run_url: str
    state: str
    why: str
    events: int
    since: datetime
    waiting: str
    blocks: str


@dataclass(frozen=True, slots=True)
class UnknownPage:
    """`/unknown/`: oldest first."""

    tabs: tuple[Tab, ...]
    rows: tuple[AttemptRow, ...]
    buttons: tuple[Button, ...]
    pager: Pager
    empty: tuple[str, ...] = ()
    rows_key: str = ""


@dataclass(frozen=True, slots=True)
class Moment:
    """One entry of a timeline. `kind`: good, bad, wait, silence, plain."""

    at: datetime | None
    what: str
    words: str = ""
    kind: str = "plain"


@dataclass(frozen=True, slots=True)
class AttemptPage:
    """`/attempts/{id}`"""

    id: int
    state: str
    headline: str
    next: str
    facts: tuple[Fact, ...]
    moments: tuple[Moment, ...]
    partitions: tuple[tuple[int, int, str, str], ...]
    batches: tuple[tuple[int, int, int, str], ...]
    blocks: tuple[Link, ...]
    buttons: tuple[Button, ...]


@dataclass(frozen=True, slots=True)
class ReconcilePage:
    """The confirm page of Reconcile, for one attempt or for all of a run."""

    confirm: Confirm
    title: str
    rows: tuple[AttemptRow, ...]
    events: int
    attempts: int
    joined: int
    run: str


# --- plans


@dataclass(frozen=True, slots=True)
class PlanRow:
    """One plan in a list. `ends` is when it expires, or when it ended."""

    number: int
    url: str
    kind: str
    does: str
    about: Link
    who: str
    at: datetime
    state: str
    ends: datetime | None
    over: bool
    button: Button | None = None


@dataclass(frozen=True, slots=True)
class PlansPage:
    """`/plans/`: newest first."""

    tabs: tuple[Tab, ...]
    rows: tuple[PlanRow, ...]
    pager: Pager
    empty: tuple[str, ...] = ()
    rows_key: str = ""


@dataclass(frozen=True, slots=True)
class Since:
    """How what a plan binds has changed since it was asked for, and when somebody looked. `why`: nobody could."""

    changes: tuple[str, ...]
    at: datetime | None
    why: str = ""


@dataclass(frozen=True, slots=True)
class PlanBox:
    """What a plan asks for and binds: the same where it is read and where it is answered. `since` None: it is past
    that."""

    number: int
    kind: str
    state: str
    asks: str
    about: Link
    why: str
    facts: tuple[Fact, ...]
    binds: tuple[Fact, ...]
    since: Since | None


@dataclass(frozen=True, slots=True)
class PlanItemRow:
    """One item of a plan: what it is, where that has a page, and what became of it."""

    ordinal: int
    subject: str
    url: str
    outcome: str | None
    why: str


@dataclass(frozen=True, slots=True)
class PlanPage:
    """`/plans/{id}`. `items` are a page of them. `predicted` is empty for what waits no more; `rerun`: what it opened;
    `corrections`: other bytes by item, or why they are not shown."""

    plan: PlanBox
    next: str
    buttons: tuple[Button, ...]
    predicted: tuple[str, ...]
    outcomes: tuple[tuple[str, int], ...]
    in_all: int
    left: int
    items: tuple[PlanItemRow, ...]
    pager: Pager
    export_url: str
    moments: tuple[Moment, ...]
    progress: tuple[Part, ...] = ()
    rerun: Link | None = None
    corrections: tuple[tuple[Link, str], ...] = ()
    hidden: str = ""


@dataclass(frozen=True, slots=True)
class PlanActPage:
    """`/plans/{id}/approve` and the like. `reason`: what was typed; `required`: there must be one."""

    confirm: Confirm
    plan: PlanBox
    title: str
    lead: str
    predicted: tuple[str, ...]
    required: bool
    reason: str


@dataclass(frozen=True, slots=True)
class PlanForm:
    """What a plan is asked for with, as text."""

    kind: str
    run: str
    window: str
    check: str
    until: str
    topic: str
    topic_id: str
    attempt: str
    attempts: str
    first: str
    rate: str
    stop_when: str
    reason_code: str = ""
    items: str = ""
    contract: str = ""
    mode: str = ""
    ranges: str = ""
    out_of_order: str = ""


@dataclass(frozen=True, slots=True)
class CorrectionForm:
    """Other bytes for the one item that is redriven, as text; what arrived stands there until somebody types. `why`:
    that is not put there."""

    item: int
    text: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class AskPage:
    """`/plans/new`: what is asked for, its preview, and asking for exactly that. `digest` is empty without a preview;
    `of_items`: it does several things, and may be told how gently. `fields`: what the kind is asked for with."""

    confirm: Confirm
    action: str
    form: PlanForm
    kinds: tuple[str, ...]
    fields: tuple[str, ...]
    checks: tuple[str, ...]
    of_items: bool
    wrong: tuple[str, ...]
    says: tuple[str, ...]
    facts: tuple[Fact, ...]
    digest: str
    reason: str
    reasons: tuple[str, ...] = ()
    outcomes: tuple[tuple[str, int], ...] = ()
    correction: CorrectionForm | None = None


# --- the rest


@dataclass(frozen=True, slots=True)
class Todo:
    """One line of what needs somebody: a sentence, where it leads, how old it is."""

    sentence: str
    url: str
    state: str
    where: str
    since: datetime | None
    act: Button | None = None


@dataclass(frozen=True, slots=True)
class NowPage:
    """`/`: what needs me first, then what goes on."""

    needs: tuple[Todo, ...]
    others: tuple[Todo, ...]
    going_on: tuple[RunRow, ...]
    lately: tuple[VerdictLine, ...]
    empty: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Hit:
    """Something found."""

    kind: str
    text: str
    url: str
    about: str = ""
    state: str = ""


@dataclass(frozen=True, slots=True)
class FindPage:
    """`/find?q=`"""

    q: str
    searched: str
    hits: tuple[Hit, ...]
    empty: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StreamRow:
    """One stream in the list."""

    name: str
    url: str
    contract: str
    digest: str
    owner: str
    inbox: str
    bus: str
    open_run: Link | None
    runs: int


@dataclass(frozen=True, slots=True)
class StreamsPage:
    """`/streams/`"""

    rows: tuple[StreamRow, ...]
    empty: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StreamPage:
    """`/streams/{s}/`"""

    name: str
    version: int
    digest: str
    owner: str
    runbook: str
    loaded_by: str
    loaded_at: datetime | None
    versions: tuple[tuple[Tab, str, str, datetime], ...]
    facts: tuple[Fact, ...]
    events: tuple[tuple[str, str, str, str, bool], ...]
    limits: tuple[Fact, ...]
    rules: tuple[Fact, ...]
    not_in_force: tuple[str, ...]
    who_reads: str  # where the contract names readers, that nothing enforces it yet
    changes: tuple[str, ...]
    since: str
    text: bytes
    snippets: tuple[tuple[str, str], ...]
    runs: tuple[RunRow, ...]
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class LaneRow:
    """One (lane, source) of the machine."""

    lane: str
    source: str
    stream: str
    state: str
    position: int
    lag: int | None
    moved_at: datetime
    owner: str
    until: datetime | None
    fence: int
    detail: str = ""  # why it stands still, in full
    next: str = ""


@dataclass(frozen=True, slots=True)
class LanesPage:
    """`/system/lanes`: is the machine well."""

    said: str
    well: bool
    rows: tuple[LaneRow, ...]
    pager: Pager
    owners: tuple[tuple[str, int, datetime | None], ...]
    queue: tuple[Fact, ...]
    permits: tuple[Fact, ...]
    dead: tuple[tuple[str, str, datetime, datetime | None], ...]
    enforcement: tuple[tuple[str, datetime, str], ...]


@dataclass(frozen=True, slots=True)
class MePage:
    """`/me/`: what may I do, and why not."""

    name: str
    roles: str
    acts: tuple[tuple[str, Answer], ...]
    theme: str
    keys: Sequence[tuple[str, str]] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class Problem:
    """A page that could not be shown: what, why, what to do next."""

    code: int
    title: str
    words: str
    next: str = ""
