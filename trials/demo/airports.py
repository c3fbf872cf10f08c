"""A stream whose bus is lost: one window fails, and a run of its own takes its place; what another one set aside is
admitted after all. Both are plans: one person asks for them, another one approves.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ingest.core.reason import Decision
from ingest.kafka import Admin, Cluster
from trials.demo.acts import Commands
from trials.demo.data import Event
from trials.demo.disturb import wait_until
from trials.demo.faults import Outgoing, encode
from trials.demo.inbox import PARTITIONS, Inbox
from trials.demo.ledger import Ledger
from trials.demo.reader import GateAnswer, Reader
from trials.demo.telling import Teller
from trials.demo.told import Expectations
from trials.demo.versions import first_version, newest

STREAM, NAME, FRESH = "airports", "2013", "2013.r1"
RUN = f"{STREAM}/{NAME}"
BUS = "airports.bus"
PATIENCE = 60.0
OVER = ("DONE", "VOID", "EXPIRED", "DECLINED", "CANCELLED", "HELD")
ABOVE_THE_SEA = (b'"minimum": -1500', b'"minimum": 0')
"""In the first version of the schema no airport lies below the sea."""
_SUBMITTED = re.compile(r"^Plan ([0-9]+) is SUBMITTED.*^digest: ([0-9a-f]{64})", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Halves:
    """The airports by the window that they come in, and those that the first schema refuses."""

    first: tuple[Event, ...]
    second: tuple[Event, ...]

    @property
    def below_the_sea(self) -> tuple[Event, ...]:
        return tuple(event for event in self.second if event["alt"] < 0)


def halves(airports: Sequence[Event]) -> Halves:
    """Those of Eastern time come first; all the others afterwards, among them two that lie below the sea."""
    events = [{"type": "airport", **airport} for airport in airports]
    return Halves(
        tuple(event for event in events if event["tz"] == -5), tuple(event for event in events if event["tz"] != -5)
    )


@dataclass
class Airports:
    """Its chapters. `folder`: for the contract's first version."""

    commands: Commands
    teller: Teller
    told: Expectations
    ledger: Ledger
    cluster: Cluster
    reader: Reader
    folder: Path
    events: Halves

    # ---- a window that fails -----------------------------------------------------------------------------------------

    def lost(self) -> None:
        """Somebody deletes the bus and creates it again: window 1 fails, window 2 goes on, and waits for people."""
        contract = first_version(self.folder, "airports.toml", "airport.schema.json", ABOVE_THE_SEA)
        self.commands.run("stream", "load", contract, "--as", "engineer")
        self.commands.run("run", "open", RUN, "--as", "engineer")
        self._send(self.events.first, "the airports of Eastern time")
        applied = wait_until(lambda: self._applied() == len(self.events.first), PATIENCE)
        self.told.holds("window 1 of the airports was applied", applied, f"{self._applied()} events")
        self._lose_the_bus()
        self.commands.run("run", "cut", RUN, "--go-on", "--window", "1", "--as", "engineer")
        self._judged(1, "FAIL", "deleted and created again")
        self._refused(self.reader.ask(STREAM, NAME, 1), "failed")
        self._send(self.events.second, "all others")
        self.commands.run("run", "cut", RUN, "--as", "engineer")
        self._judged(2, "BLOCKED", "quarantine items are open")

    def _send(self, events: Sequence[Event], what: str) -> None:
        inbox = Inbox(self.cluster, f"{STREAM}.inbox")
        inbox.send([Outgoing(event["faa"].encode(), encode(event), Decision.ADMITTED) for event in events])
        inbox.close()
        self.teller.say(f"sent {len(events):,} records of {RUN}: {what}")

    def _applied(self) -> int:
        return int(self.ledger.row("applied", stream=STREAM, run_name=NAME).events)

    def _lose_the_bus(self) -> None:
        admin = Admin(self.cluster)
        admin.delete_topic(BUS)
        admin.create_topic(BUS, PARTITIONS[BUS])
        self.teller.say(f"somebody deletes {BUS}, and creates it again: the same name, another topic")

    # ---- what takes two people ---------------------------------------------------------------------------------------

    def replaced(self) -> None:
        """The failed window is read again, into a run that is to take its place."""
        asked = ("replay", RUN, "--window", "1", "--whole", "--mode", "fresh")
        self.commands.run("plan", "preview", *asked)
        self._signed("The bus was deleted by mistake; the inbox has all of it still.", *asked)

    def mended(self) -> None:
        """The contract is mended, and what its first version refused goes through admission again."""
        contract = newest("airports.toml")
        self.commands.run("stream", "diff", contract, codes=(1,))
        self.commands.run("stream", "load", contract, "--as", "engineer")
        asked = ("redrive", RUN, "--window", "2", "--reason-code", "SCHEMA")
        self._signed("The schema said that no airport lies below the sea: two do.", *asked)

    def judged(self) -> None:
        """Both were judged meanwhile: the run took the place of a window that stays FAIL, and the other one passed."""
        self._judged(1, "PASS", "", run=FRESH)
        self.told.point(f"the gate of {STREAM}/{FRESH}", 200, self.reader.ask(STREAM, FRESH).status)
        self.told.point(f"events of {STREAM}/{FRESH}", len(self.events.first), self._admitted(FRESH))
        self._judged(1, "FAIL", "deleted and created again")
        self._refused(self.reader.ask(STREAM, NAME, 1), f"superseded by {STREAM}/{FRESH}")
        self._judged(2, "PASS", "", rerun=1)
        self._judged(2, "PASS", "")
        below, redriven = len(self.events.below_the_sea), self.ledger.row("redriven", stream=STREAM, run_name=NAME)
        self.told.point(f"items of {RUN} that were redriven, and all", f"{below}/{below}", redriven.of_all)
        self.told.point("the gate of window 2", 200, self.reader.ask(STREAM, NAME, 2).status)
        self.told.point("the gate of its rerun", 200, self.reader.ask(STREAM, NAME, 2, 1).status)
        self.commands.run("run", "show", RUN, "--window", "2")

    def _signed(self, because: str, *asked: str) -> None:
        """The operator asks, the approver says yes to exactly that, and it runs by itself."""
        answer = self.commands.run("plan", "submit", *asked, "--because", because, "--as", "operator")
        number, digest = plan_named(answer.text)
        self.commands.run("plan", "approve", str(number), "--digest", digest[:12], "--as", "approver")
        wait_until(lambda: self._plan(number)[0] in OVER, PATIENCE)
        self.told.point(
            f"plan {number}, who asked, who approved", "DONE operator approver", " ".join(self._plan(number))
        )
        self.commands.run("plan", "show", str(number))

    def _plan(self, number: int) -> tuple[str, str, str]:
        (row,) = (row for row in self.ledger.rows("plans") if row.id == number)
        return row.state, row.requested_by, row.approved_by or "nobody"

    def _admitted(self, run_name: str) -> int:
        return sum(int(r.admitted) for r in self.ledger.rows("runs") if (r.stream, r.run_name) == (STREAM, run_name))

    # ---- what came of it ---------------------------------------------------------------------------------------------

    def _judged(self, window: int, state: str, words: str, run: str = NAME, rerun: int = 0) -> None:
        """The verdict that comes by itself, and what its sentence says."""
        keys = {"stream": STREAM, "run_name": run, "window": window, "rerun": rerun}
        name = f"window {window}{f' rerun {rerun}' if rerun else ''} of {STREAM}/{run}"
        wait_until(lambda: [row.state for row in self.ledger.rows("verdict_of", **keys)] == [state], PATIENCE)
        verdicts = self.ledger.rows("verdict_of", **keys)
        sentence = verdicts[0].sentence if verdicts else "no verdict"
        self.told.point(f"the verdict on {name}", state, verdicts[0].state if verdicts else "none")
        self.told.holds(f'the verdict on {name} says "{words}"', words in sentence, sentence)
        self.teller.say(f"{name}: {sentence}")

    def _refused(self, answer: GateAnswer, words: str) -> None:
        self.teller.say(f"a reader of window 1: gate over HTTP {answer.status}: {answer.detail}")
        self.told.point(f"the gate of window 1 of {RUN}", 403, answer.status)
        self.told.holds(f'it says "{words}"', words in f"{answer.code} {answer.detail}", answer.detail)


def plan_named(text: str) -> tuple[int, str]:
    """The number and the digest of a plan that was asked for, as the command says them."""
    said = _SUBMITTED.search(text)
    assert said, text
    return int(said[1]), said[2]
