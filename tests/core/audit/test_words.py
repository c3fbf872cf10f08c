from __future__ import annotations

from datetime import timedelta

import pytest

from audit.core import phrases as w


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-3, "0 s"),
        (0, "0 s"),
        (89, "89 s"),
        (90, "1 min"),
        (362, "6 min"),
        (3600, "1 h"),
        (172_799, "47 h"),
        (172_800, "2 d"),
    ],
)
def test_age(seconds: int, said: str) -> None:
    assert w.age(timedelta(seconds=seconds)) == said


def test_numbers_are_exact() -> None:
    assert w.number(10_002) == "10,002"
    assert w.count(1, "publish", "publishes") == "1 publish"
    assert w.count(1_200, "event") == "1,200 events"


def test_lists() -> None:
    assert w.listed([]) == ""
    assert w.listed(["a", "b", "c"]) == "a, b and c"
    assert w.sources(["a", "b", "c", "d"]) == "a, b and 2 more sources"
    assert w.sources(["a", "b", "c"]) == "a, b and 1 more source"
