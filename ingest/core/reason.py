"""What became of a record, why, and what else is worth knowing. Numbers are stored and never change their meaning."""

from __future__ import annotations

from enum import IntEnum, IntFlag


class Decision(IntEnum):
    """What became of a record."""

    ADMITTED = 1
    """New identity: an event of this run."""
    DUPLICATE = 2
    """Known identity, same event."""
    QUARANTINED = 3
    """Kept for a person; takes no identity."""


class Reason(IntEnum):
    """Why a record was QUARANTINED. Numbers are stored in receipts and never change their meaning."""

    NONE = 0
    """Admitted or duplicate: nothing to explain."""
    NOT_JSON = 1
    """The value is not JSON (RFC 8259)."""
    NOT_UTF8 = 2
    """The value is not UTF-8; no other encoding is looked for."""
    BOM = 3
    """The value begins with a byte order mark."""
    EMPTY = 4
    """The value has no bytes, or white space only."""
    NOT_OBJECT = 5
    """The value is JSON, but not an object."""
    TRAILING = 6
    """Something stands behind the end of the object."""
    DUPLICATE_KEY = 7
    """An object names one key twice."""
    TOO_DEEP = 8
    """Nested deeper than limits.depth."""
    NUMBER_RANGE = 9
    """NaN, Infinity, a number no double can hold, or an integer beyond 64 bits."""
    NUL = 10
    """A NUL character, raw or as \\u0000."""
    SURROGATE = 11
    """Half of a surrogate pair."""
    TOMBSTONE = 12
    """The record has no value at all (Kafka null)."""
    TOO_LARGE = 20
    """The value is larger than limits.value_bytes."""
    KEY_TOO_LARGE = 21
    """The key is larger than limits.key_bytes."""
    TOO_MANY_HEADERS = 22
    """More headers than limits.headers."""
    HEADERS_TOO_LARGE = 23
    """The headers together are larger than limits.value_bytes."""
    ID_TOO_LARGE = 24
    """The id's parts together are larger than limits.id_bytes."""
    NO_CLASS = 30
    """The place named by [class] is not there."""
    UNKNOWN_CLASS = 31
    """No [event.*] of the contract matches the class; where it lists none, no CloudEvents type could say it."""
    NO_ID = 32
    """A part of the id is not there."""
    ID_TYPE = 33
    """A part of the id is neither a string nor an integer."""
    SCHEMA = 34
    """The event does not satisfy its class's schema."""
    BAD_RUN = 35
    """The run the record names is not a usable run name."""
    HEADER_ANOMALY = 40
    """One of the headers we read is repeated, has no value, or is not UTF-8."""
    NO_CONTENT_TYPE = 41
    """Neither a structured nor a binary CloudEvent."""
    CONTENT_TYPE = 42
    """The content type, or its charset, is not one we read."""
    CLOUDEVENTS = 43
    """The CloudEvents envelope breaks the specification."""
    PAYLOAD_MISMATCH = 50
    """Known identity, other payload: the first one stands."""
    OTHER_RUN = 51
    """The record names a run that is not the open one."""
    LATE = 52
    """The record names a run that is closed."""


class Flag(IntFlag):
    """Things worth knowing about a record that are no reason to refuse it."""

    NONE = 0
    NO_KEY = 1
    """The record has no key (Kafka null)."""
    EMPTY_KEY = 2
    """The key has no bytes."""
    NULL_HEADER = 4
    """A header without a value."""
    REPEATED_HEADER = 8
    """A header of somebody else's is repeated."""
    EMPTY_HEADER_NAME = 16
    """A header with an empty name."""
    HEADER_NOT_UTF8 = 32
    """A header of somebody else's whose value is not UTF-8."""
    INEXACT_NUMBER = 64
    """An integer above 2^53 or a decimal no double holds exactly: kept exactly here, rounded by others."""
    RESERIALISED = 128
    """A DUPLICATE whose bytes differ from the first one's, though canonically (RFC 8785) it is the same event."""
    FIRST_ERASED = 256
    """A mismatch by digest only: the first payload's bytes are no longer kept."""
    LOOKED_BACK = 512
    """The event is the run's before: the receipt's identity is the one under that run's name."""
