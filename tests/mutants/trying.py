"""Tries a change on the tests in which it matters: in a copy of the tree, on parts of its own, in a fresh process."""

from __future__ import annotations

import json
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stack import STORES, Stack, kafka
from tests.mutants.guards import Change
from tests.mutants.run import copied
from tests.mutants.server import Server

PURE = ("tests/core/", "tests/contracts/", "tests/model/")
FIRST = 6
"""How many tests are tried before all the others: most changes do not outlive them."""
BOUND = {"pure": 20.0, "real": 30.0}
"""Seconds of tests, as they took without a change, that a change must outlive to have survived."""
FRESH_AFTER = 600
"""Changes after which the parts are made anew: they get slower by what tests leave."""
OPTIONS = ("--tb=line", "--timeout=40", "-p", "tests.mutants.reaching")
WITHOUT = {"PASSGATE_MODEL_SCHEDULES": "150", "PASSGATE_JUDGING_SCHEDULES": "20"}


@dataclass
class Reach:
    """Which tests reach what, and how long each took. A test stands for all of its parameters."""

    seconds: dict[str, float] = field(default_factory=dict)
    by: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    @classmethod
    def read(cls, files: Iterable[Path]) -> Reach:
        made, failed, every = cls(), set(), set()
        for line in (line for file in files for line in file.read_text(encoding="utf-8").splitlines()):
            told = json.loads(line)
            test = told["test"].split("[")[0]
            if not test:
                every.update(told["reached"])
                continue
            made.seconds[test] = made.seconds.get(test, 0.0) + told["seconds"]
            if not told["passed"]:
                failed.add(test)
            for name in told["reached"]:
                made.by[name].add(test)
        for name in every:
            made.by[name].update(made.seconds)
        for test in failed:
            del made.seconds[test]
        return made

    def tests(self, change: Change) -> list[str]:
        """Quickest first."""
        return sorted(self.by.get(change.reached, set()) & self.seconds.keys(), key=lambda test: self.seconds[test])


@dataclass(frozen=True)
class Tried:
    """killed, survived, or unreached; `by`: the test that failed, or how many did not."""

    result: str
    by: str


class Place:
    """A copy of the tree, where `tests` may be asked; with PostgreSQL and Kafka of its own unless all are pure."""

    def __init__(self, tests: Sequence[str]) -> None:
        self.tests = tests
        self.pure = all(f"{test}/".startswith(PURE) for test in tests)
        self._exits, self._parts = ExitStack(), ExitStack()
        self.tree = self._exits.enter_context(copied())
        self._server: Server | None = None
        self.env: dict[str, str] = {}
        self.used = 0

    def __enter__(self) -> Place:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()
        self._exits.close()

    @property
    def server(self) -> Server:
        if self._server is None:
            self.start_parts()
            self._server = self._serving(self.tests)
        return self._server

    def _serving(self, tests: Sequence[str]) -> Server:
        return Server(self.tree, tests, self.env, OPTIONS, WITHOUT)

    def start_parts(self) -> None:
        """What is pure is told URLs where nothing runs: it asks none of them."""
        if self.env:
            return
        kafka.MEMORY = tuple(dict.fromkeys((*kafka.MEMORY, "-XX:TieredStopAtLevel=1")))
        stack = Stack(Path(self._parts.enter_context(tempfile.TemporaryDirectory(prefix="passgate-survey-"))) / "data")
        self._parts.callback(stack.remove)
        if self.pure:
            stack.reserve()
        else:
            stack.start(only=STORES)
            stack.migrate()
        self.env = stack.env()

    def leave(self) -> None:
        """The next question finds a new server, on new parts."""
        if self._server is not None:
            self._server.close()
        self._parts.close()
        self._server, self.env, self.used = None, {}, 0

    def run(self, change: Change, tests: Sequence[str], seconds: float) -> str:
        """The test that failed on the change, `time`, or nothing."""
        self.used += not self.pure
        file = self.tree / change.path
        text = file.read_text(encoding="utf-8")
        changed = change.applied(text)
        self.server  # noqa: B018 - it has imported the file as it is
        self._write(file, changed)  # for processes that a test starts
        try:
            answer = self.server.ask(tests, seconds, path=change.path, function=change.function, text=changed)
            if "cannot" in answer:
                answer = self._afresh(tests, seconds)
        finally:
            self._write(file, text)
        return "time" if answer.get("late") else next((test or "its end" for test in answer["failed"]), "")

    def _afresh(self, tests: Sequence[str], seconds: float) -> dict[str, Any]:
        """By a server that has imported the changed file: for what a module does while it is imported."""
        server = self._serving(sorted({test.split("::")[0] for test in tests}))
        try:
            return server.ask(tests, seconds) if server.ready else {"failed": {"import": ""}}
        finally:
            server.close()

    def _write(self, file: Path, text: str) -> None:
        """What Python compiled of the file goes: of the same size and second, it would count as the new one."""
        for compiled in (file.parent / "__pycache__").glob(f"{file.stem}.*.pyc"):
            compiled.unlink()
        file.write_text(text, encoding="utf-8")


class Trials:
    """Changes tried one after the other in one place, the tests that killed their neighbours first."""

    def __init__(self, place: Place, reach: Reach) -> None:
        self.place, self.reach = place, reach
        self.killers: dict[str, Counter[str]] = defaultdict(Counter)

    def of(self, change: Change) -> Tried:
        tests = self.reach.tests(change)
        if not tests:
            return Tried("unreached", "")
        outlived = 0
        for kind in ("pure", "real"):
            chosen = self._chosen(change, [test for test in tests if test.startswith(PURE) == (kind == "pure")], kind)
            for some in filter(None, (chosen[:FIRST], chosen[FIRST:])):
                by = self.place.run(change, some, 60 + 5 * sum(self.reach.seconds[test] for test in some))
                if by:
                    self.killers[f"{change.path}:{change.function}"][by] += 1
                    self.killers[change.path][by] += 1
                    return Tried("killed", by)
                outlived += len(some)
        return Tried("survived", f"{outlived} of {len(tests)} tests")

    def _chosen(self, change: Change, tests: list[str], kind: str) -> list[str]:
        near, around = self.killers[f"{change.path}:{change.function}"], self.killers[change.path]
        tests = sorted(tests, key=lambda test: (-near[test], -around[test], self.reach.seconds[test]))
        left, chosen = BOUND[kind], []
        for test in tests:
            if self.reach.seconds[test] <= left or not chosen:
                left -= self.reach.seconds[test]
                chosen.append(test)
        return chosen
