"""Where Kafka is and how clients are set up.

Settings a person may give are an allow-list, because librdkafka's settings can run programs and read files.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ingest.core.client_settings import ALLOWED_SETTINGS
from ingest.core.errors import SettingsError
from ingest.kafka.errors import FaultLog
from ingest.kafka.types import Clock


class _RepeatFilter(logging.Filter):
    """At most one line per kind and 10 s: librdkafka says 20 lines a second while a broker is away."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._last: dict[object, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        kind = record.args[0] if isinstance(record.args, tuple) and record.args else record.msg
        now = self._clock()
        if now - self._last.get(kind, -1e9) < 10:
            return False
        self._last[kind] = now
        return True


log = logging.getLogger("ingest.kafka")
_client_log = logging.getLogger("ingest.kafka.client")
_client_log.addFilter(_RepeatFilter())


@dataclass(frozen=True)
class Cluster:
    """Which cluster, and what a person set for it. `of` refuses what is not on the allow-list."""

    bootstrap: str
    settings: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, bootstrap: str, settings: Mapping[str, str] | None = None) -> Cluster:
        given = dict(settings or {})
        refused = sorted(set(given) - ALLOWED_SETTINGS)
        if refused:
            raise SettingsError(
                expected=f"Kafka settings among {', '.join(sorted(ALLOWED_SETTINGS))}",
                found=", ".join(refused),
                next_step="remove them from PASSGATE_KAFKA_SET_*",
            )
        return cls(bootstrap, given)

    @classmethod
    def from_settings(cls) -> Cluster:
        """The cluster of the Django settings."""
        from django.conf import settings

        return cls.of(settings.KAFKA_BOOTSTRAP_SERVERS, settings.PASSGATE_KAFKA)

    def config(self, faults: FaultLog, **own: Any) -> dict[str, Any]:
        """librdkafka's configuration; ours wins over a person's. Underscores in `own` are dots."""
        return {
            **self.settings,
            "bootstrap.servers": self.bootstrap,
            "allow.auto.create.topics": False,
            "reconnect.backoff.ms": 100,
            "reconnect.backoff.max.ms": 2000,
            "log_level": 4,
            "error_cb": faults.note,  # without one a fatal error is raised out of poll(), even as SystemError
            "logger": _client_log,  # else librdkafka writes to stderr
            **{name.replace("_", "."): value for name, value in own.items()},
        }
