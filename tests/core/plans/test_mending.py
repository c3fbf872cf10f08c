"""What is said of effects that went missing: before, where they stay so, and afterwards."""

from __future__ import annotations

from plans.core.mending import told, told_done, told_refused


def test_it_is_told_in_sentences() -> None:
    assert told(2, 0, 0) == [] and told_refused(2, "", 3, 1, {}) == [] and told_done(2, 0, 0) is None
    assert told(2, 1, 1_000) == [
        "1 effect of window 2 is missing; it is applied again.",
        "Rows of 1,000 effects of window 2 are missing; they are written again.",
    ]
    assert told_refused(2, "it has passed", 3, 1, {"its payload is not kept": 2}) == [
        "3 effects of window 2 are missing, and are not applied again: it has passed.",
        "Rows of 1 effect of window 2 are missing, and are not written again: it has passed.",
        "2 events of window 2 cannot be applied again: its payload is not kept.",
    ]
    assert told_done(2, 1, 2) == (
        "1 effect of window 2 was missing, and was applied again;"
        " rows of 2 effects of window 2 were missing, and were written again"
    )
