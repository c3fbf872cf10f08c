"""What a finding's code means, in one sentence. docs/invariants.md says how each is looked at, and what holds it."""

from __future__ import annotations

from collections.abc import Mapping

#: Where a person finds more about a finding.
PAGE = "docs/invariants.md"

INVARIANTS: Mapping[str, str] = {
    "I1": "every ACKED event has one place on the bus, and the record there has its digest",
    "I2": "an identity has one effect",
    "I3": "effects are the events that were consumed, no more and no fewer, and so is what readers read",
    "I4": "Kafka's commit of ours ≤ position ≤ the log's end",
    "I5": "a position moves only together with a batch or a gap, in one transaction",
    "I6": "nothing leaves UNKNOWN without a look made after a newer fence",
    "I7": "what was proven ABSENT never appears",
    "I8": "a PASS is true: no unknown publish, no open item beyond the contract, everything accounted for",
    "I9": "what was written does not change, and every digest can be computed again",
    "I10": "nobody reads without a live PASS of the same basis",
    "I11": "whoever asks for a plan does not approve it",
    "I12": "quarantine never changes the first payload, and keeps the other as it came",
    "I13": "two owners never commit for one source under one fence",
    "I14": "receipts are what an independent reader is given",
    "REFS": "rows refer to rows that are there",
    "SUMS": "counts are the counts of what they count",
    "AUDIT": "the audit log is a chain, and acts and their rows agree",
    "LEDGER": "this ledger is the newest there was",
}
