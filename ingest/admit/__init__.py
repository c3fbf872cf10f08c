"""Admission: the records of an inbox become receipts, events and quarantine items, in one transaction a batch.

`lane` reads a partition of an inbox, `http` is the door for requests; both write through `lane.Admission`. `read_ahead`
understands what comes next while the server stores, `group_commit` lets requests that came at once share a transaction.
"""

from ingest.admit.lane import KEPT_BYTES, AdmissionLane, AdmissionTransaction, BatchResult, TooManyDisputed, admit

__all__ = ["KEPT_BYTES", "AdmissionTransaction", "AdmissionLane", "BatchResult", "TooManyDisputed", "admit"]
