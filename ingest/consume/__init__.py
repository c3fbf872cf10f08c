"""Consuming: a record of the bus becomes the effect of its event, once, and the rows that readers read of it.

`lane` reads a partition of the bus, `transaction` makes effects durable, `attempt_cache` remembers of attempts what
never changes. `mending` is a plan's step: it writes again what went missing.
"""

from ingest.consume.lane import EffectsLane
from ingest.consume.transaction import BusBatchResult, consume

__all__ = ["BusBatchResult", "EffectsLane", "consume"]
