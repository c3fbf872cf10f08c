"""Which characters may stand in a name that people choose. Written down here, because an interpreter's own tables grow.

str.isprintable() of one Python refuses what the next one takes: a run that opens on one machine would not on another.
Unassigned code points are taken, as nobody knows yet what they will be. Pure.
"""

from __future__ import annotations

import re

_HIDDEN = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # controls
    "\xa0\u1680\u2000-\u200a\u202f\u205f\u3000"  # spaces that look like another one
    "\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e"  # format characters: zero width, bidirectional
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e007f"
    "\ud800-\udfff"  # halves of pairs
    "\ue000-\uf8ff\U000f0000-\U0010ffff"  # private use, and what is no character
    "\ufdd0-\ufdef\ufffe\uffff"
    "]"
)


def is_printable(text: str) -> bool:
    """Whether all of it shows; the only space that does is U+0020."""
    return _HIDDEN.search(text) is None
