"""What a test does to the inbox's reader."""

from __future__ import annotations

from typing import Any

import pytest

from ingest.admit import AdmissionLane
from ingest.kafka import FetchResult, GapClaim
from tests.flow.world import Flow


def hide(patched: pytest.MonkeyPatch, flow: Flow, offset: int) -> None:
    """The lanes of this process claim a hole where the record at `offset` is."""
    real = AdmissionLane._read

    def lying(lane: AdmissionLane, *most: Any) -> FetchResult | None:
        chunk = real(lane, *most)
        if chunk is not None and lane.source.topic == flow.inbox:
            hidden = [r for r in chunk.records if r.offset == offset]
            chunk.records = [r for r in chunk.records if r.offset != offset]
            chunk.gaps += [
                GapClaim(offset, offset + 1, r.leader_epoch, "read_committed", "BETWEEN_RECORDS") for r in hidden
            ]
        return chunk

    patched.setattr(AdmissionLane, "_read", lying)
