"""compose.yaml and deploy/: the same stack with official images. No engine here, so what can be read is compared."""

import re
from typing import Any

import pytest
import yaml

from stack import ALL
from stack.kafka import PROPERTIES
from stack.place import PROJECT
from stack.postgres import LOGINS, ROLES

NOT_FOR_CONTAINERS = {"process.roles", "node.id", "controller.quorum.voters", "listeners", "advertised.listeners"}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    found = yaml.safe_load((PROJECT / "compose.yaml").read_text())
    assert isinstance(found, dict)
    return found


def test_compose_has_every_part(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == {*ALL, "migrate"}


def test_compose_publishes_on_loopback_only(compose: dict[str, Any]) -> None:
    published = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert published == ["127.0.0.1:8000:8000"]


def test_composes_broker_is_as_strict_as_the_embedded_one(compose: dict[str, Any]) -> None:
    given = compose["services"]["kafka"]["environment"]
    embedded = dict(line.split("=", 1) for line in PROPERTIES.splitlines())
    for key in (
        "auto.create.topics.enable",
        "transaction.partition.verification.enable",
        "group.initial.rebalance.delay.ms",
    ):
        assert str(given["KAFKA_" + key.upper().replace(".", "_")]) == embedded[key]
    replicated = [
        key for key in embedded if re.search(r"topic\.replication\.factor|log\.replication\.factor|min\.isr", key)
    ]
    assert replicated
    for key in replicated:
        assert str(given["KAFKA_" + key.upper().replace(".", "_")]) == "1", key


def test_workers_are_started_alike(compose: dict[str, Any]) -> None:
    for lane, concurrency in (("lanes", "2"), ("control", "2"), ("watch", "2")):
        words = compose["services"][lane]["command"]
        assert words[words.index("-Q") + 1] == lane
        assert words[words.index("--concurrency") + 1] == concurrency


def test_roles_sql_makes_the_roles_the_embedded_stack_makes() -> None:
    text = (PROJECT / "deploy" / "roles.sql").read_text()
    assert set(re.findall(r"CREATE ROLE (\w+) NOLOGIN", text)) == set(ROLES)
    made = dict(re.findall(r"CREATE ROLE (\w+) LOGIN .* IN ROLE (\w+);", text))
    assert made.items() <= LOGINS.items()
    source = (PROJECT / "stack" / "postgres.py").read_text()
    for grant in (
        "GRANT pg_signal_backend TO passgate_owner",
        "GRANT pg_monitor TO passgate_app",
        "REVOKE ALL ON DATABASE",
    ):
        assert grant in text
        assert grant in source


def test_no_file_names_a_registry() -> None:
    names = (
        "requirements.lock",
        "requirements-demo.lock",
        "requirements-test.lock",
        "kafka.lock",
        "pyproject.toml",
        ".ci/run",
        ".pre-commit-config.yaml",
    )
    for name in names:
        assert "://" not in (PROJECT / name).read_text(), name
