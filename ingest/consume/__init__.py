"""Consuming: a record of the bus becomes the effect of its event, once, and the rows that readers read of it."""

from ingest.consume.lane import Consumed, EffectsLane, consume

__all__ = ["Consumed", "EffectsLane", "consume"]
