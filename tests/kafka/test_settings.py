"""What a person may set for the client, and how a client away from its broker behaves."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.core.client_settings import ALLOWED_SETTINGS
from ingest.core.errors import SettingsError
from ingest.core.partition import partition_for
from ingest.kafka import Admin, BrokerUnavailable, Cluster, FaultLog, partitions_for
from ingest.kafka.cluster import _RepeatFilter


@given(st.lists(st.one_of(st.none(), st.binary(max_size=40))), st.integers(1, 1000))
def test_the_clients_murmur2_puts_keys_where_ours_does(keys: list[bytes | None], partitions: int) -> None:
    identities = [bytes([n % 256]) * 32 for n in range(len(keys))]
    expected = [partition_for(key, identity, partitions) for key, identity in zip(keys, identities, strict=True)]
    assert partitions_for(keys, identities, partitions) == expected


@pytest.mark.parametrize(
    "name",
    [
        "sasl.kerberos.kinit.cmd",
        "plugin.library.paths",
        "ssl.engine.location",
        "ssl.ca.location",
        "sasl.oauthbearer.token.endpoint.url",
        "debug",
        "bootstrap.servers",
        "isolation.level",
    ],
)
def test_settings_that_run_programs_read_files_or_are_ours_are_refused(name: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Cluster.of("127.0.0.1:9", {name: "x"})
    assert refused.value.found == name


def test_ours_win_over_a_persons_settings() -> None:
    config = Cluster.of("127.0.0.1:9", {"client.id": "mine"}).config(FaultLog(), isolation_level="read_committed")
    assert config["client.id"] == "mine"
    assert config["isolation.level"] == "read_committed"
    assert config["allow.auto.create.topics"] is False
    assert not any(name.endswith(".location") for name in ALLOWED_SETTINGS)


def test_a_line_of_one_kind_is_said_once_in_ten_seconds() -> None:
    now = [100.0]
    quiet = _RepeatFilter(lambda: now[0])
    line = logging.LogRecord("x", 40, "", 0, "%s [%s] %s", ("FAIL", "rdkafka#1", "refused"), None)
    assert quiet.filter(line)
    assert not quiet.filter(line)
    now[0] = 111.0
    assert quiet.filter(line)


def test_no_broker_is_a_named_error_in_time_and_nothing_is_written_to_stderr() -> None:
    code = (
        "from ingest.kafka import *\n"
        "import logging; logging.disable(logging.CRITICAL)\n"
        "admin = Admin(Cluster.of('127.0.0.1:9'), timeout=0.5)\n"
        "for _ in range(2):\n"
        "    try: admin.topics(['x'])\n"
        "    except BrokerUnavailable as error: print(error.code)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=30)
    assert done.stdout.split() == ["broker_unavailable"] * 2
    assert done.stderr == ""


def test_offsets_of_an_absent_broker_are_not_measured() -> None:
    ends = Admin(Cluster.of("127.0.0.1:9"), timeout=0.3).ends("x", [0])
    assert ends[0].hw is None
    with pytest.raises(BrokerUnavailable):
        Admin(Cluster.of("127.0.0.1:9"), timeout=0.3).cluster_id()
