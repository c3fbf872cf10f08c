"""Regular expressions of a contract's schemas: those that mean the same under every interpreter.

A pattern decides what becomes of a record, so it may lean on nothing that differs from one Python to the next: neither
on the Unicode tables behind `\\d`, `\\w`, `\\s`, `\\b` and (?i), which here know ASCII only (as ECMA 262, JSON Schema's
dialect, has `\\d` and `\\w`), nor on possessive quantifiers and atomic groups, which Python 3.11.2 misjudges. Pure.
"""

from __future__ import annotations

import re

from ingest.core.errors import RecordError

ASCII = "(?a)"
"""Begins every pattern that is used. `(?u)` and `(?L)` contradict it and are refused."""

_ESCAPED_OR_SET = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
_UNPORTABLE = re.compile(r"[*+?}]\+|\(\?>|\(\?[aimsx-]*[uL]")


def portable(pattern: str) -> str:
    """The pattern as it is used.

    Raises:
        RecordError: it is no regular expression, or not one that every Python reads alike.
    """
    if _UNPORTABLE.search(_ESCAPED_OR_SET.sub("x", pattern)):
        raise RecordError(
            expected="a pattern without possessive quantifiers, atomic groups and the flags u and L", found=pattern
        )
    try:
        re.compile(ASCII + pattern)
    except (re.error, ValueError, RecursionError, OverflowError) as error:
        raise RecordError(expected="a regular expression", found=pattern) from error
    return ASCII + pattern
