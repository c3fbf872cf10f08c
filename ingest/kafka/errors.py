"""Named errors of Kafka, and which of the client's each is."""

from __future__ import annotations

from dataclasses import dataclass

from confluent_kafka import (
    KafkaError,
    KafkaException,
)

from ingest.core.errors import BrokerError
from ingest.core.outcome import Fault
from ingest.kafka.types import Partition


class BrokerUnavailable(BrokerError):
    """No answer in time. What was asked for is not measured."""

    code = "broker_unavailable"
    what = "Kafka did not answer"


class TopicGone(BrokerError):
    """The topic or partition does not exist (any more)."""

    code = "topic_gone"
    what = "the topic or partition does not exist"
    retry = False


class TopicChanged(BrokerError):
    """K5: deleted and created again, or another cluster's: offsets of the old one mean nothing in the new one."""

    code = "topic_changed"
    what = "the topic is not the one that was recorded"
    retry = False


class LogTruncated(BrokerError):
    """K6: the log was cut below our position, or the broker never had our leader epoch. Records may have been lost."""

    code = "log_truncated"
    what = "the log does not continue where we stood"
    retry = False


class OffsetOutOfRange(BrokerError):
    """K7: the position is not in the log: retention or delete-records moved its start, or its end went back."""

    code = "offset_out_of_range"
    what = "the position is not in the log"
    retry = False


class PartitionFault(BrokerError):
    """Anything else a fetch can answer: the partition stops until somebody looks."""

    code = "partition_fault"
    what = "the partition cannot be read"


class OffsetWentBack(BrokerError):
    """The broker delivered an offset below one it had already delivered."""

    code = "offset_went_back"
    what = "the broker delivered offsets backwards"
    retry = False


class EpochWentBack(BrokerError):
    """Within a log, leader epochs only rise: this is another log, or one that was put back."""

    code = "epoch_went_back"
    what = "the broker delivered a lower leader epoch at a higher offset"
    retry = False


class LogPutBack(BrokerError):
    """K6 where epochs do not tell: a whole broker that was put back from a copy gives its epochs and offsets again."""

    code = "log_put_back"
    what = "the log does not hold what was received of it"
    retry = False


class TopicIncredible(BrokerError):
    """A description of a topic that no cluster can truthfully give: no id, or a partition twice."""

    code = "topic_incredible"
    what = "what the broker says about the topic cannot be true"
    retry = False


@dataclass
class FaultLog:
    """The last error a client reported by callback, and whether it was fatal. Never raises into librdkafka.

    `away`: how often a broker was out of reach. What comes behind that may come from another log.
    """

    last: Fault | None = None
    fatal: Fault | None = None
    away: int = 0

    def note(self, error: KafkaError) -> None:
        self.last = fault_of(error)
        self.away += self.last.name in SILENT
        if error.fatal():
            self.fatal = self.last


def fault_of(error: KafkaError) -> Fault:
    return Fault(error.name(), error.str(), error.retriable(), error.fatal(), error.txn_requires_abort())


def fault_of_exception(raised: Exception) -> Fault:
    """Any exception of the client as a fault; TypeError and BufferError carry no KafkaError.

    A fatal error met while callbacks are served comes as SystemError with the KafkaException as its cause.
    """
    if isinstance(raised, SystemError) and isinstance(raised.__cause__, Exception):
        return fault_of_exception(raised.__cause__)
    if isinstance(raised, KafkaException) and raised.args and isinstance(raised.args[0], KafkaError):
        return fault_of(raised.args[0])
    return Fault(type(raised).__name__, str(raised))


_GONE = {"UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_TOPIC", "_UNKNOWN_PARTITION", "UNKNOWN_TOPIC_ID", "_NOENT"}
SILENT = {"_TIMED_OUT", "_TRANSPORT", "_ALL_BROKERS_DOWN", "_RESOLVE", "REQUEST_TIMED_OUT"}
# librdkafka's words for "not where you stood"; pinned by tests/kafka/test_truncation.py
_TRUNCATED = ("Partition log truncation detected", "No epoch found less or equal to offset")


def broker_error(fault: Fault) -> BrokerError:
    """A fault by its name: gone, silent, or whatever it says. `found` is the fault's name alone where code needs it."""
    if fault.name in _GONE:
        return TopicGone(found=fault.name, next_step="compare the topic id with the one recorded")
    if fault.name in SILENT:
        return BrokerUnavailable(found=fault.name, next_step="see whether the broker is up")
    return BrokerError(found=fault.name, next_step=fault.text)


def partition_error(fault: Fault, here: Partition, position: int) -> BrokerError:
    """A fetch's fault by name. `_AUTO_OFFSET_RESET` says by its text alone whether the log was cut or has moved on."""
    where = f"{here.topic}/{here.partition} at offset {position}"
    if any(words in fault.text for words in _TRUNCATED):
        return LogTruncated(expected=f"the log continues {where}", found=fault.text, next_step="compare the basis")
    if fault.name in {"_AUTO_OFFSET_RESET", "OFFSET_OUT_OF_RANGE"}:
        return OffsetOutOfRange(expected=f"the log holds {where}", found=fault.text, next_step="compare the basis")
    if fault.name in _GONE:
        return TopicGone(expected=where, found=fault.name, next_step="compare the topic id with the one recorded")
    return PartitionFault(expected=f"records of {where}", found=f"{fault.name}: {fault.text}")
