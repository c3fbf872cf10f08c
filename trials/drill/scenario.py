"""One fault, from an empty stream to its last verdict: what every one of them has in common."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from ingest.core.errors import BrokerError, PassgateError
from ingest.kafka import Admin, BusMessage, Cluster, PlainProducer
from stack import Stack
from trials.demo.acts import Answer, run
from trials.demo.disturb import wait_until
from trials.demo.ledger import Ledger
from trials.demo.telling import Teller
from trials.drill.judgement import Expectation, Observation
from trials.drill.looking import Looks, Watch, read_bus

BUS_PARTITIONS = 2
RUN = "1"
PATIENCE = 150.0
DONE, NO, CANNOT, NOT_YET = 0, 1, 3, 4
CONTRACT = """\
contract = 1
stream = "{name}"
[inbox.kafka]
topic = "{name}.inbox"
format = "json"
[bus]
topic = "{name}.bus"
partitions = {partitions}
delivery_timeout = "5s"
[run]
from = ["header:pg-run", "/run"]
[class]
from = "/type"
[event.thing]
match = "thing"
id = ["/id"]
[close]
auto = false
[gate]
recheck = "2s"
[reconcile]
automatic = true
after = "1s"
"""


class DrillFailed(PassgateError):
    """A step of the drill that is no fault of it went wrong: what was to be tested was not."""

    code: ClassVar[str] = "drill_failed"
    what: ClassVar[str] = "the drill could not go on"


@dataclass(frozen=True)
class Ground:
    """Where all faults are played."""

    stack: Stack
    cluster: Cluster
    teller: Teller

    @property
    def database(self) -> str:
        return self.stack.env()["DATABASE_URL"]


class Stage:
    """A stream of one fault's own, with its producer, its people and what looks on."""

    def __init__(self, ground: Ground, name: str) -> None:
        self.ground, self.name = ground, f"drill-{name}"
        self.stack = ground.stack
        self.sent: set[str] = set()
        self.opened = False
        self._verdicts: list[tuple[str, str]] = []
        self._began = time.monotonic()
        self._looks = Looks(ground.database, self.name)
        self._admin = Admin(ground.cluster)
        self._producer = PlainProducer(ground.cluster, delivery_timeout=120.0)
        self._connect()
        self._watch = Watch(self._looks, ground.cluster, self.name)

    @property
    def inbox(self) -> str:
        return f"{self.name}.inbox"

    @property
    def bus(self) -> str:
        return f"{self.name}.bus"

    def _connect(self) -> None:
        self._admin.create_topic(self.inbox, 1)
        self._admin.create_topic(self.bus, BUS_PARTITIONS)
        contract = self.stack.data / f"{self.name}.toml"
        contract.write_text(CONTRACT.format(name=self.name, partitions=BUS_PARTITIONS))
        self.act("stream", "load", str(contract))
        self.act("run", "open", self._run)

    @property
    def _run(self) -> str:
        return f"{self.name}/{RUN}"

    # ---- what people and producers do ------------------------------------------------------------------------------

    def act(self, *words: str, codes: Iterable[int] = (DONE,), by: bool = True) -> Answer:
        """A command, until it is not refused for something that may pass. Raises DrillFailed for any other code."""
        typed = [*words, *(("--as", "drill") if by else ())]
        answers: list[Answer] = []

        def answered() -> bool:
            answers.append(run(typed))
            # what could not be looked at will not be there later: a topic that a fault created again
            return answers[-1].code != CANNOT or (CANNOT in codes and "Nothing found" in answers[-1].text)

        wait_until(answered, PATIENCE, every=1.0)
        if answers[-1].code not in {*codes}:
            raise DrillFailed(expected=f"{' '.join(typed)} to be done", found=answers[-1].text.strip()[-400:])
        return answers[-1]

    def send(self, ids: Iterable[object], **more: Any) -> None:
        """Events of these ids to the inbox; what `more` has changes the payload and not the identity."""
        texts = [str(each) for each in ids]
        values = [json.dumps({"drill": True, "type": "thing", "id": each, **more}).encode() for each in texts]
        self.send_raw(self.inbox, [BusMessage(0, b"key", value, []) for value in values])
        self.sent |= set(texts)

    def send_raw(self, topic: str, messages: list[BusMessage]) -> None:
        reports = self._producer.send(topic, messages, timeout=120.0)
        if len(reports) != len(messages) or any(report.fault for report in reports):
            raise DrillFailed(expected=f"{len(messages)} records in {topic}", found="not all were delivered")

    def recreate(self, topic: str) -> None:
        self._admin.delete_topic(topic)
        if not wait_until(lambda: self._create_again(topic), 30.0, every=0.5):
            raise DrillFailed(expected=f"{topic} to be created again", found="no such topic")

    def _create_again(self, topic: str) -> bool:
        try:
            self._admin.create_topic(topic, 1)
        except BrokerError:
            return False
        return True

    def judge(self) -> str:
        """A verdict of now, as a person asks for it; "" where there is none yet."""
        self.look_at_gate()
        before = len(self._verdicts)
        run(["run", "close", self._run, "--wait", "20s", "--as", "drill"])
        self._verdicts = [(row.state, row.sentence) for row in self._looks.try_rows("verdicts")] or self._verdicts
        return self._verdicts[-1][0] if len(self._verdicts) > before else ""

    def look_at_gate(self) -> bool:
        """Whether it lets a reader read; without a PASS that is never so."""
        granted = run(["gate", self._run, "--as", "drill"]).code == DONE
        self.opened |= granted and not self._passed
        return granted

    @property
    def _passed(self) -> bool:
        return bool(self._verdicts) and self._verdicts[-1][0] == "PASS"

    def resolve(self) -> None:
        """A person looks at both payloads of each conflict, and lets the first one stand."""
        words = ("quarantine", "resolve", self._run, "--resolution", "ACCEPTED_FIRST", "--all", "--because", "a drill")
        self.act(*words)

    # ---- what is waited for ----------------------------------------------------------------------------------------

    def demo_ledger(self) -> Ledger:
        return Ledger(self.ground.database)

    def wait_applied(self, seconds: float = PATIENCE) -> bool:
        """Until every event sent so far has its effect."""
        return wait_until(self.applied, seconds, every=0.3)

    def applied(self) -> bool:
        return self._effects() >= len(self.sent)

    def _effects(self) -> int:
        return next((int(row.n) for row in self._looks.try_rows("effects")), 0)

    # ---- the end ---------------------------------------------------------------------------------------------------

    def conclude(self, expected: Expectation, injected: str) -> Observation:
        """Cut, judge, ask the gate, read everything again."""
        self.look_at_gate()
        self.act("run", "cut", self._run)
        for state in expected.verdicts:
            self._judge_until(state, expected.says)
            if state == "BLOCKED" and state != expected.verdicts[-1]:
                self.resolve()
        wait_until(lambda: self.look_at_gate() or not self._passed, 30.0, every=0.5)
        open_after = self.look_at_gate()
        self._watch.end()
        self._producer.close()
        return self._seen(injected, open_after)

    def _judge_until(self, state: str, cause: str) -> None:
        """Ask until that is said, for that cause. While lanes still work it is BLOCKED for another one."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            said = self.judge()
            if said in ("PASS", "FAIL") or (said == state and cause in self._verdicts[-1][1]):
                return
            time.sleep(0.5)

    def _seen(self, injected: str, open_after: bool) -> Observation:
        on_bus, strange = read_bus(self.ground.cluster, self.bus, BUS_PARTITIONS)
        attempts = self._looks.rows("attempts")
        decided = self._looks.row("decisions")
        fsck = self.act("fsck", self.name, codes=(DONE, NO, CANNOT), by=False)
        said = _without_waiting([state for state, _ in self._verdicts])
        counts = f"{decided.admitted:,} admitted, {decided.duplicates:,} duplicates, {decided.quarantined:,} set aside"
        return Observation(
            name=self.name.removeprefix("drill-"), injected=injected, sent=frozenset(self.sent), on_bus=on_bus,
            strange=strange, effects=self._effects(), verdicts=said,
            sentence=" ".join(sentence for _, sentence in self._verdicts), early=tuple(sorted(self._watch.early)),
            opened=self.opened, open_after=open_after,
            fsck=() if fsck.code != NO and "Nothing found" in fsck.text else tuple(fsck.text.strip().splitlines()[:5]),
            states={row.state: int(row.n) for row in attempts}, stops=tuple(sorted(self._watch.stops)),
            unknowns=sum(int(row.unknowns) for row in attempts), decided=counts,
            seconds=time.monotonic() - self._began,
        )  # fmt: skip


def _without_waiting(states: list[str]) -> tuple[str, ...]:
    """BLOCKED as often as somebody asked is BLOCKED once."""
    return tuple(state for n, state in enumerate(states) if n == 0 or state != states[n - 1])
