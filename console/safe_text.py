"""Text from outside, made visible: what does not print, or could pass for another character, stands as its code.

Two ids that look alike must not look alike here. Everything is cut at a length, so that a page stays
bounded whatever was sent. Pure.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

MAX_CHARACTERS = 4_000

# Controls, format characters (zero width, bidirectional), surrogates, private and unassigned code points, separators
# and marks that combine with the character before them: NFC and NFD of one word then differ to the eye.
HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Mn", "Me"})


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of text: `plain` as it is, or one character as its code."""

    text: str
    plain: bool


def text_of(raw: bytes) -> str:
    """Bytes as text; bytes that are not UTF-8 become lone surrogates, which `pieces` shows as \\xNN."""
    return raw.decode("utf-8", "surrogateescape")


def pieces(text: str, limit: int = MAX_CHARACTERS, lines: bool = False) -> Iterator[Piece]:
    """The text in pieces, at most `limit` characters of it, the rest counted. `lines` lets newlines through."""
    run: list[str] = []
    end = min(len(text), limit)
    for at in range(end):
        if _prints(text, at, lines):
            run.append(text[at])
            continue
        if run:
            yield Piece("".join(run), True)
            run = []
        yield Piece(code(text[at]), False)
    if run:
        yield Piece("".join(run), True)
    if len(text) > limit:
        yield Piece(f"… {len(text) - limit:,} more characters", False)


def plainly(text: str, limit: int = MAX_CHARACTERS) -> str:
    """The same as one string, for titles and attributes."""
    return "".join(piece.text for piece in pieces(text, limit))


def code(character: str) -> str:
    """How a character that is not shown is written: \\xNN for a byte, \\n \\t by name, \\uNNNN for the rest."""
    point = ord(character)
    if 0xDC80 <= point <= 0xDCFF:
        return f"\\x{point - 0xDC00:02X}"
    named = {"\n": "\\n", "\t": "\\t", "\r": "\\r", " ": "\\x20"}.get(character)
    if named:
        return named
    return f"\\u{point:04X}" if point <= 0xFFFF else f"\\U{point:08X}"


def _prints(text: str, at: int, lines: bool) -> bool:
    character = text[at]
    if character == " ":
        # A space at either end, or next to another one, is invisible and so decides nothing for the eye.
        return lines or (0 < at < len(text) - 1 and text[at - 1] != " ")
    if character == "\n":
        return lines
    category = unicodedata.category(character)
    return category not in HIDDEN and category != "Zs"
