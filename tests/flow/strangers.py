"""What another client of the same cluster does to a stream's topics."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import confluent_kafka as ck

from tests.flow.world import Flow


@contextmanager
def strangers_transaction(flow: Flow, value: bytes) -> Iterator[Callable[[], None]]:
    """Open on the inbox's partition 0 with one record in it; calling what it gives commits it."""
    settings = {"bootstrap.servers": flow.cluster.bootstrap, "transactional.id": f"stranger-{flow.name}"}
    producer = ck.Producer(settings)
    producer.init_transactions(20)
    producer.begin_transaction()
    producer.produce(flow.inbox, value, b"k", 0)
    producer.flush(20)
    done = []

    def commit() -> None:
        done.append(True)
        producer.commit_transaction(20)

    yield commit
    if not done:
        commit()
