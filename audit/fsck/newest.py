"""Whether this ledger is the newest one, or an older copy that was put back: Kafka was told how far it was."""

from __future__ import annotations

from collections.abc import Iterator

from audit import capture as look
from audit.core.finding import BlindSpot, Finding, Said
from audit.fsck.looking import Check, Scope
from ingest.behind import newer_generation
from ingest.core.errors import BrokerError
from ingest.core.ids import StreamId
from ingest.models import Stream


def _newest(scope: Scope) -> Iterator[Said]:
    streams = Stream.objects.all() if scope.stream is None else Stream.objects.filter(name=scope.stream)
    for stream in streams.order_by("id").iterator():
        try:
            found = newer_generation(StreamId(stream.id), look.admin())
        except BrokerError as error:
            yield BlindSpot(f"whether {stream.name} is of the newest copy", str(error))
            return  # Kafka is away: it would not tell of the others, either
        if found:
            yield Finding("LEDGER", stream.name, f"an older copy of the database was put back: {found}")


CHECKS = (Check("newest", "LEDGER", _newest),)
