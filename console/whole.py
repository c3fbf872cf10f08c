"""Whole numbers as people and programs write them in paths, queries and forms. The only place that reads them.

`str.isdigit` is true of "²" and of digits of other scripts, and a number may be longer than any column.
"""

from __future__ import annotations

LARGEST = 2**63 - 1
"""What a bigint column holds."""

_DIGITS = 19


def whole(text: str, most: int = LARGEST) -> int | None:
    """The number that `text` is: ASCII digits and nothing else, at most `most`; else None."""
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        return None
    number = int(text)
    return number if number <= most else None


class WholeConverter:
    """A whole number in a path. What fits no bigint names nothing: such a path is not there."""

    regex = f"[0-9]{{1,{_DIGITS}}}"

    def to_python(self, value: str) -> int:
        number = whole(value)
        if number is None:
            raise ValueError(value)
        return number

    def to_url(self, value: int) -> str:
        return str(value)
