"""Tries one-line changes of every guard on the tests that reach it, and keeps the list of what became of each.

    python -m tests.mutants.survey                        what the list lacks and what in it is stale; tries nothing
    python -m tests.mutants.survey --for 90m              tries what the list lacks, what matters most first
    python -m tests.mutants.survey --of audit/close.py --again --for 10m

The list is tests/mutants/survey.tsv. First the tests run once without a change, to see what each reaches (some ten
minutes; `--reach FOLDER` keeps that for another time). Then each change is tried in a fresh process.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.mutants.guards import Change, read_changes
from tests.mutants.run import ROOT
from tests.mutants.trying import FRESH_AFTER, PURE, WITHOUT, Place, Reach, Trials, Tried

LIST = ROOT / "tests" / "mutants" / "survey.tsv"
HEAD = "file\tfunction\tchange\tturn\tresult\tby, or why\n"
CHECK_AFTER = 60
"""Kills after which the tests that killed run without a change: one that fails then killed nothing."""
Key = tuple[str, str, str, int]


def _of(package: str, *names: str) -> list[str]:
    return [f"{package}/{name}.py" for name in names]


def _sql(package: str, *names: str) -> list[str]:
    return [f"{package}/{name}.sql" for name in names]


FILES = [
    *_of("audit", "close", "enforce", "gate", "measure", "capture", "gaps", "partitions"),
    *_of(
        "audit/core", "verdict", "basis", "gate", "progress", "bus", "ledger", "check", "stopped", "facts", "snapshot"
    ),
    *_of("ingest/publish", "lane", "reconcile", "attempts"),
    *_of("ingest/consume", "lane", "transaction", "attempt_cache"),
    *_of("ingest/admit", "lane", "http", "group_commit"),
    *_of("ingest", "behind", "lanes/lease", "lanes/gap_claims", "projections/base", "lanes/partition_lane"),
    *_of("audit", "cut", "open", "now"),
    *_of("audit/fsck", "__init__", "again", "chain", "ledger", "looking", "newest", "passes", "reread", "truth"),
    *_sql("audit", "close", "enforce", "gate", "measure", "capture", "gaps", "partitions", "cut"),
    *_sql("ingest", "lanes/lease", "admit/lane", "publish/lane", "publish/attempts", "publish/reconcile"),
    *_sql("ingest", "consume/lane", "consume/transaction", "consume/attempt_cache", "admit/http"),
    *_sql("ingest", "lanes/partition_lane", "lanes/gap_claims", "projections/base"),
    *_sql("audit", "open", "now", "fsck/fsck", "fsck/passes", "fsck/chain", "fsck/reread"),
    *_of("ingest/core", "decide", "consumption", "attempt", "outcome", "reconciliation", "posture", "lane", "lease"),
    *_of("ingest/core", "binding", "batching", "partition", "stops", "reason", "group", "visible", "merkle", "record"),
    *_of("audit/core", "diagnosis", "phrases"),
    *_of("audit", "cover", "go_on", "pins", "refresh", "recheck_end", "rerun", "waive", "complete", "notices"),
    *_of("audit/core", "cover", "refresh", "anchors", "completeness", "generations"),
    *_of("ingest", "adopt", "pinned", "retire", "quarantine", "admit/redrive", "admit/replay", "admit/later"),
    *_of("ingest", "publish/decide", "publish/republish", "core/calendar", "core/pinning"),
    *_of("plans", "answer", "expire", "free", "offers", "preview", "run", "since", "steer", "submit"),
    *_of("plans/core", "binding", "free", "offers", "people", "plan"),
    *_of("plans/kinds", "adopt", "basis", "decide", "redrive", "replay", "republish", "retire", "waive"),
    *_of("audit", "stand_in", "anchors", "incarnations"),
    *_of("audit/core", "gone"),
    *_of("ingest", "admit/received", "consume/mending", "publish/loss", "core/mending", "core/stored"),
    *_of("plans", "approvals", "core/approvals", "core/mending", "kinds/order", "rows"),
    *_sql("audit", "cover", "go_on", "pins", "refresh", "recheck_end", "rerun", "waive", "complete", "notices"),
    *_sql("ingest", "install", "pinned", "retire", "quarantine", "admit/redrive", "admit/replay", "admit/later"),
    *_sql("ingest", "publish/decide", "publish/republish", "windows"),
    *_sql("audit", "stand_in", "roots", "anchors", "incarnations"),
    *_sql("ingest", "admit/received", "consume/mending", "publish/loss"),
    *_sql("plans", "approvals", "kinds/republish"),
    *_sql(
        "plans", "answer", "expire", "free", "offers", "rows", "run", "since", "submit", "kinds/redrive", "kinds/replay"
    ),
]
"""What matters most first."""

#: Which tests are asked, in two parts of about the same time. What takes long, or starts parts of its own, is not.
TESTS = (
    ("tests/core", "tests/contracts", "tests/flow", "tests/mutants/test_kills.py", "tests/plans"),
    ("tests/audit", "tests/judging/test_schedules.py", "tests/database", "tests/kafka/test_guards.py", "tests/cli"),
)
EVERY = tuple(folder for part in TESTS for folder in part)


@dataclass(frozen=True)
class Entry:
    """A line of the list."""

    key: Key
    result: str
    by: str

    def line(self) -> str:
        return "\t".join([*map(str, self.key), self.result, self.by]) + "\n"


def read_list(file: Path = LIST) -> dict[Key, Entry]:
    if not file.exists():
        return {}
    rows = [line.split("\t") for line in file.read_text(encoding="utf-8").splitlines()[1:]]
    keys: list[Key] = [(row[0], row[1], row[2], int(row[3])) for row in rows]
    return {key: Entry(key, row[4], row[5]) for key, row in zip(keys, rows, strict=True)}


def write_list(entries: Iterable[Entry], file: Path = LIST) -> None:
    order = {path: index for index, path in enumerate(FILES)}
    lines = [
        entry.line() for entry in sorted(entries, key=lambda entry: (order.get(entry.key[0], len(order)), entry.key))
    ]
    file.write_text(HEAD + "".join(lines), encoding="utf-8")


def every_change(files: Iterable[str] = FILES) -> list[Change]:
    return [change for path in files for change in read_changes(ROOT, path)]


def stale(entries: Iterable[Entry], found: Iterable[Change]) -> list[Entry]:
    """Those whose guard is not in the code any more, or says something else now."""
    there = {change.key for change in found}
    return [entry for entry in entries if entry.key not in there]


# ---- trying ---------------------------------------------------------------------------------------------------------


class Survey:
    """What is tried, by as many places at once as there are parts of tests, until the time is over."""

    def __init__(self, wanted: Sequence[Change], until: float, file: Path = LIST) -> None:
        self.entries = read_list(file)
        self.until, self.file = until, file
        self._waiting: queue.SimpleQueue[Change] = queue.SimpleQueue()
        self._lock = threading.Lock()
        for change in wanted:
            self._waiting.put(change)

    def work(self, reach: Reach, tests: Sequence[str] = EVERY) -> None:
        """Until there is none left, or no time, on these folders' tests."""
        with Place(tests) as place:
            trials, doubtful = Trials(place, reach), dict[Change, str]()
            while (change := self._next()) is not None:
                tried = trials.of(change)
                self.note(change, tried)
                if tried.result == "killed" and not tried.by.startswith(PURE):
                    doubtful[change] = tried.by
                if len(doubtful) >= CHECK_AFTER or place.used >= FRESH_AFTER:
                    self._check(place, doubtful)
            self._check(place, doubtful)

    def _next(self) -> Change | None:
        if time.monotonic() > self.until:
            return None
        try:
            return self._waiting.get_nowait()
        except queue.Empty:
            return None

    def note(self, change: Change, tried: Tried) -> None:
        with self._lock:
            self.entries[change.key] = Entry(change.key, tried.result, tried.by)
            write_list(self.entries.values(), self.file)
            print(f"{tried.result}: {change.path} {change.function}: {change.what} ({tried.by})", flush=True)

    def _check(self, place: Place, doubtful: dict[Change, str]) -> None:
        """The tests that killed pass without a change; else their kills are forgotten, and tried another time."""
        tests = sorted({test for test in doubtful.values() if "::" in test})
        answer = place.server.ask(tests, 1200, all=True) if tests else {"failed": {}}
        fails = set(tests) if answer.get("late") else answer["failed"].keys() & set(tests)
        with self._lock:
            for change in [change for change, by in doubtful.items() if by in fails]:
                self.entries.pop(change.key, None)
                self._waiting.put(change)
        if fails:
            print("fail without a change:", *sorted(fails), flush=True)
        doubtful.clear()
        if fails or place.used >= FRESH_AFTER:
            place.leave()


def see_reach(folder: Path) -> Reach:
    """What each test reaches, seen anew where the folder does not hold it."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{part}.jsonl" for part in range(len(TESTS))]
    at_once([partial(_look, tests, file) for tests, file in zip(TESTS, files, strict=True) if not file.exists()])
    return Reach.read(files)


def _look(tests: Sequence[str], file: Path) -> None:
    with Place(tests) as place:
        place.start_parts()
        told = {
            **os.environ, **WITHOUT, "PASSGATE_MUTANTS_STACK": json.dumps(place.env),
            "PASSGATE_SURVEY_REACH": str(file), "PASSGATE_SURVEY_OF": " ".join(FILES),
        }  # fmt: skip
        command = [sys.executable, "-m", "pytest", "-q", "--tb=line", "-p", "tests.mutants.reaching", *tests]
        done = subprocess.run(command, cwd=place.tree, env=told, capture_output=True, text=True)
    print(done.stdout[-300:], flush=True)


def at_once(works: Sequence[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


# ---- the command ----------------------------------------------------------------------------------------------------


def tell(entries: dict[Key, Entry], found: Sequence[Change]) -> None:
    """The list in numbers, and what of it is stale."""
    results = Counter(entries[change.key].result for change in found if change.key in entries)
    print(f"{len(found)} changes:", ", ".join(f"{n} {result}" for result, n in results.most_common()))
    print(f"{len(found) - results.total()} not tried")
    for entry in stale(entries.values(), found):
        print("stale:", *entry.key)


def seconds(text: str) -> float:
    """`90m`, `2h` or `30s`."""
    return float(text[:-1]) * {"s": 1, "m": 60, "h": 3600}[text[-1]]


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants.survey", description=__doc__)
    parser.add_argument("--of", nargs="+", default=FILES, metavar="FILE", help="only these files")
    parser.add_argument("--for", dest="time", type=seconds, default=0.0, metavar="TIME", help="e.g. 90m")
    parser.add_argument("--again", action="store_true", help="also what the list has")
    parser.add_argument("--survivors", action="store_true", help="only what survived or was not reached")
    parser.add_argument("--reach", type=Path, metavar="FOLDER", help="where it is kept what each test reaches")
    asked = parser.parse_args(argv)
    found, entries = every_change(asked.of), read_list()
    if asked.time:
        until = time.monotonic() + asked.time
        wanted = [change for change in found if _is_wanted(change, entries, asked)]
        with tempfile.TemporaryDirectory(prefix="passgate-survey-") as folder:
            reach = see_reach(asked.reach or Path(folder))
        survey = Survey(wanted, until)
        at_once([partial(survey.work, reach)] * len(TESTS))
        entries = survey.entries
    tell(entries, found)
    return 0


def _is_wanted(change: Change, entries: dict[Key, Entry], asked: argparse.Namespace) -> bool:
    entry = entries.get(change.key)
    if asked.survivors:
        return entry is not None and entry.result in {"survived", "unreached"}
    return entry is None or asked.again


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
