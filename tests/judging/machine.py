"""Schedules of closer, enforcer, readers and pins, on the real SQL, with time between any two steps.

What must hold after every step, whoever was stopped where:

J1 a gate is open for no longer than a lease after its topics stopped being what was judged
J2 a contradicted window is not open, from the contradiction's own transaction on
J3 what was joined with a context is open only while the context is
J4 after a PASS only a FAIL is stored, and after a FAIL nothing
J5 a PASS is stored only of facts that were true at most `sample_max_age` ago
J6 HTTP grants what the rows show, and nothing else
J7 what is harmless takes nothing back: once Kafka answers, a gate with nothing against it is open again
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from audit.close import close_due, close_run
from audit.enforce import decide_gate, enforce_due
from ingest.core.errors import PassgateError
from tests.judging.world import FLIGHTS, STREAMS, WEATHER, Ground, Judging, schedule

LEASE, SAMPLE_MAX_AGE = 30.0, 30.0
SLACK = 0.001

WHO = st.sampled_from(STREAMS)
ROLE = st.sampled_from(("inbox", "bus"))
WAIT = st.sampled_from((1.0, 11.0, 16.0, 31.0, 100.0))
CLOSING = (
    "kafka.asked", "close.after_bus_end", "close.after_gaps", "close.after_reading", "close.after_judging",
    "verdict.after_revision", "verdict.after_row", "verdict.after_gate", "verdict.before_commit",
)  # fmt: skip
ENFORCING = (
    "kafka.asked", "enforce.after_capture", "enforce.after_shutting", "enforce.after_shuts", "enforce.after_depth",
)  # fmt: skip
WAITS = st.tuples(st.just("wait"), WAIT)
CHANGES = st.one_of(
    st.tuples(st.sampled_from(("recreate", "truncate")), st.tuples(WHO, ROLE)),
    st.tuples(st.sampled_from(("add_partition", "expire")), st.tuples(WHO, ROLE)),
    st.tuples(st.sampled_from(("contradict", "fall", "hush")), WHO),
)
# Something changes and time goes by, or one of the two: what a process that was stopped meanwhile does not know.
HAPPENS = st.one_of(
    st.tuples(CHANGES, WAITS).map(list), st.tuples(WAITS, CHANGES).map(list), st.tuples(CHANGES).map(list),
    st.tuples(WAITS).map(list), st.just([]),
)  # fmt: skip
Happening = tuple[str, Any]


class InvariantBroken(AssertionError):
    """An invariant does not hold; the message is the whole story."""


class JudgingMachine(RuleBasedStateMachine):
    """One schedule."""

    ground: ClassVar[Ground]

    def __init__(self) -> None:
        super().__init__()
        self._schedule: AbstractContextManager[Judging] = schedule(self.ground)
        self.world = self._schedule.__enter__()
        self.judged: dict[str, int] = dict.fromkeys(STREAMS, 0)

    @initialize()
    def begin(self) -> None:
        self.judged = {stream: len(self.world.verdicts(stream)) for stream in STREAMS}

    def teardown(self) -> None:
        try:
            self._end_well()
        finally:
            self._schedule.__exit__(None, None, None)

    # ---- what people and processes do

    @rule(stream=WHO, at=st.sampled_from(CLOSING), happens=HAPPENS)
    def close(self, stream: str, at: str, happens: list[Happening]) -> None:
        self._verb(
            f"closes {stream}", lambda: close_run(self.world.ground.flow(stream).name, "r1", "cleo"), at, happens
        )

    @rule(at=st.sampled_from(CLOSING), happens=HAPPENS)
    def close_due(self, at: str, happens: list[Happening]) -> None:
        self._verb("closes what is due", lambda: close_due(lambda: self.world.seconds), at, happens)

    @rule(at=st.sampled_from(ENFORCING), happens=HAPPENS)
    def enforce(self, at: str, happens: list[Happening]) -> None:
        self._verb("re-checks gates", enforce_due, at, happens)

    @rule(happens=HAPPENS)
    def life(self, happens: list[Happening]) -> None:
        self._happen(happens)

    def _verb(self, words: str, verb: Callable[[], object], at: str, happens: list[Happening]) -> None:
        self.world.story.append(words)
        self.world.meanwhile = (at, lambda: self._happen(happens)) if happens else None
        try:
            verb()
        except PassgateError as refused:
            self.world.story.append(f"  refused: {refused}")
        self.world.meanwhile = None

    def _happen(self, happens: list[Happening]) -> None:
        """Another connection could not write what this one's open transaction holds, so nobody writes meanwhile."""
        for what, about in happens:
            writes = what in ("contradict", "fall")
            if writes and self.world.in_transaction:
                continue
            if what == "fall":
                self.world.contradict(about)
                self._verb(
                    f"closes {about}", lambda s=about: close_run(self.world.ground.flow(s).name, "r1", "dan"), "", []
                )
            else:
                getattr(self.world, what)(*(about if isinstance(about, tuple) else (about,)))

    # ---- what must hold

    @invariant()
    def holds(self) -> None:
        for stream in STREAMS:
            for found in (*self._gate(stream), *self._verdicts(stream)):
                raise InvariantBroken("\n".join([*self.world.story, f"{stream}: {found}"]))

    def _gate(self, stream: str) -> list[str]:
        world, gate = self.world, self.world.gate(stream)
        opened = gate is not None and gate.open
        granted = decide_gate(world.ground.flow(stream).name, "r1", 1, "reader").granted
        wrong = []
        if granted != opened:
            wrong.append(f"J6: HTTP {'grants' if granted else 'refuses'}, rows are {'open' if opened else 'shut'}")
        if not opened:
            return wrong
        broken = world.broken_at.get(stream)
        left = (gate.open_until - world.ground.at).total_seconds()
        if broken is not None and left > broken + LEASE + SLACK:
            wrong.append(f"J1: open until {left:g} s, its topics are broken since {broken:g} s")
        if stream in world.contradicted:
            wrong.append("J2: open, and contradicted")
        if stream == FLIGHTS and not (context := world.gate(WEATHER)).open:
            wrong.append(f"J3: open, and its context is not: {context.shut_why or 'its lease ran out'}")
        return wrong

    def _verdicts(self, stream: str) -> list[str]:
        world, states = self.world, self.world.verdicts(stream)
        wrong = []
        for before, after in zip(states, states[1:], strict=False):
            if before == "FAIL" or (before == "PASS" and after != "FAIL"):
                wrong.append(f"J4: {after} was stored after {before}")
        new = states[self.judged[stream] :]
        broken = world.broken_at.get(stream)
        if "PASS" in new and broken is not None and world.seconds > broken + SAMPLE_MAX_AGE + SLACK:
            wrong.append(f"J5: PASS stored by {world.seconds:g} s, its topics are broken since {broken:g} s")
        self.judged[stream] = len(states)
        return wrong

    def _end_well(self) -> None:
        """J7, at the end: Kafka answers, a second passes, and what has nothing against it is open."""
        world = self.world
        world.silent.clear()
        world.wait(1.0)
        enforce_due()
        enforce_due()
        for stream in STREAMS:
            against = {stream, WEATHER} & (world.contradicted | world.broken_at.keys())
            if against or world.verdicts(stream)[-1:] != ["PASS"]:
                continue
            gate = world.gate(stream)
            if not gate.open:
                why = gate.shut_why or "its lease was not renewed"
                raise InvariantBroken("\n".join([*world.story, f"{stream}: J7: shut for good: {why}"]))
