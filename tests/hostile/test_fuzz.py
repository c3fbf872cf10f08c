"""A few seconds of the fuzz target, and Hypothesis on the same checks, which shrinks what it finds."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import examples
from tests.hostile.fuzz import Input, Tally, check, made, plain_agrees, run

VALUES = st.none() | st.binary(max_size=200) | st.integers(0, 2**32).map(lambda seed: made(random.Random(seed)).value)
HEADERS = st.none() | st.lists(
    st.tuples(
        st.sampled_from(["pg-run", "content-type", "ce_id", "", "a", "\x00"]) | st.text(max_size=6),
        st.none() | st.binary(max_size=20),
    ),
    max_size=6,
)


@pytest.mark.slow
def test_some_seconds_of_it() -> None:
    tally = run(5.0, 20130101)
    assert tally.understood > 100
    assert len(tally.reasons) > 20


@settings(max_examples=examples(300), deadline=None)
@given(VALUES, st.none() | st.binary(max_size=20), HEADERS)
def test_any_bytes(value: bytes | None, key: bytes | None, headers: list[tuple[str, bytes | None]] | None) -> None:
    sent = Input(value, key, headers)
    check(sent, Tally())
    plain_agrees(sent)
