"""Projections: classes that turn events into rows for readers. What a class of one's own needs is imported from here.

Two come with Passgate. A contract may name one only if PASSGATE_PROJECTIONS lists it.
"""

from ingest.projections.base import (
    AppliedEvent,
    Joined,
    Pin,
    Projection,
    as_integer,
    as_number,
    as_text,
    fields,
)

__all__ = ["AppliedEvent", "Joined", "Pin", "Projection", "as_integer", "as_number", "as_text", "fields"]
