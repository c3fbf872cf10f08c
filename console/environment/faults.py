"""What is wrong with an environment: texts without the form of their setting, and names that are no setting."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, TypeVar

from console.environment.forms import Unreadable
from console.environment.table import ALL, KAFKA_PREFIX, OF_TESTS, OWN, SETTINGS, TOLD, Setting
from ingest.core.client_settings import ALLOWED_SETTINGS

T = TypeVar("T")
BAD_VALUE, BAD_KAFKA_NAME, UNKNOWN_NAME = "passgate.E002", "passgate.E003", "passgate.W001"
PREFIX = "PASSGATE_"
PEOPLES = [setting.name for setting in ALL if setting.section != OWN]


@dataclass(frozen=True)
class Fault:
    """One setting that cannot be used: its key, what was found, what to write, and the id of Django's check for it."""

    key: str
    found: str
    write: str
    id: str = BAD_VALUE

    def __str__(self) -> str:
        return f"{self.key}: found {self.found}; write {self.write} ({self.id})"


@dataclass(frozen=True)
class UnknownSetting:
    """A name that looks like a setting of ours and is none; `near` is the one that it may have been meant to be."""

    name: str
    near: str

    def __str__(self) -> str:
        meant = f": did you mean {self.near}?" if self.near else "; docs/settings.md has them all."
        return f"{self.name} is no setting of Passgate{meant}"


class ReadEnvironment:
    """The typed values of an environment. One that cannot be read is its default, and a fault."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def __call__(self, setting: Setting[T]) -> T:
        """Its value. Raises KeyError where nothing is set and the setting has no default: ask `given` for these."""
        value = self.given(setting)
        if value is not None:
            return value
        if setting.default is None:
            raise KeyError(setting.name)
        return setting.form.read(setting.default)

    def given(self, setting: Setting[T]) -> T | None:
        """What a person set, or None; a text that is not usable is None, too."""
        try:
            return self.checked(setting)
        except Unreadable:
            return None

    def checked(self, setting: Setting[T]) -> T | None:
        """The same; raises Unreadable for a text that is not usable."""
        text = self._environment.get(setting.name, "").strip()
        if not text and not (setting.form.empty and setting.name in self._environment):
            return None
        return setting.form.read(text)

    def kafka(self) -> dict[str, str]:
        """What is set for the Kafka client, by librdkafka's names."""
        return {_kafka_name(key): text for key, text in self._environment.items() if key.startswith(KAFKA_PREFIX)}


def faults(environment: Mapping[str, str]) -> list[Fault]:
    """Every setting that cannot be used, in the order of the table."""
    reading = ReadEnvironment(environment)
    found = [fault for setting in ALL if (fault := _fault(reading, setting))]
    refused = sorted(
        key for key in environment if key.startswith(KAFKA_PREFIX) and _kafka_name(key) not in ALLOWED_SETTINGS
    )
    return found + [Fault(key, "a name that is not on the list", _instead(key), BAD_KAFKA_NAME) for key in refused]


def _fault(reading: ReadEnvironment, setting: Setting[Any]) -> Fault | None:
    try:
        reading.checked(setting)
    except Unreadable as error:
        return Fault(setting.name, error.found, setting.form.write)
    return None


def unknown(environment: Mapping[str, str]) -> list[UnknownSetting]:
    """Names that begin as ours do and are none, in alphabetical order. A typing mistake leaves a default in force."""
    names = sorted(name for name in environment if name.startswith(PREFIX) and not _is_known(name))
    return [UnknownSetting(name, _nearest(name, PEOPLES, PREFIX)) for name in names]


def _is_known(name: str) -> bool:
    return name in SETTINGS or name in TOLD or name.startswith((KAFKA_PREFIX, OF_TESTS))


def _nearest(name: str, among: Iterable[str], prefix: str) -> str:
    """By what stands behind the prefix, which all names have and which would make any two of them alike."""
    ends = {each.removeprefix(prefix): each for each in among}
    return next((ends[end] for end in get_close_matches(name.removeprefix(prefix), ends, n=1, cutoff=0.75)), "")


def _kafka_name(key: str) -> str:
    return key.removeprefix(KAFKA_PREFIX).lower().replace("_", ".")


def _instead(key: str) -> str:
    names = sorted(KAFKA_PREFIX + name.upper().replace(".", "_") for name in ALLOWED_SETTINGS)
    near = _nearest(key, names, KAFKA_PREFIX)
    return near or f"one of {', '.join(names)}"
