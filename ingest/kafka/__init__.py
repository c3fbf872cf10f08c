"""Kafka as this project uses it: the one package that imports confluent_kafka.

Everything here is typed, bounded in time, and says "not measured" as None. The numbers K1 to K12 are the facts these
wrappers stand on; tests/kafka pins each on a real broker.
"""

from ingest.kafka.admin import MOST_MEMBERS, POSTURE, VERIFICATION, Admin
from ingest.kafka.append_time import FirstAppend, first_appends
from ingest.kafka.cluster import Cluster
from ingest.kafka.commit import set_commits
from ingest.kafka.errors import (
    BrokerUnavailable,
    EpochWentBack,
    FaultLog,
    LogPutBack,
    LogTruncated,
    OffsetOutOfRange,
    OffsetWentBack,
    PartitionFault,
    TopicChanged,
    TopicGone,
    TopicIncredible,
    fault_of,
)
from ingest.kafka.log_walk import LoggedRecord, LogWalk, Piece
from ingest.kafka.producer import BusMessage, BusMessages, PlainProducer, TransactionalProducer, partitions_for
from ingest.kafka.reader import PartitionReader, probe_epoch
from ingest.kafka.types import (
    READ_COMMITTED,
    READ_UNCOMMITTED,
    Clock,
    CommittedOffset,
    FetchResult,
    GapClaim,
    Headers,
    LogEnds,
    OffsetFacts,
    Partition,
    Record,
    SentHeaders,
    Start,
    TopicFacts,
)

__all__ = [
    "Admin",
    "BrokerUnavailable",
    "BusMessage",
    "BusMessages",
    "FetchResult",
    "FirstAppend",
    "Clock",
    "Cluster",
    "CommittedOffset",
    "EpochWentBack",
    "FaultLog",
    "GapClaim",
    "Headers",
    "LogEnds",
    "LogPutBack",
    "LogTruncated",
    "LogWalk",
    "LoggedRecord",
    "MOST_MEMBERS",
    "OffsetFacts",
    "OffsetOutOfRange",
    "OffsetWentBack",
    "POSTURE",
    "Partition",
    "PartitionFault",
    "PartitionReader",
    "Piece",
    "PlainProducer",
    "READ_COMMITTED",
    "READ_UNCOMMITTED",
    "Record",
    "SentHeaders",
    "Start",
    "TopicChanged",
    "TopicFacts",
    "TopicGone",
    "TopicIncredible",
    "TransactionalProducer",
    "VERIFICATION",
    "fault_of",
    "first_appends",
    "partitions_for",
    "probe_epoch",
    "set_commits",
]
