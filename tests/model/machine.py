"""The schedules: who does what next, what goes wrong between two effects, and what must hold after every step.

A rule's arguments say who and how far, so that a shrunk schedule reads as a story; the effects themselves stand in the
message of the failure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ingest.core.errors import LeaseError, PassgateError
from ingest.core.lease import Lease
from tests.model import people, replays
from tests.model.broker import Headers, Late, Message
from tests.model.invariants import Truth, broken, identities_are_the_records
from tests.model.lanes import LANES, request
from tests.model.world import BUS, DOOR, IDLE, MOST_PLANS, WAITS, Doing, World, is_plans, thing

KEYS = [("admission", 1), ("admission", 2), *(("publish", s) for s in (1, 2, DOOR)), *(("effects", b) for b in BUS)]
WORKERS = ("w1", "w2")
PARTITIONS = st.sampled_from((0, 1))
NUMBERS, PAYLOADS = st.sampled_from((1, 2, 3, 4, 5, 6)), st.sampled_from(("a", "b", "A"))
BY_HTTP_ALONE = 7
EVENTS = st.lists(st.tuples(NUMBERS, PAYLOADS), max_size=4)
HOLDS = st.sampled_from(("produce", "produce answer", "commit", "commit answer"))
RUBBISH = {"not JSON": (b"{", None), "another run": (thing(1), b"r9"), "run r1 by name": (thing(2), b"r1")}
NTH = st.integers(0, 2)
GOERS = st.sampled_from(("cutter", "clock"))
PARTS = st.sampled_from(("", "", "first", "last"))  # of each range, all or one offset
FAR = st.sampled_from((1, 2, 3, 5, 8))
AFTER = st.sampled_from((0, 0, 1, 2, 3, 5, 8, 13, 21))  # effects of everybody, in turns, before it happens


class InvariantBroken(AssertionError):
    """An invariant does not hold; the message is the whole story."""


@dataclass
class Worker:
    """A process: its owner name has a nonce, which a restart changes."""

    name: str
    born: int = 1
    held: dict[tuple[str, int], tuple[Lease, Doing, str]] = field(default_factory=dict)

    @property
    def owner(self) -> str:
        return f"{self.name}:{self.born}"


class Passgate(RuleBasedStateMachine):
    """One schedule."""

    flaws: frozenset[str] = frozenset()

    def __init__(self) -> None:
        super().__init__()
        self.world = World(self.flaws)
        self.workers = {name: Worker(name) for name in WORKERS}
        self.people: dict[str, Doing] = {}
        self.door: Lease | None = None
        self.outside: dict[int, int] = {}  # log -> somebody else's open transaction
        self.story: list[str] = []
        self._checked = (-1, -1)
        self._failed = False

    # ---- what producers do

    @initialize(inbox_0=EVENTS, inbox_1=EVENTS, whole_runs=st.booleans(), empty_passes=st.booleans())
    def a_run_is_opened(
        self, inbox_0: list[tuple[int, str]], inbox_1: list[tuple[int, str]], whole_runs: bool, empty_passes: bool
    ) -> None:
        self.world.whole_runs, self.world.empty_passes = whole_runs, empty_passes
        self._say("contract", f"gates open by {'run' if whole_runs else 'window'}, empty passes: {empty_passes}")
        self.produces(0, inbox_0)
        self.produces(1, inbox_1)
        self._finish("opener", people.open_run(self.world))

    @rule(partition=PARTITIONS, events=EVENTS)
    def produces(self, partition: int, events: list[tuple[int, str]]) -> None:
        for number, payload in events:
            self._append(partition, thing(number, payload))

    @rule(after=AFTER, partition=PARTITIONS, number=NUMBERS)
    def produces_twice(self, after: int, partition: int, number: int) -> None:
        """Its acknowledgement was lost, so it sends the same again (S4)."""
        self._work(after)
        self.produces(partition, [(number, "a"), (number, "a")])

    @rule(after=AFTER, partition=PARTITIONS, what=st.sampled_from(sorted(RUBBISH)))
    def produces_rubbish(self, after: int, partition: int, what: str) -> None:
        self._work(after)
        self._append(partition, *RUBBISH[what])

    def _append(self, partition: int, value: bytes, run: bytes | None = None) -> None:
        headers: Headers = [("pg-run", run)] if run else []
        self.world.logs[partition + 1].append(Message(None, value, headers))
        self._say("producer", f"writes {value.decode()} to inbox/{partition}")

    @rule(after=AFTER, numbers=st.lists(NUMBERS, min_size=1, max_size=2), payload=PAYLOADS)
    def posts_to_the_door(self, after: int, numbers: list[int], payload: str) -> None:
        """A request by this web process, which takes the door's lease again where it was lost."""
        self._work(after)
        if "door" not in self.people:
            self._take_door()
            if self.door is not None:
                values = [Message(None, thing(n, payload), []) for n in numbers]
                self.people["door"] = request(self.world, self.door, values)
        self._goes_on("door")

    def _door_ends(self) -> None:
        """The request that is under way is answered; one that waits for a row longer than this is left to others."""
        for _ in range(40):
            if not self._goes_on("door"):
                return

    def _take_door(self) -> None:
        if self.door is None or not self.world.ledger.renew(self.door):
            self.door = self.world.ledger.take("admission", DOOR, "web")

    # ---- what workers do

    @rule(worker=st.sampled_from(WORKERS), lane=st.sampled_from(KEYS), effects=FAR)
    def a_permit_arrives(self, worker: str, lane: tuple[str, int], effects: int) -> None:
        """A permit is no assignment: it may come twice, late, or never. The lease decides."""
        self._take(self.workers[worker], lane)
        self._run(self.workers[worker], lane, effects)

    @precondition(lambda self: any(worker.held for worker in self.workers.values()))
    @rule(worker=st.sampled_from(WORKERS), nth=st.integers(0, 3), effects=FAR)
    def goes_on(self, worker: str, nth: int, effects: int) -> None:
        mine = self.workers[worker]
        if mine.held:
            self._run(mine, list(mine.held)[nth % len(mine.held)], effects)

    @rule(worker=st.sampled_from(WORKERS), partition=PARTITIONS, effects=FAR)
    def publishes(self, worker: str, partition: int, effects: int) -> None:
        """The lane with the most ways to fail has a rule of its own."""
        self.a_permit_arrives(worker, ("publish", partition + 1), effects)

    @rule(effects=st.sampled_from((10, 20, 40)))
    def everybody_works(self, effects: int) -> None:
        """Both workers take what is free and go on in turns."""
        self._work(effects)

    @precondition(lambda self: any(worker.held for worker in self.workers.values()))
    @rule(after=AFTER, worker=st.sampled_from(WORKERS))
    def lets_go_of_idle_lanes(self, after: int, worker: str) -> None:
        """Its slice is over: what has nothing to do goes back, for whoever has the next permit."""
        self._work(after)
        mine = self.workers[worker]
        for key, (lease, doing, said) in list(mine.held.items()):
            if said == IDLE:
                doing.close()
                del mine.held[key]
                self.world.ledger.release(lease)
                self._say(mine.owner, f"gives back {key[0]}/{key[1]}")

    @rule(after=AFTER, worker=st.sampled_from(WORKERS))
    def crashes(self, after: int, worker: str) -> None:
        self._work(after)
        mine = self.workers[worker]
        self._drop_all(mine)
        mine.born += 1
        self._say(worker, "CRASHES, and starts again")

    @rule(after=AFTER, worker=st.sampled_from(WORKERS))
    def loses_the_database(self, after: int, worker: str) -> None:
        """What it was doing has been committed or not, and it does not know: it forgets its lanes."""
        self._work(after)
        self._drop_all(self.workers[worker])
        self._say(worker, "LOSES its connection, and forgets its lanes")

    @rule(after=AFTER, lane=st.sampled_from(KEYS))
    def a_lease_runs_out(self, after: int, lane: tuple[str, int]) -> None:
        """Its owner was paused for longer than the lease, and does not know it yet."""
        self._work(after)
        row = self.world.ledger.positions[lane]
        row.until = min(row.until, self.world.ledger.now)
        self._say("time", f"the lease of {lane[0]}/{lane[1]} RUNS OUT")

    @rule(after=AFTER, seconds=st.sampled_from((2, 40)))
    def time_passes(self, after: int, seconds: int) -> None:
        self._work(after)
        self.world.ledger.now += seconds
        self._say("time", f"{seconds} s pass")

    # ---- what Kafka and the network do

    @rule(after=AFTER, what=HOLDS)
    def the_network_will_hold(self, after: int, what: str) -> None:
        self._work(after)
        self.world.broker.holds = what
        self._say("network", f"will HOLD the next {what}")

    @precondition(lambda self: self.world.broker.late)
    @rule(after=AFTER, nth=st.integers(0, 2))
    def a_late_request_lands(self, after: int, nth: int) -> None:
        self._work(after)
        late = self.world.broker.late
        self._land(late.pop(nth % len(late)))

    @rule(after=AFTER, partition=PARTITIONS, events=EVENTS, meanwhile=st.sampled_from((8, 12, 16, 20)), then=HOLDS)
    def a_commit_lands_in_the_next_transaction(
        self, after: int, partition: int, events: list[tuple[int, str]], meanwhile: int, then: str
    ) -> None:
        """Held while its hidden retry succeeds; EndTxn names no transaction, so it ends whatever is open by then."""
        self._work(after)
        self.the_network_will_hold(0, "commit")
        self._work(20)
        self.produces(partition, events)
        self._work(meanwhile)
        if self.world.broker.late:
            self._land(self.world.broker.late.pop())
            self.the_network_will_hold(0, then)

    def _land(self, late: Late) -> None:
        answer = late.land()
        self._say("network", f"LATE: {late.what} lands: {getattr(answer, 'name', 'done')}")

    @rule(after=AFTER, slow=st.booleans())
    def markers_are_slow(self, after: int, slow: bool) -> None:
        self._work(after)
        self.world.broker.slow_markers = slow
        if not slow:
            self.world.broker.write_markers()
        self._say("broker", "will write markers later" if slow else "writes its markers")

    @precondition(lambda self: self.world.broker.coordinators)
    @rule(after=AFTER, nth=st.integers(0, 2))
    def the_broker_times_out_a_transaction(self, after: int, nth: int) -> None:
        self._work(after)
        ids = list(self.world.broker.coordinators)
        self.world.broker.time_out(ids[nth % len(ids)])
        self._say("broker", f"times out {ids[nth % len(ids)]}")

    @rule(after=AFTER, log=st.sampled_from((1, 2, *BUS)), number=NUMBERS)
    def somebody_begins_a_transaction(self, after: int, log: int, number: int) -> None:
        """Somebody else's, on the inbox a producer's: LSO < HW until it ends."""
        self._work(after)
        if log not in self.outside:
            self.outside[log] = 1000 + len(self.story)
            if log not in BUS:
                self.world.logs[log].append(Message(None, thing(number), []), self.outside[log])
            else:
                self.world.logs[log].append(Message(None, b"foreign", []), self.outside[log])
            self._say("somebody", f"begins a transaction on {self.world.logs[log].name}")

    @precondition(lambda self: self.outside)
    @rule(after=AFTER, commit=st.booleans())
    def somebody_ends_a_transaction(self, after: int, commit: bool) -> None:
        """A commit on the bus would be a FOREIGN record, which has rules of its own."""
        self._work(after)
        log, txn = self.outside.popitem()
        self.world.logs[log].end(txn, commit and log not in BUS)
        self._say("somebody", f"ends its transaction on {self.world.logs[log].name}: {commit and log not in BUS}")

    @rule(after=AFTER, partition=PARTITIONS)
    def a_reader_will_skip_a_record(self, after: int, partition: int) -> None:
        """The next read of that partition claims a hole where a record is: only a second reader can tell."""
        self._work(after)
        self.world.skips.add(partition + 1)
        self._say("network", f"the next read of inbox/{partition} will SKIP a record")

    @rule(after=AFTER, log=st.sampled_from((1, 2, *BUS)))
    def kafka_says_nothing_about(self, after: int, log: int) -> None:
        """Until it is asked again (S28); lanes read on."""
        self._work(after)
        silent = self.world.hush(log)
        self._say("broker", f"{'says nothing' if silent else 'answers'} about {self.world.name(log)}")

    @rule(log=st.sampled_from((1, 2, *BUS)))
    def a_new_leader_is_elected(self, log: int) -> None:
        self.world.logs[log].epoch += 1
        self._say("broker", f"{self.world.logs[log].name} has leader epoch {self.world.logs[log].epoch}")

    # ---- what people do

    @precondition(lambda self: not self._is_open() and people.room(self.world, run=True))
    @rule(after=AFTER, effects=st.sampled_from((1, 2, 4)))
    def the_next_run_is_opened(self, after: int, effects: int) -> None:
        self._work(after)
        self._person("opener", lambda: people.open_run(self.world), effects)

    @precondition(lambda self: self._is_open() and people.room(self.world, run=False))
    @rule(after=AFTER, who=GOERS, effects=st.sampled_from((2, 3, 6)), new_run=st.sampled_from((False, False, True)))
    def cuts_and_goes_on(self, after: int, who: str, effects: int, new_run: bool) -> None:
        """A person, or the clock: whatever is under way, and whatever Kafka says."""
        self._work(after)
        self._person(who, lambda: people.go_on(self.world, who, new_run), effects)

    @precondition(lambda self: self._is_open() and people.room(self.world, run=False))
    @rule(after=AFTER, partition=PARTITIONS, events=EVENTS, meanwhile=FAR, log=st.sampled_from((0, 1, 2, *BUS)))
    def records_come_while_it_goes_on(
        self, after: int, partition: int, events: list[tuple[int, str]], meanwhile: int, log: int
    ) -> None:
        """A batch under way lands wholly on one side of the cut; and of some log Kafka says nothing."""
        self._work(after)
        self.produces(partition, events)
        if log and log not in self.world.silent:
            self.kafka_says_nothing_about(0, log)
        self._take_door()
        going = people.go_on(self.world, "clock")
        self._say("clock", next(going))
        self._work(meanwhile)
        self._finish("clock", going, "has locked")
        self.posts_to_the_door(0, [1], "a")
        self._finish("clock", going)
        self._goes_on("door")

    @precondition(lambda self: self._is_open())
    @rule(after=AFTER, who=st.sampled_from(("cutter", "another cutter")), effects=st.sampled_from((1, 4, 4)))
    def cuts(self, after: int, who: str, effects: int) -> None:
        self._work(after)
        self._person(who, lambda: people.cut_run(self.world), effects)

    @precondition(lambda self: self._is_open())
    @rule(after=AFTER, partition=PARTITIONS, events=EVENTS, meanwhile=FAR, goes_on=st.booleans())
    def records_come_while_it_is_cut(
        self, after: int, partition: int, events: list[tuple[int, str]], meanwhile: int, goes_on: bool
    ) -> None:
        """Between asking for the last stable offsets and the cut, which then lies before what lanes have read.

        Or the clock was faster, and went on.
        """
        self._work(after)
        cutting = people.cut_run(self.world)
        self._say("cutter", next(cutting))
        self.produces(partition, events)
        self._work(meanwhile)
        if goes_on:
            self._finish("clock", people.go_on(self.world, "clock"))
        self._finish("cutter", cutting)

    @precondition(lambda self: self._cut_windows())
    @rule(after=AFTER, who=st.sampled_from(("ana", "ben")), effects=st.sampled_from((3, 10, 10)), nth=NTH)
    def closes(self, after: int, who: str, effects: int, nth: int) -> None:
        self._work(after)
        win = self._cut_window(nth)
        self._person(who, lambda: people.close_run(self.world, win, who), effects)

    @precondition(lambda self: self._cut_windows())
    @rule(after=AFTER, nth=NTH, until=st.sampled_from(people.STOPS), seconds=st.sampled_from((11, 40)))
    def a_closer_is_stopped(self, after: int, nth: int, until: str, seconds: int) -> None:
        """Somewhere between looking and storing, while Kafka falls silent, for longer than a sample may be old."""
        self._work(after)
        closing = people.close_run(self.world, self._cut_window(nth), "carl")
        if not self._finish("carl", closing, until):
            return
        if 11 not in self.world.silent:
            self.kafka_says_nothing_about(0, 11)
        self.world.ledger.now += seconds
        self._finish("carl", closing)

    @precondition(lambda self: self._cut_windows())
    @rule(after=AFTER, nth=NTH, further=st.sampled_from((0, 0, 1)), silent=st.booleans())
    def ana_and_ben_close_at_once(self, after: int, nth: int, further: int, silent: bool) -> None:
        """In turns, one effect each: of two who measured the same, one stores it (S12); or each has a window."""
        self._work(after)
        self._close_at_once(self._cut_window(nth), self._cut_window(nth + further), silent)

    @precondition(lambda self: self._is_open() and people.room(self.world, run=False))
    @rule(number=NUMBERS, silent=st.booleans())
    def a_run_ends_with_two_windows(self, number: int, silent: bool) -> None:
        """Both are judged at once when all is done: their verdicts meet at the number."""
        self._work(40)
        self._finish("clock", people.go_on(self.world, "clock"))
        self.produces(0, [(number, "a")])
        self._work(40)
        self._finish("cutter", people.cut_run(self.world))
        self._work(200)
        people.resolve(self.world, "ana")
        windows = self._cut_windows()
        for win in windows:
            if not self.world.ledger.windows[win].bus_end_known:
                self._finish("ana", people.read_bus_end(self.world, win, "ana"))
        if len(windows) > 1:
            self._close_at_once(windows[-2], windows[-1], silent)

    def _close_at_once(self, anas: int, bens: int, silent: bool) -> None:
        """`silent`: of a log nothing is said when both have looked, for less time than a sample may be old."""
        both = {who: people.close_run(self.world, win, who) for who, win in (("ana", anas), ("ben", bens))}
        waited, looking = 0, 2
        while both and waited < 6:
            for who, doing in list(both.items()):
                if (said := next(doing, None)) is None:
                    del both[who]
                    continue
                self._say(who, said)
                waited += said == WAITS
                looking -= said == "looks at Kafka"
            if silent and not looking:
                silent = False
                if 11 not in self.world.silent:
                    self.kafka_says_nothing_about(0, 11)
                self.world.ledger.now += 11
        for doing in both.values():
            doing.close()

    @precondition(lambda self: self.world.ledger.items)
    @rule(after=AFTER)
    def resolves_quarantine(self, after: int) -> None:
        self._work(after)
        self._say("ana", f"resolves {people.resolve(self.world, 'ana')} items")

    @precondition(lambda self: self.world.ledger.gates)
    @rule(effects=st.sampled_from((1, 2, 2)), then=st.sampled_from((0, 0, 9, 11, 40)))
    def gates_are_checked_again(self, effects: int, then: int) -> None:
        """By an enforcer that may be stopped between looking and writing, for longer than a lease."""
        self._person("enforcer", lambda: people.enforce(self.world), effects)
        self.world.ledger.now += then

    @precondition(lambda self: self._is_open() and people.room(self.world, run=True))
    @rule(after=AFTER)
    def one_run_follows_another(self, after: int) -> None:
        """Cut, and the next one opened, while lanes stand wherever they stand."""
        self._work(after)
        self._finish("cutter", people.cut_run(self.world))
        self._finish("opener", people.open_run(self.world))

    def _is_open(self) -> bool:
        return self.world.ledger.open_run() is not None

    def _cut_window(self, nth: int) -> int:
        """The newest ones first: what was judged long ago is hardly judged again."""
        windows = self._cut_windows()
        return windows[-1 - nth % len(windows)]

    def _cut_windows(self) -> list[int]:
        return [win for win, window in self.world.ledger.windows.items() if window.state == "CUT"]

    # ---- plans: windows that are read again

    @precondition(lambda self: len(self.world.ledger.plans) < MOST_PLANS and self._replayable())
    @rule(after=AFTER, nth=NTH, fresh=st.booleans(), part=PARTS, effects=FAR)
    def a_replay_is_approved(self, after: int, nth: int, fresh: bool, part: str, effects: int) -> None:
        """In the same run, or in a fresh one that takes the window's place; and a worker begins with it."""
        self._work(after)
        windows = self._replayable()
        if not windows:
            return
        win = windows[-1 - nth % len(windows)]
        readable = people.may_read(self.world, win).granted
        refused = replays.refusal(self.world, win, fresh=fresh, readable=readable)
        if refused or replays.overlaps(self.world, win):
            return
        plan = replays.ask(self.world, win, fresh=fresh, part=part)
        self._say("ana", f"asks for plan {plan.id}: {'a fresh run for' if fresh else 'a rerun of'} window {win}")
        self._plan_goes_on("planner", plan.id, effects)

    def _replayable(self) -> list[int]:
        return [win for win, window in self.world.ledger.chain.items() if window.state == "CUT"]

    @precondition(lambda self: self._running())
    @rule(after=AFTER, nth=NTH, who=st.sampled_from(("planner", "planner", "another planner")), effects=FAR)
    def a_plan_goes_on(self, after: int, nth: int, who: str, effects: int) -> None:
        """By one worker or by another: two may have it at once."""
        self._work(after)
        running = self._running()
        if running:
            self._plan_goes_on(who, running[nth % len(running)], effects)

    def _running(self) -> list[int]:
        return [plan.id for plan in self.world.ledger.plans.values() if plan.state == "RUNNING"]

    def _plan_goes_on(self, who: str, plan: int, effects: int) -> None:
        key = f"{who} of {plan}"
        self._person(key, lambda: replays.run_plan(self.world, plan), effects)

    @precondition(lambda self: any(" of " in who for who in self.people))
    @rule(after=AFTER)
    def planners_die(self, after: int) -> None:
        self._work(after)
        for who in [who for who in self.people if " of " in who]:
            self.people.pop(who).close()
        self._say("planners", "DIE, and leave their plans to whoever comes")

    @precondition(lambda self: self._running())
    @rule(after=AFTER, nth=NTH)
    def a_plan_is_cancelled(self, after: int, nth: int) -> None:
        """Its window is cut where it stands, and judged on what ran."""
        self._work(after)
        running = self._running()
        if running:
            plan = self.world.ledger.plans[running[nth % len(running)]]
            self._finish("ana", replays.end(self.world, plan, "CANCELLED"))

    @precondition(lambda self: self._is_open() and len(self.world.ledger.plans) < MOST_PLANS)
    @rule(partition=PARTITIONS, number=NUMBERS, fresh=st.sampled_from((True, True, False)))
    def what_http_brought_is_read_again(self, partition: int, number: int, fresh: bool) -> None:
        """The log knows nothing of it, whatever else was written: a run in the window's place would be without."""
        self.produces(partition, [(number, "a")])
        self._door_ends()  # what another rule began
        self.posts_to_the_door(0, [BY_HTTP_ALONE], "a")
        self._door_ends()
        self._work(60)
        self._finish("cutter", people.cut_run(self.world))
        self.a_window_is_read_again(0, fresh, "", 60, True)

    @precondition(lambda self: len(self.world.ledger.plans) < MOST_PLANS and self._replayable())
    @rule(nth=NTH, fresh=st.booleans(), part=PARTS, until=st.sampled_from((1, 2, 3, 5, 8, 40)), close=st.booleans())
    def a_window_is_read_again(self, nth: int, fresh: bool, part: str, until: int, close: bool) -> None:
        """All at once, up to somewhere: a replay, its lanes, and a verdict on it."""
        self._work(60)
        self.a_replay_is_approved(0, nth, fresh, part, until)
        for plan in self._running():
            self._plan_goes_on("planner", plan, 60 if close else until)
        self._work(60)
        if not part:
            people.resolve(self.world, "ana")
        for win in self._cut_windows() if close else ():
            if self.world.ledger.windows[win].plan is not None:
                self._finish("ana", people.close_run(self.world, win, "ana"))

    # ---- what must hold

    @invariant()
    def the_invariants_hold(self) -> None:
        """After every step; where neither the ledger nor a log has changed since the last look, there is no news."""
        now = (self.world.ledger.version, sum(len(log.entries) for log in self.world.logs.values()))
        if now == self._checked and not self._failed:
            return
        self._checked = now
        for name, found in broken(self.world):
            self._fail(f"{name}: {found}")
        for verdict in self.world.ledger.verdicts:
            if verdict.state == "FAIL" and not (self.world.hidden_in(verdict.win) or self._is_unread(verdict.win)):
                self._fail(f"FAIL without a cause: {[x for x in verdict.body['checks'] if x['state'] == 'BROKEN']}")

    def teardown(self) -> None:
        """And then all goes well: everything is read, published, applied, cut, and the windows pass."""
        if not self._failed:
            self._recover()
            self.the_invariants_hold()
            for name, found in identities_are_the_records(Truth(self.world)):
                self._fail(f"{name}: {found}")
            if not self.flaws:  # a guard left out is shown by what it guards, not by what comes to a stop
                self._all_pass()

    def _recover(self) -> None:
        broker = self.world.broker
        self._say("and then", "nothing goes wrong any more")
        broker.holds, broker.slow_markers = None, False
        self.world.skips.clear()
        for log in list(self.world.silent):
            self.world.hush(log)
        for late in broker.late:
            self._land(late)
        broker.late.clear()
        while self.outside:
            self.somebody_ends_a_transaction(0, False)
        broker.write_markers()
        for worker in self.workers.values():
            self._drop_all(worker)
        for doing in self.people.values():
            doing.close()
        self.people.clear()
        for _ in range(3):  # a cut may have to wait for an earlier cut, a bus end for an earlier one
            self.world.ledger.now += 40
            self._work(400)
            self._finish("cutter", people.cut_run(self.world))
            self._work(400)
            for plan in self._running():
                self._finish("planner", replays.run_plan(self.world, plan))
            self._work(400)
            people.resolve(self.world, "ana")
            for win in self.world.ledger.windows:
                newest = self.world.ledger.newest_verdict(win)
                if newest is None or newest.state == "BLOCKED":
                    self._finish("ana", people.close_run(self.world, win, "ana"))
            if all(self._ended(win) for win in self.world.ledger.windows):
                return

    def _ended(self, win: int) -> bool:
        newest = self.world.ledger.newest_verdict(win)
        return newest is not None and newest.state != "BLOCKED"

    def _all_pass(self) -> None:
        ledger = self.world.ledger
        for win, window in ledger.windows.items():
            newest = ledger.newest_verdict(win)
            wanted = "PASS" if any(event.win == win for event in ledger.events.values()) else "BLOCKED"
            if self.world.empty_passes and not any(batch.win == win for batch in ledger.batches.values()):
                wanted = "PASS" if window.reruns is None else "BLOCKED"
            if window.reruns is not None and any(b.win == win and b.duplicates for b in ledger.batches.values()):
                wanted = "PASS"
            wanted = "FAIL" if self.world.hidden_in(win) or self._is_unread(win) else wanted
            if newest is None or newest.state != wanted:
                checks = newest.body["checks"] if newest else []
                why = [(x["check"], [c["text"] for c in x["causes"]]) for x in checks if x["state"] != "HOLDS"]
                what = f"{people.said_of(self.world, win)} does not become {wanted}"
                self._fail(f"{what}: {newest and newest.state} {why}")
        for run in ledger.runs.values():
            if run.state != "CLOSED":
                self._fail(f"{run.name} is {run.state} after all")

    def _is_unread(self, win: int) -> bool:
        """A fresh run whose plan was cancelled before it had read all of the window."""
        window = self.world.ledger.windows[win]
        plan = self.world.ledger.plans[window.plan] if window.plan is not None and window.reruns is None else None
        ends = {s: self.world.ledger.ranges[win, s].end for s in plan.origins} if plan else {}
        return plan is not None and any(end != plan.origins[s].length for s, end in ends.items())

    # ---- how it is done

    def _say(self, who: str, what: str) -> None:
        self.story.append(f"{who}: {what}")

    def _fail(self, what: str) -> None:
        self._failed = True
        raise InvariantBroken("\n  ".join([what, *self.story[-80:]]))

    def _take(self, worker: Worker, key: tuple[str, int]) -> None:
        if key in worker.held:
            return
        lease = self.world.ledger.take(*key, worker.owner)
        if lease is not None:
            worker.held[key] = (lease, LANES[key[0]](self.world, lease), "")
            self._say(worker.owner, f"takes {key[0]}/{key[1]} under fence {lease.fence}")

    def _run(self, worker: Worker, key: tuple[str, int], effects: int) -> bool:
        """Up to `effects` effects of one lane; True where it did something."""
        did = False
        for _ in range(effects):
            if key not in worker.held:
                return did
            lease, doing, _ = worker.held[key]
            said = self._step(worker, key, doing)
            if said is None or said == IDLE:
                return did
            did = True
        return did

    def _step(self, worker: Worker, key: tuple[str, int], doing: Doing) -> str | None:
        self.world.ledger.now += 0.01
        lease = worker.held[key][0]
        try:
            said = next(doing)
        except LeaseError:
            del worker.held[key]
            self._say(worker.owner, f"has LOST {key[0]}/{key[1]}: it changes nothing")
            return None
        except PassgateError as error:
            del worker.held[key]
            self.world.ledger.release(lease)
            self._say(worker.owner, f"stops {key[0]}/{key[1]}: {error.found}")
            return None
        worker.held[key] = (lease, doing, said)
        if said != IDLE:
            self._say(f"{worker.owner} {key[0]}/{key[1]}", said)
        return said

    def _work(self, effects: int) -> None:
        """In turns, one effect each, while there is something to do. Whoever finds a lease free or run out takes it."""
        left = effects
        while left > 0:
            did = False
            for n, key in enumerate(self._keys()):
                for name in WORKERS if n % 2 else reversed(WORKERS):
                    self._take(self.workers[name], key)
                    if self._run(self.workers[name], key, 1):
                        did = True
                        left -= 1
            if not did:
                if self.world.ledger.now and not self._waits():
                    return
                self.world.ledger.now += 1
                left -= 5

    def _keys(self) -> list[tuple[str, int]]:
        """The lanes that workers take: a plan's source has one that publishes."""
        return KEYS + [key for key in self.world.ledger.positions if key[0] == "publish" and is_plans(key[1])]

    def _waits(self) -> bool:
        """An attempt waits for its silence."""
        return any(a.state == "UNKNOWN" for a in self.world.ledger.attempts.values())

    def _drop_all(self, worker: Worker) -> None:
        for _, doing, _ in worker.held.values():
            doing.close()
        worker.held.clear()

    def _person(self, who: str, begin: Callable[[], Doing], effects: int) -> None:
        if who not in self.people:
            self.people[who] = begin()
        for _ in range(effects):
            if not self._goes_on(who):
                return

    def _goes_on(self, who: str) -> bool:
        doing = self.people.get(who)
        if doing is None:
            return False
        self.world.ledger.now += 0.01
        said = next(doing, None)
        if said is None:
            del self.people[who]
            return False
        self._say(who, said)
        return True

    def _finish(self, who: str, doing: Doing, until: str = "") -> bool:
        """To its end; where it waits for a row lock, others go on, and it gives up if that does not help.

        `until`: no further than to where it says so; whether it came there.
        """
        waited = 0
        while (said := next(doing, None)) is not None:
            self._say(who, said)
            if until and said.startswith(until):
                return True
            if said == WAITS:
                waited += 1
                self._work(5)
                self._goes_on("door")
                if waited > 5:
                    doing.close()
                    return False
        return not until
