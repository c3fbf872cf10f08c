"""What a plan applies late: behind later events of the same Kafka key."""

from __future__ import annotations

from collections.abc import Iterator

from audit.core.phrases import be, count


def late_words(later: int) -> Iterator[str]:
    """For whoever looks at a preview; nothing where nothing is overtaken."""
    if later:
        yield f"{count(later, 'later event')} of the same Kafka keys {be(later)} applied already."
