"""What an installation calls itself in Kafka: its consumer groups, and the mark on its commits. Pure.

Two installations on one cluster may have a stream of the same name: each has groups of its own, and knows its commits.
"""

from __future__ import annotations

from uuid import UUID


def group_of(install: UUID | str, stream: str) -> str:
    """The group whose committed offsets other tools watch."""
    return f"passgate.{install}.{stream}"


def mark_of(install: UUID | str) -> str:
    """The metadata beside each offset that our lanes commit: nobody else writes it."""
    return f"passgate {install}"


def ledger_group_of(install: UUID | str) -> str:
    """The group that is told how far the ledger is, which an older copy of the database does not know."""
    return f"passgate.{install}:ledger"
