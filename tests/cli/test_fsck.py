"""`passgate fsck`: a finding has a code, and who reads it is told what the code means and where more of it stands."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from audit.fsck.invariants import INVARIANTS, PAGE
from tests.database.cheats.frame import SUPERUSER, Cheat, playing

if TYPE_CHECKING:
    from tests.cli.typed import Typed
    from tests.flow.world import Flow

Passgate = Callable[..., "Typed"]

AHEAD = Cheat(
    "Kafka's commit is ahead",
    "INSERT INTO sample (source_id, log_start, lso, hw, kafka_committed, committed_state)"
    " VALUES (%(inbox)s, 0, 8, 8, 9000, 'COMMITTED')",
    found="samples",
    by=SUPERUSER,
)


def test_a_findings_code_is_explained(passgate: Passgate, flow: Flow) -> None:
    flow.open()
    with playing(AHEAD, {"inbox": flow.sources()[0]}):
        answer = passgate(f"fsck {flow.name} --ledger-only")
        document = passgate(f"fsck {flow.name} --ledger-only --json").json
    assert answer.code == 1
    assert f"I4 is that {INVARIANTS['I4']}: {PAGE}" in answer.out.splitlines()
    assert "I5 is that" not in answer.out
    assert document["invariants"] == {"I4": INVARIANTS["I4"]}
