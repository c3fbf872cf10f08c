"""Why a lane stands still, and the act that ends it. Pure; docs/stuck.md shows the same table, held against this one.

A lane that meets an error writes its code down and rests; it then tries again by itself, so an act is always about the
reason and never about the lane. A lane that *waits* has met no error: something outside has to happen first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

OPERATE = "operate"
RECONCILE, SILENCE = "waits_for_reconcile", "waits_for_silence"
REPUBLISH, TRANSACTION = "waits_for_republish", "waits_for_transaction"
CONTEXT, FALLEN_CONTEXT = "waits_for_context", "waits_for_fresh_context"
#: Codes of lanes that wait. What each waits for is looked at before the lane is taken again (`work`, worker.sql), or
#: who brings it wakes the lane (audit/pins.py).
WAITS = frozenset({RECONCILE, SILENCE, REPUBLISH, TRANSACTION, CONTEXT, FALLEN_CONTEXT})


@dataclass(frozen=True, slots=True)
class Stop:
    """`text` is what is wrong; `act` ends it; `permission` is what that takes ("": nobody, the lane goes on itself)."""

    text: str
    act: str
    permission: str = OPERATE


_AGAIN = "wait: the lane tries again by itself"
_NEW_TOPIC = "open a new run: it starts on the topic that is there"
_OTHER_LOG = "open a new run: it goes on where the log is another one (a bus is to be created anew before)"

STOPS: Mapping[str, Stop] = {
    RECONCILE: Stop("a publish has no known outcome", "reconcile the publish", "reconcile"),
    SILENCE: Stop("a publish has no known outcome", "wait: the lane looks after reconcile.after of silence", ""),
    REPUBLISH: Stop(
        "a publish was proven absent, and its contract wants a plan before it is published again",
        "ask for a republish plan",
        "replay",
    ),
    TRANSACTION: Stop(
        "an open transaction on the bus hides whether a publish landed", "end the open transaction on the bus, or wait"
    ),
    CONTEXT: Stop(
        "what the window is joined with is pinned once it is cut, and is not there yet",
        "wait: the lane goes on once the context's window of that time has PASS",
        "",
    ),
    FALLEN_CONTEXT: Stop(
        "what the window is joined with is pinned once it is cut, and that has failed",
        "ask for a replay plan of the context's window, mode fresh",
        "replay",
    ),
    # --- Kafka
    "broker_unavailable": Stop("Kafka does not answer", "make Kafka reachable"),
    "broker_failed": Stop("Kafka refuses what the lane asks", "see what Kafka's log says about it"),
    "partition_fault": Stop("a partition cannot be read", "see what Kafka's log says about it"),
    "topic_gone": Stop("the topic or partition does not exist", _NEW_TOPIC, "open"),
    "topic_changed": Stop("the topic was deleted and created again", _NEW_TOPIC, "open"),
    "log_truncated": Stop("the log does not continue where the lane stood", _OTHER_LOG, "open"),
    "offset_out_of_range": Stop("the position is not in the log any more", "see who moved the log's start or end"),
    "offset_went_back": Stop("Kafka delivered offsets backwards", "see which broker answers for the partition"),
    "epoch_went_back": Stop("Kafka delivered a lower leader epoch", "see whether the topic was put back from a copy"),
    "log_put_back": Stop("the log does not hold what was received of it", _OTHER_LOG, "open"),
    "topic_incredible": Stop("Kafka describes the topic as it cannot be", "see which broker answers"),
    "poll_skip": Stop("a poll does not continue the position", _AGAIN, ""),
    # --- publishing
    "transactions_not_verified": Stop(
        "the brokers do not verify transactions", "set transaction.partition.verification.enable=true on every broker"
    ),
    "bus_compacts": Stop("the bus compacts", "set cleanup.policy=delete on the bus"),
    "bus_missing": Stop("the bus topic is not there", _NEW_TOPIC, "open"),
    "bus_too_small": Stop("the bus takes less than the contract admits", "raise the bus's max.message.bytes"),
    "bus_too_narrow": Stop(
        "the bus has fewer partitions than the contract", "add the missing partitions to the bus, then open a new run"
    ),
    "publish_unknown": Stop("the outcome of a publish is not known", _AGAIN, ""),
    "publish_not_sent": Stop("the producer refused a publish", _AGAIN, ""),
    "publish_refused": Stop("a publish cannot go on", _AGAIN, ""),
    "payload_gone": Stop(
        "an event to be published has no payload", "bring the payload back: the lane stands until then"
    ),
    # --- effects
    "projection_failed": Stop("the projection raised", "correct the projection and start the workers again"),
    "context_not_pinned": Stop("the window has no pin for the projection's context", "open a new run", "open"),
    "context_not_open": Stop(
        "the gate of the projection's context is not open", "wait until that gate is looked at again", ""
    ),
    "truth_unguarded": Stop(
        "readers would read a table of the projection past its gate", "call guard_truth_table() on it in a migration"
    ),
    "settings_invalid": Stop(
        "the settings do not allow what the contract names", "correct the settings and start the workers again"
    ),
    # --- the ledger
    "ledger_refused": Stop("the database refused the lane's write", "run passgate fsck and read the constraint's name"),
    "ledger_behind": Stop(
        "the ledger is older than what Kafka was told of it",
        "put the newest copy of the database back, or adopt this one by a plan",
    ),
    "row_never_there": Stop("a row that was just added is not there", _AGAIN, ""),
    "database_full": Stop("PostgreSQL has no room left", "make room on the database's disk"),
    "crowded": Stop("records dispute more payloads than one transaction compares", _AGAIN, ""),
    "contract_invalid": Stop("the stored contract cannot be read by this version", "run the version that stored it"),
    "word_not_known": Stop("the ledger has a word that this version does not know", "run the version that stored it"),
    "record_invalid": Stop("a value cannot be judged", "look into the worker's log"),
    "run_refused": Stop("the run is not as the lane needs it", _AGAIN, ""),
    "cut_pending": Stop("an earlier cut is not reached yet", _AGAIN, ""),
    "not_found": Stop("the ledger lacks what the lane looks for", "run passgate fsck"),
    "unexpected": Stop("the lane met an error that nobody has named", "look into the worker's log and report it"),
}

UNNAMED = Stop("the lane cannot go on", "look into the worker's log")


def stop_of(code: str) -> Stop:
    """The row of the table; a code of another version has a general one."""
    return STOPS.get(code, UNNAMED)


def why(code: str, detail: str = "") -> str:
    """The reason as a sentence's part: `bus_compacts: the bus topic compacts: expected …` without its next step."""
    said = detail.split("; next: ")[0].strip().splitlines()
    text = said[-1] if said else stop_of(code).text
    return f"{code}: {text[:_LONGEST]}"


_LONGEST = 200


def is_brief(code: str) -> bool:
    """The lane goes on by itself in seconds: no act of anybody is about that."""
    return code not in WAITS and not stop_of(code).permission


def waits_for(code: str) -> str:
    """What a waiting lane is said to do, the same words everywhere; "" for one that stopped."""
    return {
        RECONCILE: "waits for a person: reconcile",
        SILENCE: "waits for silence, then reconciles by itself",
        TRANSACTION: "waits for an open transaction on the bus, then looks by itself",
        REPUBLISH: "waits: proven absent, and not published again by its contract",
        CONTEXT: "waits for the context of a window that is cut, or is to be cut",
        FALLEN_CONTEXT: "waits for a fresh run in the place of a context's window that failed",
    }.get(code, "")
