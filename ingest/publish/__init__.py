"""Publishing: admitted events go to the bus, a transaction of Kafka an attempt, in offset order, one attempt at a time.

`lane` sends and writes down what is known of it, `attempts` are the statements that it and `reconcile` make about an
attempt; `reconcile` finds out on the bus what became of one whose outcome nobody knows.
"""

from ingest.publish.lane import AttemptNotSent, AttemptUnknown, PublishLane
from ingest.publish.reconcile import AttemptOver, request, request_run

__all__ = ["AttemptNotSent", "AttemptOver", "AttemptUnknown", "PublishLane", "request", "request_run"]
