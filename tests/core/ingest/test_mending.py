"""What of an event is missing, and what of that can be written again as it was."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ingest.core.mending import Lack, MissingPart, StoredEvent, lack, unusable

TAKES = {"truth.all": None, "truth.some": ("flight",)}
ALL, BOTH = {"truth.all"}, {"truth.all", "truth.some"}


@pytest.mark.parametrize(
    ("applied", "name", "rows", "found"),
    [
        (True, "flight", BOTH, None),
        (True, "weather", ALL, None),
        (True, "weather", BOTH, None),  # a row too many is for APPLIED to say
        (True, "flight", set(), Lack(MissingPart.ROWS)),
        (True, "weather", set(), Lack(MissingPart.ROWS)),
        (True, "flight", ALL, Lack(MissingPart.ROWS, "rows of it stand in truth.all, and others are gone")),
        (False, "flight", set(), Lack(MissingPart.EFFECT)),
        (False, "flight", ALL, Lack(MissingPart.EFFECT, "rows of it stand in truth.all without an effect")),
        (
            False,
            "weather",
            BOTH,
            Lack(MissingPart.EFFECT, "rows of it stand in truth.all, truth.some without an effect"),
        ),
    ],
)
def test_what_stands_in_part_is_left_alone(applied: bool, name: str, rows: set[str], found: Lack | None) -> None:
    assert lack(applied, name, rows, TAKES) == found


def test_without_a_projection_an_effect_is_all_there_is() -> None:
    assert lack(True, "thing", set(), {}) is None
    assert lack(False, "thing", set(), {}) == Lack(MissingPart.EFFECT)


STORED = StoredEvent(b"{}", b"d", b"d", placed=True, read=True)


@pytest.mark.parametrize(
    ("event", "of_effect", "of_rows"),
    [
        (STORED, "", ""),
        (replace(STORED, payload=None), "its payload is not kept", "its payload is not kept"),
        (replace(STORED, found_digest=b"e"), "its payload has another digest", "its payload has another digest"),
        (replace(STORED, placed=False), "it has no place on the bus that counts", ""),
        (replace(STORED, apart="nothing was read at its place"), "nothing was read at its place", ""),
        (replace(STORED, copied=True), "a copy of an event of the window was read beside it", ""),
    ],
)
def test_an_effect_is_written_where_the_lane_read_it_and_rows_beside_one_that_stands(
    event: StoredEvent, of_effect: str, of_rows: str
) -> None:
    assert unusable(event, MissingPart.EFFECT) == of_effect
    assert unusable(event, MissingPart.ROWS) == of_rows
