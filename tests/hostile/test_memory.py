"""Workers live under a memory limit, and the largest input there is fits below it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest
from django.conf import settings

from ingest.admit import KEPT_BYTES
from ingest.kafka import BusMessage
from stack import Stack
from tests.flow.world import Flow
from tests.hostile.sent import JSON
from tests.hostile.table import inside, thing
from tests.hostile.wire import Raw, produce

LARGE = int(os.environ.get("PASSGATE_TEST_FLOOD", "240"))
"""Records of 256 KB; 2,000 of them take a few minutes."""
_BIG = 262_144


def flood() -> list[BusMessage]:
    """Everything that is large in its own way. Packed by the producer, so that little is sent and much comes out."""
    sound = [thing(f"large {n}", x="v" * (_BIG - 100)) for n in range(LARGE // 2)]
    other = [thing(f"large {n}", x="v" * (_BIG - 101) + "w") for n in range(LARGE // 2)]
    small = [thing(f"large {n}") for n in range(LARGE // 2)]  # a few bytes each, which dispute the large ones
    deep = b'{"type":"thing","id":"deep","x":' + b"[" * 130_000
    digits = inside("digits", b'"x":' + b"7" * 140_000)
    many, one = [("", b"")] * 99_000, [("h", b"v" * 900_000)]
    return [
        *(_message(value) for value in (*sound, *other)),
        *(_message(value) for value in [deep, digits, b"v" * 900_000] * 10),
        *[_message(b"{}", b"k" * 900_000)] * 20,
        *[_message(b"{}", headers=one), _message(b"{}", headers=many)] * 20,
        *(_message(value) for value in small),
        _message(thing("good")),
    ]


def _message(value: bytes, key: bytes = b"k", headers: Sequence[tuple[str, bytes]] = ()) -> BusMessage:
    return BusMessage(0, key, value, list(headers))


@pytest.mark.slow
@pytest.mark.skipif(
    not Path("/proc/self/limits").exists(),
    reason="wants Linux: reads /proc, and only there does a limit bound what is mapped",
)
def test_a_flood_of_the_largest_records_is_decided_below_the_limit(live: Stack, services: Stack) -> None:
    flow = Flow(contract=JSON)
    sent = flow.producer.send(flow.inbox, flood(), timeout=120)
    wanted = len(sent)
    assert all(report.fault is None for report in sent)
    before = len(services.log("lanes").read_text(errors="replace"))
    flow.open()
    peak = _watch(services, flow, wanted)
    decisions = flow.decisions()
    assert decisions[-1] == "ADMITTED"
    assert (len(decisions), decisions.count("ADMITTED")) == (wanted, LARGE // 2 + 1)
    assert "DUPLICATE" not in decisions
    assert not re.search("exited with|SIGABRT|MemoryError|WorkerLost", services.log("lanes").read_text()[before:])
    limit = settings.PASSGATE_WORKER_MEMORY_MB
    print(json.dumps({"records": wanted, "peak_rss_mb": peak[0], "peak_data_mb": peak[1], "limit_mb": limit}))
    assert peak[1] < limit
    flow.check()


def _watch(services: Stack, flow: Flow, wanted: int) -> tuple[int, int]:
    """Waits until every record has a receipt; the largest resident set and data size of a child meanwhile, in MB."""
    peak = (0, 0)
    until = time.monotonic() + 280
    while len(flow.receipts()) < wanted:
        assert time.monotonic() < until, f"{len(flow.receipts())} of {wanted}"
        for child in _children(services):
            held = _held(child)
            peak = (max(peak[0], held[0]), max(peak[1], held[1]))
        time.sleep(0.2)
    return peak


def _children(services: Stack) -> list[int]:
    return [child.pid for child in psutil.Process(services.pids("lanes")[0]).children()]


def _held(pid: int) -> tuple[int, int]:
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0, 0
    found = dict(re.findall(r"^(VmHWM|VmData):\s+(\d+) kB", text, re.MULTILINE))
    return int(found.get("VmHWM", 0)) // 1024, int(found.get("VmData", 0)) // 1024


@pytest.mark.skipif(
    not Path("/proc/self/limits").exists(),
    reason="wants Linux: reads /proc, and only there does a limit bound what is mapped",
)
def test_every_worker_process_has_the_limit(live: Stack, services: Stack) -> None:
    limit = settings.PASSGATE_WORKER_MEMORY_MB * 1024 * 1024
    for part in ("lanes", "control", "watch"):
        leader = psutil.Process(services.pids(part)[0])
        assert leader.children()
        for child in leader.children():
            (line,) = re.findall(r"^Max data size .*$", Path(f"/proc/{child.pid}/limits").read_text(), re.MULTILINE)
            assert line.split()[3:5] == [str(limit), str(limit)]


MANY_CLIENTS = """
import re
import django
django.setup()
from console.celery import bound_memory
from confluent_kafka import Consumer
from ingest.worker import MOST_LANES
from ingest.kafka import MOST_MEMBERS
bound_memory()
many = 3 * MOST_LANES + 2 * MOST_MEMBERS
config = {"bootstrap.servers": "127.0.0.1:1", "log_level": 0}
clients = [Consumer(config | {"group.id": f"g{n}"}) for n in range(many)]
print(re.search(r"VmData:\\s+(\\d+) kB", open("/proc/self/status").read())[1], flush=True)
import os; os._exit(0)
"""


@pytest.mark.skipif(
    not Path("/proc/self/limits").exists(),
    reason="wants Linux: reads /proc, and only there does a limit bound what is mapped",
)
def test_a_worker_may_have_all_its_kafka_clients_below_half_the_limit() -> None:
    """Stacks of 8 MB a thread count: the process was ended by librdkafka, which could not make another."""
    done = subprocess.run([sys.executable, "-c", MANY_CLIENTS], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) / 1024 < settings.PASSGATE_WORKER_MEMORY_MB / 2


def test_what_a_packed_batch_blows_up_is_set_aside_and_its_beginning_kept(
    live: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """50 kB on the wire, 50 MB unpacked. PostgreSQL refuses values of some 250 MB, and then nothing would go on."""
    flow = Flow(contract=JSON)
    flow.open()
    monkeypatch.setattr("ingest.worker.IDLE_SECONDS", 6.0)  # unpacking takes its time
    size = 50_000_000
    produce(settings.KAFKA_BOOTSTRAP_SERVERS, flow.inbox, [Raw(b" " * size, b"k")], packed=True)
    produce(settings.KAFKA_BOOTSTRAP_SERVERS, flow.inbox, [Raw(thing("good"), b"k")])
    flow.work("admission", seconds=10.0)
    assert flow.decisions() == ["QUARANTINED", "ADMITTED"]
    (item,) = flow.rows(
        "SELECT q.detail, q.payload_digest, octet_length(q.value) AS kept FROM quarantine_item q"
        " JOIN source c ON c.id = q.source_id JOIN stream s ON s.id = c.stream_id WHERE s.name = %(name)s"
    )
    assert item.kept == KEPT_BYTES
    assert item.detail.endswith("the first 33,554,432 bytes are kept")
    assert bytes(item.payload_digest) == hashlib.sha256(b" " * size).digest()
    flow.check()
