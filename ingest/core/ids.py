"""Keys of the ledger's rows. Each is a type of its own, so that mypy refuses two of them in each other's place.

A row that comes from the database has no types: who reads it says which key it is, by the parameter that takes it.
"""

from typing import NewType

StreamId = NewType("StreamId", int)
RunId = NewType("RunId", int)
"""The key of a run's row, over all streams; it is part of the names and keys of what is partitioned by run."""
WindowId = NewType("WindowId", int)
SourceId = NewType("SourceId", int)
"""The key of a lane's source: one partition of one incarnation of a topic, or a door."""
BatchId = NewType("BatchId", int)
AttemptId = NewType("AttemptId", int)
