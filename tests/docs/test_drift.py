"""docs/drift.md holds every difference between what a window was judged against and what the broker is now.

Written anew by `python -m tests.docs.test_drift`, from the table that tests/drift does on a real broker.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.library import functions, is_there
from tests.drift.table import DRIFTS, ROWS, SECONDS, TABLE, Drift, Look, Row, When

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "drift.md"

HEAD = """# Drift: when Kafka is not what it was

A window is judged against a *basis*: what Kafka and PostgreSQL were when it opened. What differs since is drift. It
never changes a basis or a verdict: it keeps a window from its PASS, or shuts a gate, or is harmless and said.

Each row names its test. `test_a_row[…]`, in `tests/drift/test_rows.py`, does it on a real broker: the difference is
brought about, seen within the time that is said, ended by the act, and then the stream's next window passes. TOPIC,
PARTITION and N stand for names and numbers.

- **before closing**: the window is open, or cut and not judged. Verdict and gate are its own.
- **after PASS**: the window has passed and can be read. Its verdict stays PASS, whatever comes. Where the next window
  is the first to see it, verdict and sentence are that one's; the gate is always the judged window's.
- **gate**: the code of its answer ([api.md](api.md)). A gate that was shut stays shut, a window that failed stays so;
  what either proved still stands in the ledger.
- **is said**: the part of the sentence that tells it. **next**: the act that a sentence which is no PASS names, word
  for word. **ended by**: what the test does, where anything is to be done.

| seen by | at the latest after, on a machine that has the time | because |
|---|---|---|
"""
BECAUSE = {
    Look.WINDOW: "pages look every 2 s, and what they say may be 2 s old",
    Look.CUT: "it is judged every 2 s, as long as it can be",
    Look.GATE: "gates are re-checked after `[gate] recheck` (10 s), by a look every 5 s",
    Look.NEXT: "as above",
    Look.OPENING: "opening is refused",
}
TAIL = """
## What is not in the table

- **An election.** A leader epoch that rises is no difference. One that falls is ("the leader epoch of PARTITION was 7
  and is 3"): Kafka is an earlier copy of itself.
- **A bus that was put back** under the same epochs, with as much written since as was lost: what is published then lies
  below the effects lane's position and is never applied, so its window FAILs (APPLIED).
- **An unclean election** that loses the end of a log looks as the rows of a lost log do. A broker that stands alone
  loses none, so the tests take the partition's folder away while it is down.
- **A log that was cut goes on under the same topic id.** Positions never move back. Of an inbox the next window begins
  where the log is another one ([windows.md](windows.md#a-log-that-was-cut)). Of a bus the topic is created anew: what
  lay there the ledger has, and it is published again.
- **More replicas than there are.** A broker of Kafka 4 takes records of a topic whose min.insync.replicas is above its
  replicas: the open window goes on. A run does not open on it, for other brokers refuse every write.
- **An open transaction on the inbox** holds back what lies behind it. The page of an *open* window does not say so: its
  cut does.
- **Verdict numbers after an older copy was adopted.** Numbers of the database jump; those of verdicts do not, for they
  count within a run: `stream/run#7` may have been another verdict in the ledger that is lost, and somebody may have it
  in a mail. Nothing that is left says how far that ledger came. Two verdicts of one name have different digests, which
  stand on a verdict's page and in its answer (`digest`): keep the digest beside the name. Of two, the one that the
  ledger has counts; whatever was decided between copy and adoption (the act `ledger.adopted` has its time) is gone.
- **What mends a window that failed since its bus was created again**, once the next run is open: a republish plan, then
  a replay of all of it ([windows.md](windows.md#a-bus-that-was-created-again)), as its page offers them;
  `tests/plans/test_lost.py` does it. Where its inbox was created again nothing does.
"""


def seconds_table() -> Iterator[str]:
    for look in Look:
        within = f"{SECONDS[look]} s" if SECONDS[look] else "at once"
        yield f"| {look} | {within} | {BECAUSE[look]} |"


def section(drift: Drift) -> Iterator[str]:
    yield from ("", f"## {drift.words[0].upper()}{drift.words[1:]}", "")
    yield from (f"`{drift.code}`. Brought about: {drift.how}.", "")
    yield "| where | when | seen by | verdict | gate | is said | next | ended by | test |"
    yield "|---|---|---|---|---|---|---|---|---|"
    yield from (line(row) for row in TABLE if row.code == drift.code)


def line(row: Row) -> str:
    verdict = f"{row.verdict} (of the next window)" if row.look is Look.NEXT else row.verdict or "refused"
    said = row.seen if row.seen not in ("", *OUTCOMES) else row.sentence
    cells = [
        row.topic or "both", str(row.when), str(row.look), verdict, f"`{row.gate}`" if "_" in row.gate else row.gate,
        f"“{named(said)}”", named(row.says) or "–", named(row.act), f"`{held_by(row)}`",
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


OUTCOMES = ("extended", "unmeasured")
"""Of a re-check: nothing that a person is told."""


def named(text: str) -> str:
    """With the words that the page has for names and numbers."""
    words = {"topic": "TOPIC", "label": "PARTITION", "end": "N", "ahead": "N"}
    return text.format(**words)


def held_by(row: Row) -> str:
    return f"test_a_row[{row.name}]" if row.test == ROWS else row.test


def page() -> str:
    lines = [line for drift in DRIFTS for line in section(drift)]
    return HEAD + "\n".join([*seconds_table(), *lines]) + "\n" + TAIL


def test_the_page_says_what_the_table_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == page()


@pytest.mark.parametrize("name", sorted({row.test for row in TABLE}))
def test_every_test_that_is_named_is_there(name: str) -> None:
    assert is_there(name)


def test_every_act_and_every_way_to_bring_it_about_is_there() -> None:
    """tests/drift/scene.py does what the table names; it needs a database to be imported."""
    text = (ROOT / "tests" / "drift" / "scene.py").read_text(encoding="utf-8")
    known = functions(ROOT / "tests" / "drift" / "scene.py") | set(re.findall(r'^    "(\w+)":', text, re.MULTILINE))
    done = [row for row in TABLE if row.test == ROWS]
    assert {row.code for row in done} | {row.does for row in done} <= known


def test_every_time_has_its_row_for_what_both_times_can_have() -> None:
    """What can come before closing can come after it, and is told there, too; what cannot, says why by its words."""
    of = {code: {row.when for row in TABLE if row.code == code} for code in (drift.code for drift in DRIFTS)}
    once = {code for code, times in of.items() if times != set(When)}
    assert once == {
        "expired_unread",
        "min_insync",
        "recheck_ended",
        "answer_lacks",
        "ledger_put_back",
        "log_put_back",
    }


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
