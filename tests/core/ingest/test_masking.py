"""What a contract masks stays masked, however the record came and however the mask was written."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.core.errors import RecordError
from ingest.core.masking import Masks, covers, masked, masked_headers, masks_of, parse_mask, pointer_of, step
from ingest.core.pointer import parse_pointer

SECRET = "N14228"
Json = dict[str, object]
KEYS = st.sampled_from(["a", "b", "0", "1", "01", "-", "a/b", "a~b", ""])
VALUES = st.recursive(
    st.just(SECRET), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=8
)


def masks(*pointers: str) -> Masks:
    return masks_of([parse_mask(pointer) for pointer in pointers], False, [])


@pytest.mark.parametrize("text", ["/a/01", "/a/00", "/007", "/a/-", "/-", "/a/01/b"])
def test_a_mask_that_can_be_read_in_two_ways_is_refused(text: str) -> None:
    """RFC 6901 knows no such index: it would hide nothing of an array, and whoever wrote it believes that it does."""
    with pytest.raises(RecordError):
        parse_mask(text)


@pytest.mark.parametrize("text", ["/a/0", "/a/10", "/a/1x", "/a/x01", "/a/²", "/a//b", "/0"])
def test_other_masks_are_read(text: str) -> None:
    assert parse_mask(text) == parse_pointer(text)


def test_a_contract_with_such_a_mask_is_refused() -> None:
    from ingest.core.contract import parse_contract
    from ingest.core.errors import ContractErrors

    text = 'contract = 1\nstream = "s"\n[inbox.kafka]\ntopic = "i"\nformat = "cloudevents"\n[bus]\ntopic = "b"\n'
    with pytest.raises(ContractErrors, match="leading zeros"):
        parse_contract((text + 'partitions = 1\n[payload]\nmask = ["/data/a/01"]\n').encode(), "c.toml", lambda _: b"")


@given(document=st.dictionaries(KEYS, VALUES, min_size=1, max_size=3), tokens=st.lists(KEYS, min_size=1, max_size=3))
def test_what_is_shown_and_what_is_compared_agree(document: Json, tokens: list[str]) -> None:
    """The API's bytes and the page's table are masked in the same places, and nowhere else."""
    from console.pages.frame.fields import flat

    at = Masks((tuple(tokens),))
    before, (shown, _) = json.dumps(document).encode(), masked(json.dumps(document).encode(), at)
    assert shown is not None
    was, now = flat(before) or {}, flat(shown) or {}
    hidden = {pointer for pointer in was if covers(at, pointer)}
    assert {pointer: value for pointer, value in was.items() if pointer not in hidden}.items() <= now.items()
    assert not any(now.get(pointer) == json.dumps(SECRET) for pointer in hidden)


def test_a_step_is_an_index_only_where_rfc_6901_says_so() -> None:
    assert step(["a", "b"], "1") == 1
    for token in ("01", "+1", "-", "1.0", "²", "2"):
        assert step(["a", "b"], token) is None
    assert step({"01": 1}, "01") == "01"
    assert pointer_of(("a/b", "~")) == "/a~1b/~0"


@pytest.mark.parametrize(
    "raw", [b'{"a": {"b": "N14228"}, "a": {}}', b'{"a": "N14228"', b'["N14228"]', b"\xff", b"[" * 9_000]
)
def test_what_cannot_be_read_in_one_way_is_hidden(raw: bytes) -> None:
    """Of a key that stands twice one reader sees the first, another the last; the bytes hold both."""
    shown, why = masked(raw, masks("/a/b"))
    assert shown is None
    assert why


BINARY = [("ce_specversion", b"1.0"), ("ce_subject", b"N14228"), ("content-type", b"application/json")]


def test_a_cloudevent_in_binary_mode_is_masked_as_in_structured_form() -> None:
    pointers = [parse_mask("/data/tail"), parse_mask("/subject")]
    found = masks_of(pointers, True, BINARY)
    assert found.headers >= {"ce_subject"}
    shown_headers = masked_headers([("CE_Subject", b"N14228"), ("other", b"seen"), ("none", None)], found)
    assert shown_headers == [("CE_Subject", None), ("other", b"seen"), ("none", None)]
    shown, why = masked(b'{"tail": "N14228"}', found)
    assert (shown, why) == (b'{"tail": "masked"}', "masked: /tail")
    structured = masks_of(pointers, True, [("Content-Type", b"application/cloudevents+json; charset=utf-8")])
    shown, _ = masked(b'{"subject": "N14228", "data": {"tail": "N14228"}}', structured)
    assert shown is not None and SECRET.encode() not in shown
    assert masked(b"anything", masks_of([parse_mask("/data")], True, BINARY))[0] is None
