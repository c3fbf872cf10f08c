"""Freezes a broker again and again under everything the product asks a Kafka client; counts processes that died of it.

    python -m tests.kafka.freezes 100

Each child does one kind of work in a loop; what is asked may fail as often as it likes, the process may not end, and
must have its answers again once the broker goes on.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ingest.core.errors import PassgateError
from ingest.kafka import Admin, BusMessage, Cluster, Partition, PartitionReader, Start, TransactionalProducer
from stack import Stack
from stack.place import PROJECT

TOPIC = "frozen"
#: How long a child may take to be answered again.
PATIENCE = 60.0


def main(times: int, say: Callable[[str], None] = print) -> list[str]:
    """Everything that went wrong: processes that died, and such as got no more answers."""
    found: list[str] = []
    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder) / "data", parts=("kafka",)) as stack:
        bootstrap = stack.env()["KAFKA_BOOTSTRAP_SERVERS"]
        Admin(Cluster.of(bootstrap)).create_topic(TOPIC, 2, 1)
        children = {kind: _Child(kind, bootstrap) for kind in WORK}
        for number in range(times):
            time.sleep(random.uniform(0.5, 2.0))  # noqa: S311 - to meet the clients at different work
            seconds = random.uniform(4.0, 9.0)  # noqa: S311
            stack.freeze("kafka")
            time.sleep(seconds)
            stack.thaw("kafka")
            new = [fault for child in children.values() for fault in child.look()]
            found += [f"freeze {number}, {seconds:.1f} s: {fault}" for fault in new]
            say(f"freeze {number}, {seconds:.1f} s: {', '.join(new) or 'no fault'}")
        for child in children.values():
            child.end()
    return found


class _Child:
    def __init__(self, kind: str, bootstrap: str) -> None:
        self.kind = kind
        self._argv = [sys.executable, "-m", "tests.kafka.freezes", kind, bootstrap]
        self._begin()

    def _begin(self) -> None:
        self._process = subprocess.Popen(
            self._argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=PROJECT
        )
        self._answered = threading.Event()
        threading.Thread(target=self._listen, args=(self._process,), daemon=True).start()

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for _ in process.stdout:
            self._answered.set()

    def look(self) -> list[str]:
        """Waits for an answer that came after now."""
        self._answered.clear()
        until = time.monotonic() + PATIENCE
        while not self._answered.wait(0.2) and self._process.poll() is None and time.monotonic() < until:
            pass
        if self._process.poll() is not None:
            fault = f"{self.kind} ended with {self._process.returncode}"
            self._begin()
            return [fault]
        return [] if self._answered.is_set() else [f"{self.kind} got no answer for {PATIENCE:g} s"]

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


# ---- in the child ---------------------------------------------------------------------------------------------------


def _gate(cluster: Cluster) -> Callable[[], object]:
    asked = Admin(cluster, 2.0)

    def look() -> object:
        asked.cluster_id()
        asked.topics([TOPIC, "none-such"])
        with PartitionReader(cluster) as reader:
            reader.assign([Start(TOPIC, 0, 0, 0)])
            reader.read(10, 0.2)
        return asked.ends(TOPIC, [0, 1])[0].hw

    return look


def _measuring(cluster: Cluster) -> Callable[[], object]:
    asked = Admin(cluster, 2.0)
    return lambda: asked.posture(TOPIC) and asked.verifies_transactions() and asked.committed("g", TOPIC, [0])


def _closing(cluster: Cluster) -> Callable[[], object]:
    """A client that is let go of in the middle of its questions."""

    def look() -> object:
        asked = Admin(cluster, 0.5)
        return asked.brokers() and asked.ends(TOPIC, [0, 1])[0].hw

    return look


def _lane(cluster: Cluster) -> Callable[[], object]:
    at = [0]

    def turn() -> object:
        reader = PartitionReader(cluster, group="g")
        try:
            reader.assign([Start(TOPIC, 0, at[0], None)])
            chunk = reader.read(1000, 1.0).get(Partition(TOPIC, 0))
            at[0] = chunk.next_offset if chunk else at[0]
            reader.commit({Partition(TOPIC, 0): (at[0], None)})
            return chunk
        finally:
            reader.close()

    return turn


def _telling(cluster: Cluster) -> Callable[[], object]:
    asked, told = Admin(cluster, 2.0), [0]

    def tell() -> object:
        asked.tell("ledger", {Partition(TOPIC, 0): told[0] + 1}, "ours")
        found = asked.told("ledger", [Partition(TOPIC, 0)], "ours") or 0
        answered, told[0] = found > told[0], max(found, told[0])
        return answered

    return tell


def _publishing(cluster: Cluster) -> Callable[[], object]:
    made: list[TransactionalProducer] = []

    def send() -> object:
        if not made or made[0].dead:
            made[:] = [TransactionalProducer(cluster, "frozen", delivery_timeout=5.0)]
            made[0].init(10.0)
        return made[0].send(TOPIC, [BusMessage(0, b"k", b"v", [])]).kind == "ACKED"

    return send


WORK = {
    "gate": _gate,
    "measuring": _measuring,
    "closing": _closing,
    "lane": _lane,
    "telling": _telling,
    "publishing": _publishing,
}


def work(kind: str, bootstrap: str) -> None:
    once = WORK[kind](Cluster.of(bootstrap))
    while True:
        with suppress(PassgateError):
            if once():
                print("answered", flush=True)  # noqa: T201 - what the parent waits for
        time.sleep(0.02)


if __name__ == "__main__":
    if sys.argv[1] in WORK:
        work(*sys.argv[1:])
    faults = main(int(sys.argv[1]))
    print(f"{sys.argv[1]} freezes, {len(faults)} faults", *faults, sep="\n")  # noqa: T201
    sys.exit(bool(faults))
