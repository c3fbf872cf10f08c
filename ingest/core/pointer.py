"""JSON Pointer (RFC 6901), and the places a contract may read a value from: a pointer or a header."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from ingest.core.errors import RecordError

_BAD_ESCAPE = re.compile(r"~(?![01])")
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")
_HEADER_NAME = re.compile(r"[!-9;-~]{1,200}")


class Missing:
    """The type of MISSING: a pointer that points to nothing, which is not the same as null."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING = Missing()


@dataclass(frozen=True, slots=True)
class Pointer:
    """A parsed JSON Pointer; `text` as written, `tokens` unescaped."""

    text: str
    tokens: tuple[str, ...]

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Header:
    """A record header, named in a contract as `header:NAME`."""

    name: str

    def __str__(self) -> str:
        return f"header:{self.name}"


Place = Pointer | Header


def parse_pointer(text: str) -> Pointer:
    """Raises RecordError where `text` is not RFC 6901, or is the whole document ("")."""
    if not text.startswith("/") or _BAD_ESCAPE.search(text) or len(text) > 500:
        raise RecordError(expected="a JSON Pointer such as /carrier", found=repr(text))
    return Pointer(text, tuple(unescape(token) for token in text[1:].split("/")))


def parse_place(text: str) -> Place:
    """A pointer or `header:NAME`. Raises RecordError for anything else."""
    if text.startswith("/"):
        return parse_pointer(text)
    if not text.startswith("header:"):
        raise RecordError(expected="a JSON Pointer such as /type, or header:NAME", found=repr(text))
    name = text.removeprefix("header:")
    if not _HEADER_NAME.fullmatch(name):
        raise RecordError(expected="header:NAME, printable ASCII without colon or space", found=repr(text))
    return Header(name)


def unescape(token: str) -> str:
    """RFC 6901 section 4: ~1 first, then ~0, so that ~01 becomes ~1."""
    return token.replace("~1", "/").replace("~0", "~")


def escape(key: str) -> str:
    """One key as a reference token."""
    return key.replace("~", "~0").replace("/", "~1")


def index_of(token: str) -> int | None:
    """The array index that a token is (RFC 6901, section 4): no leading zeros, no sign; None for any other."""
    return int(token) if _INDEX.fullmatch(token) else None


def resolve(document: Any, tokens: tuple[str, ...]) -> Any:
    """The value the tokens point to, or MISSING. Never raises."""
    value = document
    for token in tokens:
        if type(value) is dict:
            value = value.get(token, MISSING)
        elif type(value) is list and _INDEX.fullmatch(token) and int(token) < len(value):
            value = value[int(token)]
        else:
            return MISSING
    return value
