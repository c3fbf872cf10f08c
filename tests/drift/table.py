"""Every difference between what a window was judged against and what the broker is now, and what becomes of it.

Rows are data: tests/drift/test_rows.py brings each about, and docs/drift.md is written from them. `{topic}` is the name
of the inbox or the bus, `{label}` the name of the partition the row is about: `inbox/0`, `flights.bus/1`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

ROWS = "tests/drift/test_rows.py::test_a_row"
#: Of the window that is there when something changes.
EVENTS = 5


class When(StrEnum):
    OPEN = "before closing"
    PASSED = "after PASS"


class Look(StrEnum):
    """Who sees it first, and so within how many seconds it is known."""

    WINDOW = "the window's checks"
    CUT = "the window's checks, once it is cut"
    GATE = "the gate's re-check"
    NEXT = "the next window's checks, once it is cut"
    OPENING = "whoever opens the next run"


#: A sample every 2 s and a look of 2 s; of gates `recheck` (10 s, if the contract says nothing) and a look every 5.
SECONDS = {Look.WINDOW: 5, Look.CUT: 5, Look.GATE: 15, Look.NEXT: 5, Look.OPENING: 0}


@dataclass(frozen=True)
class Drift:
    """One kind of difference, by its code, and how it is brought about on a real broker."""

    code: str
    words: str
    how: str


@dataclass(frozen=True)
class Row:
    """What becomes of one difference, on one topic, at one time.

    `verdict` and `gate` are those of the window that sees it first: of the judged window itself, or with Look.NEXT of
    the one after it (the judged one stays PASS, and its gate open). `seen` is what is looked for, where `sentence`, a
    part of what a person is then shown, says less or more than that. `does` names the act in tests/drift/scene.py,
    `mends` whether that very window passes after it. `test`: which test holds the row.
    """

    code: str
    topic: str
    when: When
    look: Look
    verdict: str
    gate: str
    sentence: str
    act: str
    does: str = "nothing"
    mends: bool = False
    seen: str = ""
    restarts: bool = False
    test: str = ROWS

    @property
    def name(self) -> str:
        """What a test of it is called."""
        return "-".join(filter(None, (self.code, self.topic, "open" if self.when is When.OPEN else "passed")))

    @property
    def says(self) -> str:
        """What the sentence of a window that does not pass names as the next act; "" where there is no such window."""
        if self.verdict == "BLOCKED":
            return SAYS.get(f"{self.code}-{self.topic}", "") or SAYS[self.code]
        return "Open a new run" if self.verdict == "FAIL" else ""

    @property
    def seconds(self) -> int:
        return SECONDS[self.look]


DRIFTS = (
    Drift("created_again", "a topic was deleted and created again", "deleted and created, with as many records"),
    Drift("gone", "a topic is not there", "deleted"),
    Drift("partition_added", "a topic has more partitions", "one more is created"),
    Drift("read_and_expired", "a log starts later than the window", "records that were read are deleted"),
    Drift("expired_unread", "records were deleted before anybody read them", "records are deleted that nobody read"),
    Drift("log_lost", "a log ends before the window's end", "the partition's folder is lost with the broker down"),
    Drift("log_written_anew", "other records lie where the window's lay", "the same, and as many records are written"),
    Drift("retention", "a topic keeps its records for a shorter time", "retention.ms is lowered"),
    Drift("compacts", "a topic compacts", "cleanup.policy=compact is set"),
    Drift("min_insync", "a topic acknowledges what fewer replicas have", "min.insync.replicas is lowered"),
    Drift("unwritable", "the bus wants more replicas than it has", "min.insync.replicas is set above them"),
    Drift("open_transaction", "a stranger's transaction stands open", "a producer begins one, and sends into it"),
    Drift("foreign_record", "a stranger's record is on the bus", "a producer that is not ours sends one"),
    Drift("foreign_commit", "a stranger committed in our group", "a consumer commits further than we have read"),
    Drift("broker_away", "the broker does not answer", "it is stopped"),
    Drift("other_cluster", "another cluster answers at the address", "a second broker, with topics of these names"),
    Drift("recheck_ended", "an inbox moved, and two people ended its re-checks", "a retire plan, then deleted"),
    Drift("answer_lacks", "an answer lacks a field", "a broker that says nothing about one partition"),
    Drift("ledger_put_back", "PostgreSQL is an earlier copy of itself", "a copy is put back after lanes went on"),
    Drift("broker_put_back", "Kafka is an earlier copy of itself", "its disk is put back; epochs rose meanwhile"),
    Drift("log_put_back", "other records lie where received ones lay", "the same, and epochs rise as they had risen"),
    Drift("other_timeline", "PostgreSQL is on another timeline", "a replica of it is promoted"),
)  # fmt: skip

OPEN, PASSED = When.OPEN, When.PASSED
PASSES = "all 10 checks hold"
NEW_RUN, CREATE_ANEW = "open a new run", "create the topic, then open a new run"
ANEW = "create {topic} anew, with what nobody read of it, then open a new run"
BOTH = ("inbox", "bus")
OTHER_LOG = {"inbox": (NEW_RUN, "nothing"), "bus": (ANEW, "create_again")}
UNWRITABLE = "lower it, or add replicas"
REFRESH = "or ask for a basis plan"
SAYS = {
    "gone": "find out who deleted {topic}, then open a new run",
    "log_lost": ANEW,
    "log_lost-inbox": NEW_RUN,
    "log_written_anew": NEW_RUN,
    "retention": f"set retention.ms of {{topic}} back, {REFRESH}",
    "min_insync": f"set min.insync.replicas of {{topic}} back, {REFRESH}",
    "compacts": "set cleanup.policy of {topic} back",
    "open_transaction": "end the open transaction that holds {label}",
    "open_transaction-inbox": NEW_RUN,
    "foreign_record": "find who writes to {topic}, then open a new run",
    "foreign_commit": "set Kafka's commit of {label} back",
    "broker_away": "make Kafka reachable",
    "ledger_put_back": "put the newest copy of the database back, or adopt this one by a plan",
    "broker_put_back": ANEW,
    "log_put_back": "open a new run: it goes on where the log is another one",
    "other_timeline": NEW_RUN,
}


def _rows() -> Iterator[Row]:
    for topic in BOTH:
        again = "{topic} was deleted and created again"
        yield Row("created_again", topic, OPEN, Look.WINDOW, "FAIL", "failed", again, NEW_RUN)
        yield Row("created_again", topic, PASSED, Look.GATE, "PASS", "gate_shut", again, NEW_RUN)
    for topic in BOTH:
        gone = "{topic} is gone"
        yield Row("gone", topic, OPEN, Look.WINDOW, "BLOCKED", "blocked", gone, CREATE_ANEW, "create_topics")
        yield Row("gone", topic, PASSED, Look.GATE, "PASS", "gate_shut", gone, CREATE_ANEW, "create_topics")
    yield Row(
        "recheck_ended", "inbox", PASSED, Look.GATE, "PASS", "open", "it stands on the ledger", "none", test=MOVED
    )
    yield Row(
        "partition_added", "inbox", OPEN, Look.WINDOW, "PASS", "open", PASSES, "none: it belongs to the open window",
        seen="1 of 4 sources is not in the basis",
    )  # fmt: skip
    wider = "load a contract that names as many partitions"
    yield Row(
        "partition_added", "bus", OPEN, Look.WINDOW, "PASS", "open", PASSES, f"none; for the next run {wider}",
        "load_wider", seen="1 of 4 sources is not in the basis",
    )  # fmt: skip
    yield Row(
        "partition_added", "inbox", PASSED, Look.GATE, "PASS", "open", PASSES, "none: it belongs to the next window",
        seen="extended",
    )  # fmt: skip
    yield Row(
        "partition_added", "bus", PASSED, Look.OPENING, "", "open", "{topic} with 2 partitions; found 3", wider,
        "load_wider",
    )  # fmt: skip
    for topic in BOTH:
        lost = "REPLAY_ANCHOR_LOST"
        yield Row(
            "read_and_expired", topic, OPEN, Look.WINDOW, "PASS", "open", PASSES, "none: it was read",
            seen=f"{lost}: {{label}} starts later now",
        )  # fmt: skip
        yield Row(
            "read_and_expired", topic, PASSED, Look.GATE, "PASS", "open", PASSES, "none: it was read",
            seen=f"{lost} {{label}}",
        )  # fmt: skip
    unread = "2 offsets of {label} were deleted before anybody read them"
    yield Row("expired_unread", "inbox", OPEN, Look.WINDOW, "FAIL", "failed", unread, NEW_RUN)
    yield Row("expired_unread", "bus", OPEN, Look.WINDOW, "FAIL", "failed", unread, NEW_RUN, test=UNREAD_BUS)
    for topic in BOTH:
        ends, torn = "{label} ends at 0, before the window's {end}", "{label} was truncated"
        yield Row(
            "log_lost", topic, OPEN, Look.CUT, "BLOCKED", "blocked", ends if topic == "inbox" else torn,
            *OTHER_LOG[topic], restarts=True,
        )  # fmt: skip
        yield Row("log_lost", topic, PASSED, Look.GATE, "PASS", "gate_shut", ends, *OTHER_LOG[topic], restarts=True)
    for when, look, verdict, gate in (
        (OPEN, Look.CUT, "BLOCKED", "blocked"), (PASSED, Look.GATE, "PASS", "gate_shut")
    ):  # fmt: skip
        yield Row(
            "log_written_anew", "inbox", when, look, verdict, gate, "{label} was truncated", NEW_RUN, restarts=True,
        )  # fmt: skip
    yield Row(
        "retention", "inbox", OPEN, Look.WINDOW, "BLOCKED", "blocked", "retention.ms of {topic} was 604800000 and is",
        "set it back", "set_back", mends=True,
    )  # fmt: skip
    yield Row(
        "retention", "bus", OPEN, Look.WINDOW, "BLOCKED", "blocked", "retention.ms of {topic} was 604800000 and is",
        "a basis plan, which two people accept", "refresh", mends=True,
    )  # fmt: skip
    yield Row(
        "min_insync", "inbox", OPEN, Look.WINDOW, "BLOCKED", "blocked", "min.insync.replicas of {topic} was 2 and is 1",
        "a basis plan, which two people accept", "refresh", mends=True,
    )  # fmt: skip
    yield Row(
        "unwritable", "bus", OPEN, Look.WINDOW, "PASS", "open", PASSES, f"none; for the next run {UNWRITABLE}",
        "set_back", seen="which promises more",
    )  # fmt: skip
    yield Row(
        "unwritable", "bus", PASSED, Look.OPENING, "", "open", "min.insync.replicas of at most 1; found 2", UNWRITABLE,
        "set_back",
    )  # fmt: skip
    for topic in BOTH:
        yield Row(
            "compacts", topic, OPEN, Look.WINDOW, "BLOCKED", "blocked",
            "cleanup.policy of {topic} was delete and is compact", "set it back: no plan accepts it", "set_back",
            mends=True,
        )  # fmt: skip
        yield Row("retention", topic, PASSED, Look.GATE, "PASS", "open", PASSES, "none", seen="extended")
        yield Row(
            "compacts", topic, PASSED, Look.OPENING, "", "open", "{topic} with cleanup.policy=delete; found compact",
            "set it back", "set_back",
        )  # fmt: skip
    yield Row(
        "open_transaction", "inbox", OPEN, Look.CUT, "PASS", "open", "1 offset of {label} waits behind an open",
        "end it: what lies behind it goes to the next window", "end_transaction",
    )  # fmt: skip
    yield Row(
        "open_transaction", "bus", OPEN, Look.CUT, "BLOCKED", "blocked", "{label} is held at {end} by an open",
        "end it", "end_transaction", mends=True,
    )  # fmt: skip
    yield Row(
        "open_transaction", "inbox", PASSED, Look.NEXT, "BLOCKED", "open", "6 offsets of {label} wait behind an open",
        "end it: what lies behind it goes to the next window", "end_transaction",
    )  # fmt: skip
    yield Row(
        "open_transaction", "bus", PASSED, Look.NEXT, "BLOCKED", "open", "{label} is held at {end} by an open",
        "end it", "end_transaction", mends=True,
    )  # fmt: skip
    foreign = "1 record of {topic} is FOREIGN"
    yield Row(
        "foreign_record", "bus", OPEN, Look.WINDOW, "BLOCKED", "blocked", foreign, "find who writes there, "
        "then open a new run",
    )  # fmt: skip
    yield Row(
        "foreign_record", "bus", PASSED, Look.NEXT, "BLOCKED", "open", foreign, "find who writes there, "
        "then open a new run",
    )  # fmt: skip
    ahead = "Kafka's commit of {label} is {ahead} ahead of the durable position"
    yield Row(
        "foreign_commit", "inbox", OPEN, Look.WINDOW, "BLOCKED", "blocked", ahead, "set the commit back", "commit_back",
        mends=True,
    )  # fmt: skip
    yield Row(
        "foreign_commit", "inbox", PASSED, Look.GATE, "PASS", "open", PASSES, "none: our next commit takes its place",
        seen="extended",
    )  # fmt: skip
    yield Row(
        "broker_away", "", OPEN, Look.WINDOW, "BLOCKED", "blocked", "Kafka was not measured", "start the broker",
        "start", mends=True, restarts=True,
    )  # fmt: skip
    yield Row(
        "broker_away", "", PASSED, Look.GATE, "PASS", "gate_unavailable", "it was not re-checked since",
        "start the broker", "start", mends=True, seen="unmeasured", restarts=True,
    )  # fmt: skip
    other = "the Kafka cluster was"
    yield Row(
        "other_cluster", "", OPEN, Look.CUT, "FAIL", "failed", other, "open a new run: it starts on what answers",
        restarts=True,
    )  # fmt: skip
    yield Row(
        "other_cluster", "", PASSED, Look.GATE, "PASS", "gate_shut", other,
        "set the address right, then open a new run", "address_back", restarts=True,
    )  # fmt: skip
    yield Row(
        "answer_lacks", "", PASSED, Look.GATE, "PASS", "open until its lease ends", "unmeasured", "none: it asks again",
        test="tests/audit/test_lease.py::test_no_answer_about_one_partition_extends_nothing",
    )  # fmt: skip
    yield Row(
        "ledger_put_back", "", OPEN, Look.WINDOW, "BLOCKED", "blocked", "the ledger is older than what Kafka was told",
        "put the newest copy back; or two people adopt this one, then open a new run",
        test="tests/plans/test_adopt.py::test_where_the_newest_is_lost_an_older_copy_goes_on",
    )  # fmt: skip
    yield Row(
        "broker_put_back",
        "",
        OPEN,
        Look.WINDOW,
        "BLOCKED",
        "blocked",
        "the leader epoch of {label} was",
        ANEW,
        test=LOWER,
    )
    yield Row("broker_put_back", "", PASSED, Look.GATE, "PASS", "gate_shut", "{label} was truncated", ANEW, test=LOWER)
    yield Row(
        "log_put_back", "inbox", OPEN, Look.WINDOW, "BLOCKED", "blocked", "the log does not hold what was received",
        NEW_RUN, test=f"{PUT_BACK}::test_a_lane_reads_again_what_it_received_last_before_it_goes_on",
    )  # fmt: skip
    yield Row(
        "other_timeline", "", OPEN, Look.WINDOW, "BLOCKED", "blocked", "Postgres was on timeline", NEW_RUN,
        test=PROMOTED,
    )  # fmt: skip
    yield Row(
        "other_timeline", "", PASSED, Look.GATE, "PASS", "open", PASSES, "none: a replica that has the verdict has all "
        "that it counted", seen="extended", test=PROMOTED,
    )  # fmt: skip


PUT_BACK = "tests/drift/test_put_back.py"
LOWER = f"{PUT_BACK}::test_what_stands_on_a_later_epoch_is_blocked_or_shut"
PROMOTED = "tests/lifetime/test_promotion.py::test_a_promoted_replica_is_another_timeline_at_once"
MOVED = "tests/plans/test_retire_plan.py::test_a_topic_that_was_moved_is_deleted_and_its_gate_stays_open"
UNREAD_BUS = "tests/audit/test_drift.py::test_records_deleted_on_the_bus_before_they_were_applied_fail_the_window"
TABLE = tuple(_rows())
DONE_HERE = tuple(row for row in TABLE if row.test == ROWS)
