"""Brings a row about on the real broker, says what is seen of it, and does the act that ends it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import pytest
from django.conf import settings

from audit.close import checks_now, close_run, judge, window_of
from audit.core.diagnosis import diagnose
from audit.enforce import decide_gate, enforce_due
from audit.open import TopicUnusable
from ingest.db import write
from ingest.kafka import Admin, BusMessage, Cluster, PlainProducer
from plans.core.plan import State
from plans.submit import submit
from stack import Stack
from tests.audit.test_drift import created_anew, grow_topic, posture_is
from tests.drift.table import EVENTS, Look, Row, When
from tests.flow.bus import open_transaction
from tests.flow.groups import commit
from tests.flow.strangers import strangers_transaction
from tests.flow.world import Flow, thing
from tests.patience import stretched
from tests.plans.crowd import Crowd, run_to, say_yes

#: Gates are re-checked every two seconds, so that nothing waits for ten; the enforcer's look comes every five.
RECHECK = '[gate]\nrecheck = "2s"\n'
LOOK_SECONDS = {Look.GATE: 2 + 5}


class Scene:
    """One stream, its first window `r1`, and what is done to the broker beneath it."""

    def __init__(
        self,
        make_flow: Callable[..., Flow],
        stack: Stack,
        crowd: Crowd,
        patch: pytest.MonkeyPatch,
        other: Callable[[], Stack],
    ) -> None:
        self.flow = make_flow(close=RECHECK)
        self.stack, self.crowd, self.patch, self.other = stack, crowd, patch, other
        self.held, self.home = ExitStack(), settings.KAFKA_BOOTSTRAP_SERVERS
        self.set_back_to: tuple[str, str] | None = None
        self.run = "r1"
        self.partitions, self.ends = {"inbox": 0, "bus": 0}, {"inbox": 0, "bus": 0}

    def leave(self) -> None:
        """Whatever the row left: the broker runs, and transactions are over."""
        if not self.stack.is_up("kafka"):
            self.stack.start_part("kafka")
        self.held.close()
        self.patch.setattr(settings, "KAFKA_BOOTSTRAP_SERVERS", self.home)

    # ---- the window that was there before

    def begin(self, row: Row) -> None:
        """A window that is open and read to its end, or one that passed."""
        if row.code == "min_insync":  # there is no less than one
            posture_is(self.flow, self.flow.inbox, "min.insync.replicas", "2")
        self.flow.open()
        self.flow.produce([thing(f"r1-{n}") for n in range(EVENTS)])
        self.flow.work()
        if row.when is When.PASSED or row.restarts:
            self.flow.cut()
            self.flow.work()
        if row.when is When.PASSED:
            assert self.judged("r1").verdict.state == "PASS"
            assert self.gate("r1").code == "open"
        self.look_at_ends()

    def judged(self, run: str) -> Any:
        """Its verdict once lanes have done what there is to do; a FAIL is for good at once."""
        if not self.stack.is_up("kafka"):
            return close_run(self.flow.name, run, "test")
        stored = self.flow.judge(run)
        if stored.verdict.state in ("PASS", "FAIL"):
            return stored
        self.flow.work(seconds=5)
        return self.flow.judge(run)

    def gate(self, run: str) -> Any:
        return decide_gate(self.flow.name, run, who="test")

    def look_at_ends(self) -> None:
        """All events have one key: of the bus, the partition that they are on."""
        for role in ("inbox", "bus"):
            ends = self.flow.admin.high_watermarks(getattr(self.flow, role), range(1 if role == "inbox" else 2))
            self.partitions[role] = max(ends, key=lambda partition: ends[partition][0])
            self.ends[role] = ends[self.partitions[role]][0]

    def topic(self, row: Row) -> str:
        return self.flow.inbox if row.topic == "inbox" else self.flow.bus

    def words(self, row: Row, text: str) -> str:
        role = row.topic or "inbox"
        label = f"{'inbox' if role == 'inbox' else self.flow.bus}/{self.partitions[role]}"
        return text.format(topic=self.topic(row), label=label, end=self.ends[role], ahead=AHEAD)

    # ---- what is seen of it

    def known(self, row: Row) -> None:
        """Waits until it is seen, and no longer than the table says."""
        begun = time.monotonic()
        wanted, limit = self.words(row, row.seen or row.sentence), stretched(LOOK_SECONDS.get(row.look, row.seconds))
        if row.look is Look.NEXT:
            self.goes_on()
            self.flow.work(seconds=5)
        if row.look in (Look.CUT, Look.NEXT):
            self.is_cut()
        while True:
            texts = list(self.seen(row))
            if any(wanted in text for text in texts):
                return
            assert time.monotonic() - begun < limit, f"{wanted!r} is not in {texts}"
            time.sleep(0.2)

    def seen(self, row: Row) -> Iterator[str]:
        """What is said now, by whoever looks."""
        if row.look is Look.GATE:
            win = window_of(self.flow.name, "r1")
            yield from (f"{found.outcome}: {found.why}" for found in enforce_due() if found.win == win)
        elif row.look is Look.OPENING:
            with pytest.raises(TopicUnusable) as refused:
                self.flow.open("r2")
            yield str(refused.value)
        else:
            yield from self.seen_of_window(row)

    def seen_of_window(self, row: Row) -> Iterator[str]:
        """By workers, who are at it all along, and by whoever judges it or looks at its page."""
        if self.stack.is_up("kafka"):
            self.flow.work(seconds=1)
        win = window_of(self.flow.name, self.run)
        now = checks_now(win) if row.look is Look.WINDOW else judge(win).verdict
        yield diagnose(now).sentence
        yield from (f"{check.observed}; {check.cause}" for check in now.checks)

    def goes_on(self, events: int = EVENTS) -> None:
        """The next run, with events of its own."""
        self.run = f"r{int(self.run[1:]) + 1}"
        self.flow.open(self.run)
        self.flow.produce([thing(f"{self.run}-{n}") for n in range(events)])

    def check(self, row: Row) -> None:
        """Verdict, gate and sentence are as the row says."""
        if row.look in (Look.WINDOW, Look.CUT, Look.NEXT):
            self.is_cut()
            stored = self.judged(self.run)
            assert (str(stored.verdict.state), self.words(row, row.sentence) in stored.sentence) == (
                row.verdict,
                True,
            ), stored.sentence
            assert self.words(row, row.says) in stored.sentence
        gate = self.gate("r1")
        assert gate.code == row.gate, gate
        if row.look is Look.GATE:
            assert self.words(row, row.sentence) in gate.detail
            assert str(gate.verdict).endswith("r1#1"), "a verdict is never changed"

    def is_cut(self) -> None:
        self.flow.cut(self.run)

    def after(self, row: Row) -> None:
        """The window passes if the row says so; if not, its gate is no more open than it was. The next one passes."""
        if row.mends and row.look is not Look.GATE:
            assert self.judged(self.run).verdict.state == "PASS"
        if row.mends or row.gate == "open":
            self.until(self.opens_again)
        else:
            assert self.gate("r1").code == row.gate
        self.goes_on()
        self.flow.work()
        self.is_cut()
        stored = self.judged(self.run)
        assert stored.verdict.state == "PASS", stored.sentence
        assert self.gate(self.run).code == "open"

    def opens_again(self, run: str = "r1") -> bool:
        """At a next look: a broker that was started answers before each of its partitions has a leader again."""
        self.is_looked_at(run)
        return bool(self.gate(run).code == "open")

    def is_looked_at(self, run: str) -> None:
        """By the enforcer, at its next look."""
        win = window_of(self.flow.name, run)
        with write() as cur:
            cur.execute("UPDATE gate_open SET checked_at = clock_timestamp() - interval '1 h' WHERE win = %s", (win,))
        enforce_due()

    # ---- what happens to the broker

    def bring_about(self, row: Row) -> None:
        BROUGHT_ABOUT[row.code](self, row)

    def created_again(self, row: Row) -> None:
        topic = self.topic(row)
        created_anew(self.flow, topic, self.ends_partitions(topic))
        if row.topic == "inbox":  # as many records as there were, and more
            self.flow.produce([thing(f"anew-{n}") for n in range(EVENTS)])

    def ends_partitions(self, topic: str) -> int:
        return self.flow.partitions if topic == self.flow.inbox else self.flow.bus_partitions

    def gone(self, row: Row) -> None:
        topic = self.topic(row)
        self.flow.admin.delete_topic(topic)
        self.until(lambda: self.flow.admin.topic_id(topic) is None)

    def partition_added(self, row: Row) -> None:
        grow_topic(self.flow, self.topic(row), self.ends_partitions(self.topic(row)) + 1)
        self.flow.producer = PlainProducer(self.flow.cluster)

    def read_and_expired(self, row: Row) -> None:
        self.flow.admin.delete_records(self.topic(row), {self.partitions[row.topic]: 3})

    def expired_unread(self, row: Row) -> None:
        self.flow.produce([thing(f"unread-{n}") for n in range(EVENTS)])
        self.flow.admin.delete_records(self.topic(row), {0: EVENTS + 2})

    def log_lost(self, row: Row) -> None:
        """The disk of one partition is gone when its broker comes back: its topic id is what it was."""
        folder = self.stack.data / "kafka" / "logs" / f"{self.topic(row)}-{self.partitions[row.topic]}"
        assert folder.is_dir()
        self.stack.stop_part("kafka")
        shutil.rmtree(folder)
        self.stack.start_part("kafka")
        self.clients_anew()

    def log_written_anew(self, row: Row) -> None:
        self.log_lost(row)
        self.flow.produce([thing(f"anew-{n}") for n in range(2 * EVENTS)])

    def clients_anew(self) -> None:
        self.flow.cluster = Cluster.from_settings()
        self.flow.admin = Admin(self.flow.cluster)
        self.flow.producer = PlainProducer(self.flow.cluster)

    def is_set(self, row: Row, key: str, value: str) -> None:
        self.set_back_to = key, self.flow.admin.posture(self.topic(row))[key]
        posture_is(self.flow, self.topic(row), key, value)

    def open_transaction(self, row: Row) -> None:
        strangers = strangers_transaction(self.flow, thing("stranger")) if row.topic == "inbox" else None
        self.held.enter_context(strangers or open_transaction(self.flow))

    def foreign_record(self, row: Row) -> None:
        PlainProducer(self.flow.cluster).send(self.flow.bus, [BusMessage(1, b"k", b"strange", [])])

    def foreign_commit(self, row: Row) -> None:
        commit(self.flow, self.flow.inbox, 0, EVENTS + AHEAD)

    def broker_away(self, row: Row) -> None:
        self.stack.stop_part("kafka")
        if row.when is When.PASSED:  # and so long that the lease is over, as it would be in three re-checks
            with write() as cur:
                win = window_of(self.flow.name, "r1")
                cur.execute("UPDATE gate_open SET open_until = clock_timestamp() WHERE win = %s", (win,))

    def other_cluster(self, row: Row) -> None:
        self.patch.setattr(settings, "KAFKA_BOOTSTRAP_SERVERS", self.other().env()["KAFKA_BOOTSTRAP_SERVERS"])
        self.clients_anew()
        self.create_topics(row)
        self.flow.produce([thing(f"r1-{n}") for n in range(EVENTS)])

    def until(self, holds: Callable[[], object]) -> None:
        ends = time.monotonic() + stretched(20)
        while not holds():
            assert time.monotonic() < ends
            time.sleep(0.05)

    # ---- acts

    def act(self, row: Row) -> None:
        ACTS[row.does](self, row)

    def nothing(self, row: Row) -> None:
        """Opening a new run, where that is the act, is what is done in any case."""

    def create_topics(self, row: Row) -> None:
        for topic in (self.flow.inbox, self.flow.bus):
            self.flow.admin.create_topic(topic, self.ends_partitions(topic))
        self.flow.producer = PlainProducer(self.flow.cluster)

    def create_again(self, row: Row) -> None:
        created_anew(self.flow, self.topic(row), self.ends_partitions(self.topic(row)))

    def load_wider(self, row: Row) -> None:
        self.flow.load(bus_partitions=self.flow.bus_partitions + 1)

    def set_back(self, row: Row) -> None:
        assert self.set_back_to is not None
        posture_is(self.flow, self.topic(row), *self.set_back_to)

    def refresh(self, row: Row) -> None:
        asked = {"stream": self.flow.name, "run": "r1"}
        number = submit("basis", asked, self.crowd.asker, "so it is from now on", self.crowd.people)
        say_yes(self.crowd, number)
        run_to(self.crowd, number, State.DONE)

    def end_transaction(self, row: Row) -> None:
        self.held.close()

    def commit_back(self, row: Row) -> None:
        commit(self.flow, self.flow.inbox, 0, EVENTS)

    def address_back(self, row: Row) -> None:
        self.patch.setattr(settings, "KAFKA_BOOTSTRAP_SERVERS", self.home)
        self.clients_anew()

    def start(self, row: Row) -> None:
        self.stack.start_part("kafka")
        self.clients_anew()


AHEAD = 4

Step = Callable[[Scene, Row], None]
BROUGHT_ABOUT: Mapping[str, Step] = {
    "created_again": Scene.created_again,
    "gone": Scene.gone,
    "partition_added": Scene.partition_added,
    "read_and_expired": Scene.read_and_expired,
    "expired_unread": Scene.expired_unread,
    "log_lost": Scene.log_lost,
    "log_written_anew": Scene.log_written_anew,
    "retention": lambda scene, row: scene.is_set(row, "retention.ms", "86400000"),
    "compacts": lambda scene, row: scene.is_set(row, "cleanup.policy", "compact"),
    "unwritable": lambda scene, row: scene.is_set(row, "min.insync.replicas", "2"),
    "min_insync": lambda scene, row: scene.is_set(row, "min.insync.replicas", "1"),
    "open_transaction": Scene.open_transaction,
    "foreign_record": Scene.foreign_record,
    "foreign_commit": Scene.foreign_commit,
    "broker_away": Scene.broker_away,
    "other_cluster": Scene.other_cluster,
}
ACTS: Mapping[str, Step] = {
    name: getattr(Scene, name)
    for name in (
        "nothing", "address_back", "create_topics", "create_again", "load_wider", "set_back", "refresh",
        "end_transaction", "commit_back", "start",
    )
}  # fmt: skip
