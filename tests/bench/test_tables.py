"""The table and the targets are made of the rounds; what was not measured says so, and nothing is hidden."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from trials.bench.events import Recipe, RecipeOutput, make
from trials.bench.measures import TARGETS, judged, lines
from trials.bench.report import BEGIN, END, insert, markdown
from trials.bench.run import letters


def answer(rate: float, **more: Any) -> Mapping[str, Any]:
    return {"seconds": 1.0, "records": 1_000_000, "rate": rate, "cpu": {"postgres": 3.0, "client": 0.0}, **more}


ROUNDS: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "a": [answer(9_000), answer(10_000), answer(12_000)],
    "c": [answer(400_000)],
    "c20": [answer(500_000)],
    "d1": [answer(110_000), answer(100_000), answer(90_000)],
    "h99": [answer(1.0, p99_ms=99.0)],
    "m": [{"ratio": 1.05, "said": "worst process of each kind: workers 1.05"}],
}


def test_medians_ranges_and_cpu() -> None:
    hand = lines(ROUNDS)[0]
    assert (hand.measure.key, hand.median, hand.low, hand.high, hand.rounds) == ("a", 10_000, 9_000, 12_000, 3)
    assert hand.cpu == {"client": 0.0, "postgres": 3.0}


WHOLE = {"events": 1_000_000, "rounds": 3, "long": 10_000_000}


def test_every_target_has_a_word() -> None:
    words = {each.text: (each.found, each.word) for each in judged(lines(ROUNDS), WHOLE)}
    assert len(judged([], WHOLE)) == len(TARGETS)
    assert {each.word for each in judged([], WHOLE)} == {"not measured"}
    assert words["one worker against the loop by hand, d/a, at least 10"] == ("10.0", "reached")
    # of two limits the higher one counts
    assert words["one worker against the limit, d/c, at least 0.28"] == ("0.200", "**not reached**")
    assert words["a request of the door, p99 below 100 ms"] == ("99", "reached")
    assert words["two workers, at least 150,000 records/s"] == ("-", "not measured")


def test_few_records_judge_nothing() -> None:
    words = {each.word for each in judged(lines(ROUNDS), WHOLE | {"events": 999_999, "long": 9_999_999})}
    assert words == {
        "not measured", "not judged: fewer than 1,000,000 records", "not judged: fewer than 10,000,000 records",
    }  # fmt: skip


MACHINE = {
    "cores": 2, "cpu": "some", "memory_gib": 8.0, "kernel": "Linux 6", "python": "3.11.7", "fsync_us": 100.0,
    "load_before": [0.1, 0.1, 0.1], "commit": "abc", "date": "2026-01-01T00:00:00+00:00",
}  # fmt: skip


def test_the_readme_gets_the_table_between_its_marks(tmp_path: Path) -> None:
    text = markdown({"asked": WHOLE, "machine": MACHINE, "rounds": ROUNDS})
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    insert(readme, text)
    assert readme.read_text() == f"before\n{BEGIN}\n{text}\n{END}\nafter\n"
    assert "not reached" in text
    assert "one round |  | worst process of each kind: workers 1.05 |" in text
    readme.write_text("no marks")
    with pytest.raises(ValueError, match="no place"):
        insert(readme, text)


def test_the_events_are_what_they_say() -> None:
    sent = RecipeOutput()
    records = list(make(Recipe(20_000), sent))
    assert records == list(make(Recipe(20_000)))
    assert sent.records == 20_000 == sent.events + sent.duplicates + sent.mismatches
    assert 0.045 < sent.duplicates / 20_000 < 0.055
    assert 0.003 < sent.mismatches / 20_000 < 0.007
    assert 430 < sent.bytes / 20_000 < 470
    assert len({record.key for record in records}) == sent.events
    assert len({record.value for record in records}) == sent.events + sent.mismatches
    later = list(make(Recipe(1_000, start=20_000)))
    assert not {record.key for record in later} & {record.key for record in records}


def test_letters_are_refused_by_name() -> None:
    assert letters(None)[:3] == ("a", "b", "c")
    assert letters("d, a") == ("a", "d")
    with pytest.raises(ValueError, match="zz"):
        letters("a,zz")
