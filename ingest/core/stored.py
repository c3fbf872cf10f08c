"""Words of the ledger that this version may not know, for a later one wrote them.

Whoever reads them shows what is stored, does nothing by it, and takes it for nothing good.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, TypeVar

from ingest.core.errors import PassgateError

W = TypeVar("W", bound=Enum)


class WordNotKnown(PassgateError):
    """The ledger has a word that this version does not know: what depends on it cannot be judged here."""

    code = "word_not_known"
    what = "the ledger has a word that this version does not know"


def known(words: type[W], stored: Any) -> W | None:
    """The member that a stored word, or number, stands for; None where this version does not know it."""
    try:
        return words(stored)
    except ValueError:
        return None


def word(words: type[W], stored: Any) -> W:
    """The same for what nothing can be done without. Raises WordNotKnown."""
    member = known(words, stored)
    if member is not None:
        return member
    raise WordNotKnown(
        expected=f"one of {', '.join(str(each.name) for each in words)}",
        found=str(stored)[:100],
        next_step="run the version that stored it",
    )


def name_of(words: type[W], stored: Any, what: str) -> str:
    """A stored number by name; one that this version does not know keeps its number: "reason 99"."""
    member = known(words, stored)
    return f"{what} {stored}" if member is None else member.name
