"""Each setting: texts that it takes, and texts that it refuses with its key, what was found and what to write."""

from __future__ import annotations

from typing import Any

import pytest

from console.environment import ReadEnvironment, faults, table, unknown
from console.environment.table import ALL, KAFKA_PREFIX, OWN

SECRET = "geheim"  # noqa: S105 - it must never be said

#: By setting: texts and the values that they stand for.
GOOD: dict[str, dict[str, Any]] = {
    "DATABASE_URL": {
        "postgresql://u:p%40ss@db.example.com:5433/passgate?sslmode=require": "same",
        "postgres://u@[::1]/passgate": "same",
        "postgresql:///passgate": "same",
    },
    "PASSGATE_OWNER_URL": {"postgresql://o@h/passgate": "same"},
    "KAFKA_BOOTSTRAP_SERVERS": {
        "kafka:9092": "same",
        "a.example.com:9092, b.example.com:9093": "same",
        "[::1]:9092": "same",
        "SASL_SSL://kafka": "same",
    },
    "CELERY_BROKER_URL": {
        "redis://:p@h:6379/0": "same",
        "rediss://h/1": "same",
        "redis+socket:///run/valkey.sock": "same",
        "sentinel://a:26379;sentinel://b:26379": "same",
    },
    "PASSGATE_JAVA": {"/opt/java/bin/java": "same"},
    "PASSGATE_LANE_SLOTS": {"1": 1, " 12 ": 12, "1000": 1000},
    "PASSGATE_WORKER_MEMORY_MB": {"0": 0, "64": 64, "4096": 4096},
    "PASSGATE_KEEP_SAMPLES_HOURS": {"1": 1, "48": 48},
    "PASSGATE_KEEP_GATE_DECISIONS_DAYS": {"0": 0, "7": 7},
    "PASSGATE_KEEP_FOREIGN_BYTES_DAYS": {"0": 0, "7": 7},
    "PASSGATE_SECRET_KEY": {"any text at all": "same"},
    "PASSGATE_ALLOWED_HOSTS": {
        "a.example.com, [::1]": ["a.example.com", "[::1]"],
        "": [],
        "*": ["*"],
        ".a.b": [".a.b"],
    },
    "PASSGATE_TRUSTED_ORIGINS": {"https://a.b,https://*.c.d:8443": ["https://a.b", "https://*.c.d:8443"], "": []},
    "PASSGATE_HTTPS": {"on": True, "TRUE": True, "1": True, "yes": True, "off": False, "0": False, "No": False},
    "PASSGATE_DEBUG": {"1": True, "false": False},
    "PASSGATE_ENVIRONMENT": {"production": "same", "Büro 2": "same"},
    "PASSGATE_LOG_LEVEL": {"debug": "DEBUG", "ERROR": "ERROR"},
    "PASSGATE_PROJECTIONS": {"a.b:C, d:E_1": ("a.b:C", "d:E_1"), "": ()},
    "PASSGATE_BOOTSTRAP": {"off": False},
    "PASSGATE_FAILPOINT": {"admit.after_commit:2:STOP,b": "same", "": ""},
}

#: By setting: texts, and what is said to be found.
BAD: dict[str, dict[str, str]] = {
    "DATABASE_URL": {
        f"mysql://u:{SECRET}@h/x": "an address that begins with mysql://",
        f"{SECRET}": "a text that begins with no scheme and ://",
        f"u:{SECRET}@h/x": "a text that begins with no scheme and ://",
        f"postgresql://u:a/{SECRET}@h/x": "an address whose host or port cannot be read",
        f"postgresql://u:{SECRET}@h:99999/x": "an address whose host or port cannot be read",
        f"postgresql://u:{SECRET}@[h/x": "an address whose host or port cannot be read",
        f"postgresql://u:{SECRET}@h:0/x": "an address with port 0",
        f"postgresql://u:{SECRET}@h": "an address that names no database",
        f"postgresql://u:{SECRET}@h/": "an address that names no database",
    },
    "PASSGATE_OWNER_URL": {f"sqlite:///{SECRET}": "an address that begins with sqlite://"},
    "KAFKA_BOOTSTRAP_SERVERS": {
        "a:9092,b:0": "'b:0'",
        "a:99999": "'a:99999'",
        "a:b": "'a:b'",
        "a b": "'a b'",
        ",": "''",
        f"u:{SECRET}@h:1": "a text with an @ in it, which is not shown",
    },
    "CELERY_BROKER_URL": {
        f"amqp://u:{SECRET}@h": "an address that begins with amqp://",
        f"redis://h;valkey://:{SECRET}@h": "an address that begins with valkey://",
        f"redis://:{SECRET}@h:x/0": "an address whose host or port cannot be read",
        "127.0.0.1:6379": "a text that begins with no scheme and ://",
    },
    "PASSGATE_JAVA": {"a\nb": "a text with characters that do not print"},
    "PASSGATE_KAFKA_HOME": {__file__: "which is no folder"},
    "PASSGATE_LANE_SLOTS": {
        "abc": "'abc'", "0": "0", "-1": "'-1'", "1001": "1001", "2.5": "'2.5'", "1_0": "'1_0'", "٣": r"'\u0663'",
    },
    "PASSGATE_WORKER_MEMORY_MB": {"63": "63", "2g": "'2g'"},
    "PASSGATE_KEEP_SAMPLES_HOURS": {"0": "0", "12h": "'12h'"},
    "PASSGATE_KEEP_GATE_DECISIONS_DAYS": {"6": "6", "ever": "'ever'"},
    "PASSGATE_KEEP_FOREIGN_BYTES_DAYS": {"6": "6", "x" * 61: "'" + "x" * 60 + "...'"},
    "PASSGATE_ALLOWED_HOSTS": {"https://a.b": "'https://a.b'", "a.b:8000": "'a.b:8000'", "a b": "'a b'"},
    "PASSGATE_TRUSTED_ORIGINS": {"a.b": "'a.b'", "https://a.b/x": "'https://a.b/x'", "ftp://a.b": "'ftp://a.b'"},
    "PASSGATE_HTTPS": {"maybe": "'maybe'", "2": "'2'"},
    "PASSGATE_DEBUG": {"ture": "'ture'"},
    "PASSGATE_ENVIRONMENT": {"x" * 41: "41 characters", "a\tb": "a text with characters that do not print"},
    "PASSGATE_LOG_LEVEL": {"LOUD": "'LOUD'"},
    "PASSGATE_DATA": {__file__: "which is no folder"},
    "PASSGATE_PROJECTIONS": {"a.b.C": "'a.b.C'", "a:1": "'a:1'"},
    "PASSGATE_BOOTSTRAP": {"of": "'of'"},
    "PASSGATE_FAILPOINT": {"a:b": "'a:b'", "a:1:TERM": "'a:1:TERM'"},
}  # fmt: skip
CANNOT_BE_WRONG = {"PASSGATE_SECRET_KEY"}
NEEDS_A_FOLDER = {"PASSGATE_KAFKA_HOME", "PASSGATE_DATA"}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name in GOOD for text in GOOD[name]])
def test_what_a_setting_takes(name: str, text: str) -> None:
    value = GOOD[name][text]
    assert faults({name: text}) == []
    assert ReadEnvironment({name: text})(table.SETTINGS[name]) == (text if value == "same" else value)


@pytest.mark.parametrize(("name", "text"), [(name, text) for name in BAD for text in BAD[name]])
def test_what_a_setting_refuses(name: str, text: str) -> None:
    (fault,) = faults({name: text})
    assert (fault.key, fault.id) == (name, "passgate.E002")
    assert BAD[name][text] in fault.found
    assert fault.write == table.SETTINGS[name].form.write
    assert SECRET not in str(fault)


def test_every_setting_is_tried_with_a_wrong_text_and_a_right_one() -> None:
    assert set(BAD) == set(table.SETTINGS) - CANNOT_BE_WRONG
    assert set(GOOD) == set(table.SETTINGS) - NEEDS_A_FOLDER


@pytest.mark.parametrize("name", sorted(NEEDS_A_FOLDER))
def test_a_folder_need_not_be_there_yet(name: str, tmp_path: Any) -> None:
    for folder in (tmp_path, tmp_path / "later"):
        assert faults({name: str(folder)}) == []
        assert ReadEnvironment({name: str(folder)}).given(table.SETTINGS[name]) == folder


def test_every_default_has_its_form() -> None:
    for setting in ALL:
        if setting.default is not None:
            setting.form.read(setting.default)


@pytest.mark.parametrize("text", ["", "  "])
def test_an_empty_text_is_a_setting_that_is_not_set(text: str) -> None:
    assert ReadEnvironment({"PASSGATE_LANE_SLOTS": text})(table.LANE_SLOTS) == 2
    assert faults(dict.fromkeys(table.SETTINGS, text)) == []


def test_a_text_that_cannot_be_read_leaves_the_default_and_a_fault() -> None:
    environment = {"PASSGATE_LANE_SLOTS": "abc", "PASSGATE_OWNER_URL": "x"}
    assert ReadEnvironment(environment)(table.LANE_SLOTS) == 2
    assert ReadEnvironment(environment).given(table.OWNER_URL) is None
    assert [fault.key for fault in faults(environment)] == ["PASSGATE_OWNER_URL", "PASSGATE_LANE_SLOTS"]


def test_a_setting_of_the_kafka_client_is_on_the_list() -> None:
    good = {KAFKA_PREFIX + "SASL_PASSWORD": SECRET, KAFKA_PREFIX + "SECURITY_PROTOCOL": "SASL_SSL"}
    assert faults(good) == []
    assert ReadEnvironment(good).kafka() == {"sasl.password": SECRET, "security.protocol": "SASL_SSL"}


@pytest.mark.parametrize(
    ("name", "write"),
    [("SASL_PASSWROD", f"{KAFKA_PREFIX}SASL_PASSWORD"), ("PLUGIN_LIBRARY_PATHS", f"one of {KAFKA_PREFIX}")],
)
def test_one_that_is_not_is_a_fault_that_names_the_nearest(name: str, write: str) -> None:
    (fault,) = faults({KAFKA_PREFIX + name: SECRET})
    assert (fault.key, fault.id) == (KAFKA_PREFIX + name, "passgate.E003")
    assert fault.write.startswith(write)
    assert SECRET not in str(fault)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("PASSGATE_LANE_SLOT", "PASSGATE_LANE_SLOTS"),
        ("PASSGATE_HTPS", "PASSGATE_HTTPS"),
        ("PASSGATE_ZEBRA", ""),
        ("PASSGATE_DATABASE_URL", "DATABASE_URL"),
    ],
)
def test_an_unknown_name_is_told_with_the_nearest_known(name: str, near: str) -> None:
    (found,) = unknown({name: SECRET, "PASSGATE_TEST_PROGRESS": "1", "PASSGATE_LANE_SLOTS": "2", "OTHERS": "x"})
    assert (found.name, found.near) == (name, near)
    assert (f"did you mean {near}?" in str(found)) == bool(near)
    assert SECRET not in str(found)


def test_no_name_that_people_do_not_set_is_proposed() -> None:
    for setting in ALL:
        if setting.section == OWN:
            (found,) = unknown({setting.name + "X": ""})
            assert found.near != setting.name
