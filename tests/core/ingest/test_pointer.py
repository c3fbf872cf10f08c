"""JSON Pointers as RFC 6901 has them, and places."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.core.errors import RecordError
from ingest.core.pointer import MISSING, Header, escape, parse_place, parse_pointer, resolve, unescape

DOCUMENT = {
    "foo": ["bar", "baz"],
    "": 0,
    "a/b": 1,
    "c%d": 2,
    "e^f": 3,
    "g|h": 4,
    "i\\j": 5,
    'k"l': 6,
    " ": 7,
    "m~n": 8,
    "null": None,
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("/foo", ["bar", "baz"]), ("/foo/0", "bar"), ("/", 0), ("/a~1b", 1), ("/c%d", 2), ("/e^f", 3), ("/g|h", 4),
        ("/i\\j", 5), ('/k"l', 6), ("/ ", 7), ("/m~0n", 8), ("/null", None),
        ("/nowhere", MISSING), ("/foo/2", MISSING), ("/foo/-", MISSING), ("/foo/00", MISSING), ("/foo/-1", MISSING),
        ("/foo/0/x", MISSING), ("/null/x", MISSING), ("/foo/١", MISSING), ("/foo/99999999999999999999", MISSING),
    ],
)  # fmt: skip
def test_resolves_as_the_rfc_says(text: str, value: Any) -> None:
    assert resolve(DOCUMENT, parse_pointer(text).tokens) == value


@pytest.mark.parametrize("text", ["", "foo", "/a~", "/a~2", "#/a", "/" + "x" * 600])
def test_what_is_no_pointer(text: str) -> None:
    with pytest.raises(RecordError):
        parse_pointer(text)


def test_places() -> None:
    assert parse_place("header:pg-run") == Header("pg-run")
    assert parse_place("/run") == parse_pointer("/run")
    for text in ("header:", "header:a b", "header:a:b", "cookie:a", "run", "header:é"):
        with pytest.raises(RecordError):
            parse_place(text)


@given(st.text())
def test_escaping_is_undone(key: str) -> None:
    assert unescape(escape(key)) == key
    assert "/" not in escape(key)
