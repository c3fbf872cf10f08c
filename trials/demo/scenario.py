"""The story, told on the real parts: weather passes, January is blocked, cleared and read, February is left to you, and
what was lost of the airports is read again by two people.

What the producer, the operator and the reader do here goes through Kafka, commands, HTTP and a database login. Chapters
are methods, in the order they are told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from console.permissions import Role
from ingest.core.reason import Decision, Reason
from ingest.kafka import Cluster
from stack import Stack
from trials.demo.acts import DONE, FOUND, NOT_LOOKED_AT, NOT_YET, Commands
from trials.demo.airports import BUS, Airports, halves, plan_named
from trials.demo.data import Event, Month
from trials.demo.disturb import freeze_in_mid_publish, kill_any, kill_in_mid_batch, wait_until
from trials.demo.faults import HOSTILE, Outgoing
from trials.demo.inbox import PARTITIONS, Inbox, create_topics, pieces
from trials.demo.ledger import Ledger
from trials.demo.people import SignIn, make_people
from trials.demo.reader import Reader
from trials.demo.story import (
    Joins,
    Plan,
    Recipe,
    expected_joins,
    flights_plan,
    hours_to_report_twice,
    weather_plan,
)
from trials.demo.summary import pages
from trials.demo.telling import Teller
from trials.demo.told import Expectations
from trials.demo.versions import first_version, newest
from trials.demo.visitor import Visitor

PIECE = 3_000
TICKS = 100
SECOND_REPORTS = 4
PATIENCE = 120.0
JANUARY = Recipe(mismatches=12, repeated_mismatches=2, hostile=HOSTILE, other_run=("2013-02", Reason.OTHER_RUN))
FEBRUARY = Recipe(mismatches=9, repeated_mismatches=1, hostile=HOSTILE[::3], other_run=("2013-01", Reason.LATE))
BY_HAND = (b"\nauto                = true\n", b"\nauto                = false\n")
"""In the first version of the flights' contract a person asks for every verdict."""


@dataclass
class Demo:
    """One telling of the story."""

    stack: Stack
    teller: Teller
    months: tuple[Month, ...]
    airports: tuple[Event, ...]
    told: Expectations = field(default_factory=Expectations)
    people: tuple[SignIn, ...] = ()
    plans: dict[str, Plan] = field(default_factory=dict)
    joins: dict[str, Joins] = field(default_factory=dict)
    took: dict[str, float] = field(default_factory=dict)
    waiting: int = 0
    """The plan that is left for the approver."""

    def __post_init__(self) -> None:
        env = self.stack.env()
        self.commands = Commands(self.teller)
        self.cluster = Cluster.of(env["KAFKA_BOOTSTRAP_SERVERS"])
        self.ledger = Ledger(env["DATABASE_URL"])
        self._env = env

    @property
    def first(self) -> Month:
        return self.months[0]

    @property
    def left(self) -> Month:
        """The month that is left BLOCKED."""
        return self.months[1]

    def tell(self) -> None:
        """All chapters."""
        first, left, *others = self.months
        self._chapter("People, topics, contracts", self.connect)
        self._chapter("A stream that never ends: its windows follow one another from here on", self.ticks)
        self._chapter(
            f"Weather of {first.run_name}: flights are joined with nothing that has not passed", self.weather, first
        )
        self._chapter(f"Flights of {first.run_name}: what really happens", self.january)
        self._chapter("Judged: BLOCKED, and by what. No PASS, no read", self.blocked)
        self._chapter("What a person does", self.cleared)
        self._chapter("PASS: the same reader, the same run", self.read)
        self._chapter("The contract's second version: from here on verdicts come by themselves", self.judge_by_itself)
        for month in others:
            self._chapter(f"Weather and flights of {month.run_name}", self.further, month)
        self._chapter(f"Weather and flights of {left.run_name}, left for you", self.february)
        lost = self._lost_and_found()
        self._chapter("A window that fails: its bus is deleted, and created again", lost.lost)
        self._chapter("Two people: the failed window is read again, into a run of its own", lost.replaced)
        self._chapter("Two people: what was set aside is admitted under a mended contract", lost.mended)
        self._chapter("What both gave: a run in a window's place, and a rerun beside another one", lost.judged)
        self._chapter("What became of the stream that never ends meanwhile", self.ticked)
        self._chapter("What needs a second person waits for one", self.ask)
        self._chapter("Every invariant of the ledger, looked at again", self.check)

    def _lost_and_found(self) -> Airports:
        return Airports(
            self.commands, self.teller, self.told, self.ledger, self.cluster, self.reader,
            self.stack.data / "contracts", halves(self.airports),
        )  # fmt: skip

    def _chapter(self, title: str, chapter: Callable[..., None], *which: Any) -> None:
        self.teller.chapter(title)
        began = self.teller.seconds
        chapter(*which)
        self.took[title] = self.teller.seconds - began

    def check(self) -> None:
        """What a person would run who does not believe it."""
        answer = self.commands.run("fsck", codes=(DONE, FOUND, NOT_LOOKED_AT))
        self.told.holds("fsck finds nothing", "Nothing found" in answer.text, answer.text.strip())
        unseen = [line.split()[0] for line in answer.text.splitlines() if "was not looked at" in line]
        self.told.point("what fsck could not look at", f"{BUS}/0", ", ".join(unseen) or "nothing")

    # ---- before anything flows --------------------------------------------------------------------------------------

    def connect(self) -> None:
        """People, topics, contracts, and a token for the reader."""
        self.people = make_people(self.commands)
        create_topics(self.cluster)
        self.teller.say(f"topics: {', '.join(f'{topic} ({n})' for topic, n in PARTITIONS.items())}")
        self.commands.run("stream", "load", newest("weather.toml"), "--as", "engineer")
        folder = self.stack.data / "contracts"
        flights = first_version(folder, "flights.toml", "flight.schema.json", BY_HAND)
        self.commands.run("stream", "load", flights, "--as", "engineer")
        words = ("token", "create", "viewer", "--name", "flights_mart", "--act", "gate", "--as", "engineer")
        token = self.commands.run(*words, quiet=True).text.split()[0]
        self.reader = Reader(str(self.stack.url), token, self._env["PASSGATE_READER_URL"])

    # ---- a stream that never ends -----------------------------------------------------------------------------------

    def ticks(self) -> None:
        """Nobody opens its runs or cuts its windows: the clock does."""
        self.commands.run("stream", "load", newest("ticks.toml"), "--as", "engineer")
        opened = wait_until(lambda: self._ticking() is not None, 30.0, every=0.2)
        self.told.holds("a run of ticks opened by the clock", opened)
        self._send_ticks(range(TICKS))
        self.teller.say(f"sent {TICKS} ticks; nobody says when to cut")

    @property
    def ticking(self) -> str:
        """The newest run of ticks."""
        return self._ticking() or ""

    def _ticking(self) -> str | None:
        """The newest run of ticks."""
        named = [str(run.run_name) for run in self.ledger.rows("runs") if run.stream == "ticks"]
        return named[-1] if named else None

    def _send_ticks(self, numbers: Iterable[int]) -> None:
        inbox = Inbox(self.cluster, "ticks.inbox")
        values = [b'{"type": "tick", "number": %d}' % number for number in numbers]
        inbox.send([Outgoing(b"tick", value, Decision.ADMITTED) for value in values])
        inbox.close()

    def ticked(self) -> None:
        """Its windows were cut and judged meanwhile; a tick of the first one is a duplicate in a later one."""
        self._send_ticks([0, TICKS])
        passed = wait_until(lambda: self._ticks_passed() >= 3, PATIENCE)
        self.told.holds("three windows of ticks passed by themselves", passed, f"{self._ticks_passed()} did")
        counted = wait_until(lambda: self._tick_counts() == (TICKS + 1, 1), PATIENCE)
        found = "{} admitted, {} duplicate".format(*self._tick_counts())
        self.told.holds("a tick that came again in a later window is a duplicate", counted, found)
        self.commands.run("run", "windows", f"ticks/{self._ticking()}", "--limit", "6")

    def _ticks_passed(self) -> int:
        return sum(row.state == "PASS" for row in self.ledger.rows("ticks_windows"))

    def _tick_counts(self) -> tuple[int, int]:
        mine = [run for run in self.ledger.rows("runs") if run.stream == "ticks"]
        return sum(int(run.admitted) for run in mine), sum(int(run.duplicates) for run in mine)

    def ask(self) -> None:
        """An operator asks to let the month's open items stand; nobody approves it here."""
        run = f"flights/{self.left.run_name}"
        because = "The sender sends corrections next month; readers can do without these until then."
        words = ("plan", "submit", "waive", run, "--check", "QUARANTINE", "--until", "7d", "--because", because)
        self.waiting, _ = plan_named(self.commands.run(*words, "--as", "operator").text)
        states = {row.id: row.state for row in self.ledger.rows("plans")}
        self.told.point(f"plan {self.waiting}", "SUBMITTED", states.get(self.waiting))
        self._waits_on_now()

    def _waits_on_now(self) -> None:
        """As the approver sees it who signs in, and on every page that this demo names."""
        visitor = Visitor(str(self.stack.url), self.sign_in(Role.APPROVER))
        now = visitor.read("/")[1]
        theirs = now.partition("Needs you")[2].partition("Waits for other people")[0]
        waits = "Approve" in theirs and self.left.run_name in theirs
        self.told.holds("Now says to the approver that a plan waits", waits, theirs[:400])
        missing = [place for place in pages(self) if visitor.open(place.path)[0] != 200]
        self.told.point("pages named here that are not there", "none", ", ".join(p.path for p in missing) or "none")

    def sign_in(self, role: Role) -> SignIn:
        """The person of that role."""
        return next(one for one in self.people if one.role is role)

    # ---- weather ----------------------------------------------------------------------------------------------------

    def weather(self, month: Month) -> None:
        """A month of weather, sent, cut and judged by itself; flights can then be joined with it."""
        second = hours_to_report_twice(month, SECOND_REPORTS)
        plan = self._plan(weather_plan(month, second))
        self.joins[f"flights/{month.run_name}"] = expected_joins(month, second)
        self.commands.run("run", "open", plan.name, "--as", "engineer")
        inbox = self._inbox(plan)
        inbox.send(plan.records)
        hours = ", ".join(f"{origin} {hour[:13]}h" for origin, hour in second)
        self.teller.say(f"sent {_sent(plan)}")
        self.teller.say(f"among them a second, different report for {hours}: joins there are AMBIGUOUS")
        self._cut_window(plan)
        self._await_verdict(plan, "PASS")
        inbox.close()

    # ---- flights, with everything that happens ----------------------------------------------------------------------

    def january(self) -> None:
        """Sent with all that goes wrong; a worker killed, the broker frozen. Cut by its producer."""
        plan = self._plan(flights_plan(self.first, JANUARY, PARTITIONS["flights.inbox"]))
        inbox = self._open_flights(plan)
        self.teller.say(f"sending {_sent(plan)}")
        left = iter(list(pieces(plan.records, PIECE)))
        inbox.send(next(left))
        self._kill_a_worker(inbox, left)
        self._freeze_the_broker(inbox, left)
        self._send_rest(inbox, left)
        self._let_it_settle(plan, inbox)
        self._cut_window(plan)
        inbox.close()

    def _kill_a_worker(self, inbox: Inbox, left: Iterator[list[Outgoing]]) -> None:
        killed = None
        for piece in islice(left, 3):
            inbox.send(piece)
            killed = kill_in_mid_batch(self.stack, self._env["DATABASE_URL"], seconds=5.0)
            if killed:
                break
        killed = killed or kill_any(self.stack, self.ledger, "flights")
        self.told.holds("a lane worker was killed in mid-batch", killed is not None and killed.in_batch)
        if killed:
            where = "receipts written, not committed" if killed.in_batch else "between two batches"
            lease = self.ledger.row("leases_of", pid=str(killed.pid))
            self.teller.say(f"SIGKILL to lane worker {killed.pid}, {where}: that batch never happened")
            self.teller.say(
                f"nobody may go on with its {lease.lanes} lanes before its leases end, in {lease.seconds or 0:.0f} s"
            )

    def _freeze_the_broker(self, inbox: Inbox, left: Iterator[list[Outgoing]]) -> None:
        """Until the publishes that it holds have timed out."""
        caught: tuple[int, ...] = ()
        # the killed worker may have held every lane of the inbox: then nothing is published before its leases end
        for seconds, piece in zip((40.0, 5.0, 5.0, 5.0, 5.0), left, strict=False):
            inbox.send(piece)
            caught = freeze_in_mid_publish(self.stack, self.ledger, "flights", seconds)
            if caught:
                break
        self.told.holds("the broker was frozen in mid-publish", bool(caught))
        if caught:
            self._wait_out(caught)

    def _wait_out(self, caught: tuple[int, ...]) -> None:
        self.teller.say(
            f"SIGSTOP to the broker, {_publishes(len(caught))} on the way: it holds connections and answers nothing"
        )
        try:
            timed_out = wait_until(lambda: self._attempts(caught, "UNKNOWN") == len(caught), 45.0)
        finally:
            self.stack.thaw("kafka")
        self.told.holds("the publishes it held timed out as UNKNOWN", timed_out, self._states(caught))
        self.teller.say(
            f"SIGCONT. {_publishes(len(caught)).capitalize()} timed out: sent, and nobody knows whether it landed"
        )

    def _attempts(self, ids: tuple[int, ...], state: str) -> int:
        return sum(row.state == state for row in self.ledger.rows("attempts", ids=list(ids)))

    def _states(self, ids: tuple[int, ...]) -> str:
        return ", ".join(f"{row.id} {row.state}" for row in self.ledger.rows("attempts", ids=list(ids)))

    def _send_rest(self, inbox: Inbox, left: Iterator[list[Outgoing]]) -> None:
        for piece in left:
            inbox.send(piece)
        self.teller.say(f"all {inbox.sent:,} records are in {inbox.topic}")

    def _let_it_settle(self, plan: Plan, inbox: Inbox) -> None:
        """Until every record has its receipt and every batch that can be published is."""
        admitted = wait_until(lambda: self._all_admitted(plan.stream, inbox.ends), PATIENCE)
        self.told.holds(f"every record of {plan.name} got its receipt", admitted, self._positions(plan.stream))
        quiet = wait_until(lambda: self._nothing_on_the_way(plan.stream), PATIENCE)
        self.told.holds(f"every batch of {plan.name} was published, or waits behind an unknown one", quiet)
        unknown = {row.state: row for row in self.ledger.rows("unsettled", stream=plan.stream)}.get("UNKNOWN")
        if unknown:
            publishes = f"{_publishes(unknown.attempts)} ({unknown.events:,} events)"
            self.teller.say(f"every record has its receipt; {publishes} without a known outcome")

    def _all_admitted(self, stream: str, ends: Mapping[int, int]) -> bool:
        at = {row.partition: row.next_offset for row in self.ledger.rows("admitted_to", stream=stream)}
        return all(at.get(partition, 0) >= end for partition, end in ends.items())

    def _positions(self, stream: str) -> str:
        return ", ".join(
            f"{row.partition} at {row.next_offset}" for row in self.ledger.rows("admitted_to", stream=stream)
        )

    def _nothing_on_the_way(self, stream: str) -> bool:
        if self.ledger.rows("prepared", stream=stream):
            return False
        return int(self.ledger.row("waiting_batches", stream=stream).batches) == 0

    # ---- judged, cleared, read --------------------------------------------------------------------------------------

    def blocked(self) -> None:
        """The first verdict, and what a reader is told meanwhile."""
        plan = self.plans[f"flights/{self.first.run_name}"]
        self.commands.run("run", "close", plan.name, "--wait", "60s", "--as", "operator", codes=(NOT_YET,))
        verdict = self._verdicts(plan)[-1]
        self.told.point(f"the first verdict of {plan.name}", "#1 BLOCKED", f"#{verdict.number} {verdict.state}")
        for words in ("no known outcome", "quarantine items are open"):
            self.told.holds(f'it says "{words}"', words in verdict.sentence, verdict.sentence)
        self._reader_is_refused(plan)

    def _reader_is_refused(self, plan: Plan) -> None:
        answer, rows = self.reader.ask(plan.stream, plan.run_name), self.reader.rows()
        seen = f"its login sees {rows:,} rows of truth.flights_weather"
        self.teller.say(f"a reader: gate over HTTP {answer.status} {answer.code}; {seen}")
        self.told.point("the gate over HTTP before", 403, answer.status)
        self.told.point("rows the reader saw before", 0, rows)

    def cleared(self) -> None:
        """What a person does about it: reconcile, resolve with a reason, ask for the next verdict."""
        plan = self.plans[f"flights/{self.first.run_name}"]
        self.commands.run("quarantine", "list", plan.name, "--limit", "6")
        self.commands.run("reconcile", plan.name, "--wait", "--as", "operator")
        first = "Compared both payloads: later corrections that the airline sends again next month."
        rest = "Not flights: noise of a scanner and of a broken exporter; the sender was told."
        resolve = ("quarantine", "resolve", plan.name, "--as", "operator", "--resolution")
        self.commands.run(*resolve, "ACCEPTED_FIRST", "--reason", "PAYLOAD_MISMATCH", "--because", first)
        self.commands.run(*resolve, "DISCARDED", "--all", "--because", rest)
        self.commands.run("run", "close", plan.name, "--wait", "120s", "--as", "operator", codes=(DONE, NOT_YET))
        verdict = self._verdicts(plan)[-1]
        self.told.point(f"the next verdict of {plan.name}", "#2 PASS", f"#{verdict.number} {verdict.state}")
        self.told.point("items that are open", 0, len(self._open_items(plan)))

    def read(self) -> None:
        """The same reader, the same run."""
        plan = self.plans[f"flights/{self.first.run_name}"]
        self.commands.run("gate", plan.name, "--wait", "60s", "--as", "flights_mart", codes=(DONE, NOT_YET))
        answer, rows = self.reader.ask(plan.stream, plan.run_name), self.reader.rows()
        self.teller.say(f"the reader again: HTTP {answer.status}, {answer.verdict}; it sees {rows:,} rows")
        self.told.point("the gate over HTTP after", 200, answer.status)
        self.told.point("rows the reader sees after", plan.events, rows)

    def _open_items(self, plan: Plan) -> list[Any]:
        return self.ledger.rows("open_items", stream=plan.stream, run_name=plan.run_name)

    # ---- further months, and the one that is left --------------------------------------------------------------------

    def judge_by_itself(self) -> None:
        """A second version of the contract: from the next window on, verdicts come by themselves."""
        path = newest("flights.toml")
        self.commands.run("stream", "diff", path, codes=(1,))
        self.commands.run("stream", "load", path, "--as", "engineer")

    def further(self, month: Month) -> None:
        """A month in which nothing happens but 5% resent; BLOCKED all the same where too much weather is missing."""
        self.weather(month)
        plan = self._plan(flights_plan(month, Recipe(), PARTITIONS["flights.inbox"]))
        inbox = self._open_flights(plan)
        inbox.send(plan.records)
        self.teller.say(f"sent {_sent(plan)}")
        self._cut_window(plan)
        self._await_verdict(plan, self._without_people(plan))
        inbox.close()

    def _without_people(self, plan: Plan) -> str:
        """The contract's bound for MISSING is 0.005: August, October and December have more."""
        return "PASS" if self.joins[plan.name].missing / plan.events <= 0.005 else "BLOCKED"

    def february(self) -> None:
        """Left as it is for whoever opens the console."""
        self.weather(self.left)
        plan = self._plan(flights_plan(self.left, FEBRUARY, PARTITIONS["flights.inbox"]))
        inbox = self._open_flights(plan)
        self.teller.say(f"sending {_sent(plan)}")
        left = iter(list(pieces(plan.records, PIECE)))
        inbox.send(next(left))
        self._freeze_the_broker(inbox, left)
        self._send_rest(inbox, left)
        self._let_it_settle(plan, inbox)
        self._cut_window(plan)
        self._await_verdict(plan, "BLOCKED")
        inbox.close()

    # ---- common -----------------------------------------------------------------------------------------------------

    def _plan(self, plan: Plan) -> Plan:
        self.plans[plan.name] = plan
        return plan

    def _inbox(self, plan: Plan) -> Inbox:
        return Inbox(self.cluster, f"{plan.stream}.inbox")

    def _open_flights(self, plan: Plan) -> Inbox:
        """Pinned to what its own month's weather passed by; without saying so, the newest PASS would be taken."""
        weather = self._verdicts(self.plans[f"weather/{plan.run_name}"])[-1]
        pin = f"weather=weather/{plan.run_name}#{weather.number}"
        self.commands.run("run", "open", plan.name, "--pin", pin, "--as", "engineer")
        return self._inbox(plan)

    def _cut_window(self, plan: Plan) -> None:
        """The producer says how many events it sent; what else lies in the inbox it knows nothing of."""
        of_class = "flight" if plan.stream == "flights" else plan.stream
        self.commands.run("run", "cut", plan.name, "--totals", f"{of_class}={plan.events}", "--as", "engineer")

    def _await_verdict(self, plan: Plan, state: str) -> None:
        """The verdict that comes by itself."""
        wait_until(lambda: bool(self._verdicts(plan)), PATIENCE, every=0.2)
        verdicts = self._verdicts(plan)
        found = f"#{verdicts[-1].number} {verdicts[-1].state}" if verdicts else "none"
        self.told.point(f"the verdict of {plan.name}", f"#1 {state}", found)
        self.teller.say(
            f"judged by itself: {plan.name}{found}" if verdicts else f"no verdict of {plan.name} in {PATIENCE:.0f} s"
        )
        if verdicts:
            self.teller.answer(verdicts[-1].sentence)

    def _verdicts(self, plan: Plan) -> list[Any]:
        return self.ledger.rows("verdicts", stream=plan.stream, run_name=plan.run_name)


def _sent(plan: Plan) -> str:
    """What a plan sends, in words."""
    resent, strange = plan.decided(Decision.DUPLICATE), plan.decided(Decision.QUARANTINED)
    words = f"{len(plan.records):,} records of {plan.name}: {plan.events:,} events, {resent:,} resent"
    words += f" ({plan.reserialised():,} of them serialised another way)"
    return words + (f", {strange:,} that are no events of this run or not the same" if strange else "")


def _publishes(count: int) -> str:
    return f"{count} publish" if count == 1 else f"{count} publishes"
