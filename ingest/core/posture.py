"""What a topic promises, and whether that will do: pure. The keys are Kafka's, the values its own text.

*Unfit* is what cannot work: opening a run refuses it, and so does the publish lane. *Worse* and *better* compare two
measurements: a promise that was broken is drift, one that grew is welcome.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from ingest.core.contract.shape import Limits

#: What must be known of a topic before a window stands on it.
NEEDED = (
    "cleanup.policy", "max.message.bytes", "message.timestamp.type", "min.insync.replicas", "replication.factor",
    "retention.bytes", "retention.ms", "unclean.leader.election.enable",
)  # fmt: skip
#: Our own headers and the record's frame.
OVERHEAD_BYTES = 1024


@dataclass(frozen=True, slots=True)
class TopicFault:
    """One reason why a topic cannot be used."""

    expected: str
    found: str
    next_step: str


def unmeasured(posture: Mapping[str, str] | None) -> list[str]:
    """The keys that were not answered, or "the posture" where nothing was."""
    if posture is None:
        return ["the posture"]
    return [key for key in NEEDED if key not in posture]


def unfit_inbox(posture: Mapping[str, str]) -> TopicFault | None:
    """A log that compacts forgets records that nobody has read, and leaves holes that look like any other."""
    return _compacts(posture)


def unfit_bus(posture: Mapping[str, str], limits: Limits) -> TopicFault | None:
    """A bus must keep what was published, take what the contract admits, and be writable at all."""
    return _compacts(posture) or _too_small(posture, limits) or _unwritable(posture)


def largest_record(limits: Limits) -> int:
    """Bytes of the largest record the contract admits: value, key, headers (bounded like the value), and our own."""
    return 2 * limits.value_bytes + limits.key_bytes + OVERHEAD_BYTES


def _compacts(posture: Mapping[str, str]) -> TopicFault | None:
    policy = posture.get("cleanup.policy", "")
    if "compact" not in policy:
        return None
    return TopicFault("cleanup.policy=delete", policy, "use a topic that does not compact")


def _too_small(posture: Mapping[str, str], limits: Limits) -> TopicFault | None:
    most, largest = _number(posture.get("max.message.bytes")), largest_record(limits)
    if most is None or most >= largest:
        return None
    return TopicFault(
        f"max.message.bytes of at least {largest:,}", f"{most:,}", "raise it, or lower the contract's [limits]"
    )


def _unwritable(posture: Mapping[str, str]) -> TopicFault | None:
    """Every write would be refused, and every attempt end as unknown."""
    wanted, there = (_number(posture.get(key)) for key in ("min.insync.replicas", "replication.factor"))
    if wanted is None or there is None or wanted <= there:
        return None
    return TopicFault(f"min.insync.replicas of at most {there}", str(wanted), "lower it, or add replicas")


# ---- which way a change goes ----------------------------------------------------------------------------------------


class Change(StrEnum):
    SAME = "SAME"
    BETTER = "BETTER"  # it promises all that it promised before, and more
    WORSE = "WORSE"  # something that a window stood on is promised no more
    UNKNOWN = "UNKNOWN"  # one of the two was not measured


_UNLIMITED = "-1"
_MORE_IS_BETTER = frozenset({"max.message.bytes", "min.insync.replicas", "replication.factor"})
_LONGER_IS_BETTER = frozenset({"retention.bytes", "retention.ms"})
_BEST = {"message.timestamp.type": "LogAppendTime", "unclean.leader.election.enable": "false"}
#: How many brokers answer says nothing of what a topic promises: one restarts, and comes back.
_NO_PROMISE = frozenset({"brokers"})


def changes(was: Mapping[str, str], is_: Mapping[str, str]) -> dict[str, Change]:
    """By key, what has changed, in the keys' order; what is the same is left out."""
    keys = sorted({*was, *is_} - _NO_PROMISE)
    found = {key: change(key, was.get(key), is_.get(key)) for key in keys}
    return {key: way for key, way in found.items() if way is not Change.SAME}


def change(key: str, was: str | None, is_: str | None) -> Change:
    """Which way one setting went. What is not understood is worse: nobody knows what it takes away."""
    if was == is_ or key in _NO_PROMISE:
        return Change.SAME
    if was is None or is_ is None:
        return Change.UNKNOWN
    return Change.BETTER if _better(key, was, is_) else Change.WORSE


def _better(key: str, was: str, is_: str) -> bool:
    if key == "cleanup.policy":
        return "compact" not in is_ and "compact" in was
    if key in _BEST:
        return is_ == _BEST[key]
    if key in _LONGER_IS_BETTER and _UNLIMITED in (was, is_):
        return is_ == _UNLIMITED
    before, after = _number(was), _number(is_)
    if key in _MORE_IS_BETTER | _LONGER_IS_BETTER and before is not None and after is not None:
        return after > before
    return False


def improved(was: Mapping[str, str], is_: Mapping[str, str]) -> Mapping[str, str] | None:
    """`was` with what got better; None where nothing did. What got worse stays as it was, so that it still shows."""
    better = {key: is_[key] for key, way in changes(was, is_).items() if way is Change.BETTER}
    return {**was, **better} if better else None


def _number(text: str | None) -> int | None:
    try:
        return None if text is None else int(text)
    except ValueError:
        return None
