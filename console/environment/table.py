"""Every setting: its name, its form, what holds without it, what it means. docs/settings.md is written from here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from console.environment import forms
from console.environment.forms import Form

T = TypeVar("T")


@dataclass(frozen=True)
class Setting(Generic[T]):
    """One environment variable. `default` is a text of the form, read as one that a person wrote; None where the
    program makes the value. `standard` is what the documentation says in its place.
    """

    name: str
    form: Form[T]
    section: str
    meaning: str
    default: str | None = None
    standard: str = ""

    def documented_default(self) -> str:
        """For a cell of docs/settings.md."""
        return self.standard or (f"`{self.default}`" if self.default else "")


PARTS, KEEPING, CONSOLE, OWN = "parts", "keeping", "console", "of the program"
KAFKA_PREFIX = "PASSGATE_KAFKA_SET_"
KAFKA_MEANING = f"one librdkafka setting each, from an allow-list: `{KAFKA_PREFIX}SECURITY_PROTOCOL=SASL_SSL`"

# --- parts
DATABASE_URL = Setting(
    "DATABASE_URL", forms.database_address(), PARTS,
    "the application's login; every session runs as role `passgate_app`",
    "postgresql://passgate_app@127.0.0.1:5432/passgate", "the embedded PostgreSQL",
)  # fmt: skip
OWNER_URL = Setting(
    "PASSGATE_OWNER_URL", forms.database_address(), PARTS,
    "the login that runs migrations, as role `passgate_owner`", None, "`DATABASE_URL`",
)  # fmt: skip
KAFKA_BOOTSTRAP_SERVERS = Setting(
    "KAFKA_BOOTSTRAP_SERVERS", forms.brokers(), PARTS, "where Kafka is", "127.0.0.1:9092", "the embedded Kafka"
)
CELERY_BROKER_URL = Setting(
    "CELERY_BROKER_URL", forms.broker_of_permits(), PARTS,
    "the Celery broker", "redis://127.0.0.1:6379/0", "the embedded Valkey",
)  # fmt: skip
JAVA = Setting(
    "PASSGATE_JAVA", forms.plain_text("the path of a java program", 4096), PARTS,
    "a `java` of version 17 or newer for the embedded Kafka", None, "the packaged runtime",
)  # fmt: skip
KAFKA_HOME = Setting(
    "PASSGATE_KAFKA_HOME", forms.folder("the folder of an unpacked Kafka"), PARTS,
    "an unpacked Kafka distribution for the embedded Kafka", None, "resolved jars",
)  # fmt: skip
LANE_SLOTS = Setting(
    "PASSGATE_LANE_SLOTS", forms.whole_number(1, 1000), PARTS,
    "how many lane processes there are in all; as many permits are out while there is work", "2",
)  # fmt: skip
WORKER_MEMORY_MB = Setting(
    "PASSGATE_WORKER_MEMORY_MB", forms.whole_number(64, 1_048_576, or_zero="for no limit"), PARTS,
    "what one worker process may hold (RLIMIT_DATA; macOS does not bound what is mapped by it, so there it is not a "
    "limit you can count on); from half of it on it is replaced after its task",
    "2048",
)  # fmt: skip

# --- how long things are kept
KEEP_SAMPLES_HOURS = Setting(
    "PASSGATE_KEEP_SAMPLES_HOURS", forms.whole_number(1, 87_600), KEEPING,
    "samples of offsets, from which lanes' pages are drawn", "12",
)  # fmt: skip
KEEP_GATE_DECISIONS_DAYS = Setting(
    "PASSGATE_KEEP_GATE_DECISIONS_DAYS", forms.whole_number(7, 36_500, or_zero="for ever"), KEEPING,
    "the gate's answers, one row a question", "400",
)  # fmt: skip
KEEP_FOREIGN_BYTES_DAYS = Setting(
    "PASSGATE_KEEP_FOREIGN_BYTES_DAYS", forms.whole_number(7, 36_500, or_zero="for ever"), KEEPING,
    "key, value and headers of records on the bus that nobody of ours wrote; the row stays", "90",
)  # fmt: skip

# --- console and API
SECRET_KEY = Setting(
    "PASSGATE_SECRET_KEY", forms.secret("50 random characters or more"), CONSOLE,
    "signs sessions; secret. Outside of debug the web process does not start without it (`passgate.E001`)",
    None, "made by the embedded stack",
)  # fmt: skip
ALLOWED_HOSTS = Setting(
    "PASSGATE_ALLOWED_HOSTS", forms.host_names(), CONSOLE,
    "host names the console answers to", "127.0.0.1,localhost,[::1]", "loopback names",
)  # fmt: skip
TRUSTED_ORIGINS = Setting(
    "PASSGATE_TRUSTED_ORIGINS", forms.origins(), CONSOLE,
    "origins that may post forms, such as `https://passgate.example.com`", "",
)  # fmt: skip
HTTPS = Setting(
    "PASSGATE_HTTPS", forms.switch(), CONSOLE,
    "`__Host-` cookies that go over HTTPS only, HSTS for a year with subdomains, and a redirect of what comes without. "
    "Behind a proxy that says `X-Forwarded-Proto` from another machine, name that machine in gunicorn's "
    "`FORWARDED_ALLOW_IPS`",
    "off",
)  # fmt: skip
ENVIRONMENT = Setting(
    "PASSGATE_ENVIRONMENT", forms.plain_text("1 to 40 printable characters", 40), CONSOLE,
    "the name in the environment strip", "local",
)  # fmt: skip
DEBUG = Setting("PASSGATE_DEBUG", forms.switch(), CONSOLE, "Django's debug pages; never in production", "off")
_LEVELS = {level: level for level in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")}
LOG_LEVEL = Setting("PASSGATE_LOG_LEVEL", forms.one_of(_LEVELS), CONSOLE, "of the JSON lines on standard error", "INFO")
DATA = Setting("PASSGATE_DATA", forms.folder("a folder"), CONSOLE, "the data folder", None, "`.passgate/data`")
PROJECTIONS = Setting(
    "PASSGATE_PROJECTIONS", forms.classes(), CONSOLE, "projection classes a contract may name",
    "ingest.projections.weather:Weather,ingest.projections.flights:FlightsWithWeather", "the two of the demo",
)  # fmt: skip

# --- set by the program, and by tests, for processes of their own: no page says them
BOOTSTRAP = Setting("PASSGATE_BOOTSTRAP", forms.switch(), OWN, "off: this Python has all it needs", "on")
FAILPOINT = Setting("PASSGATE_FAILPOINT", forms.failpoints(), OWN, "docs/failpoints.md", "")

ALL: tuple[Setting[Any], ...] = (
    DATABASE_URL, OWNER_URL, KAFKA_BOOTSTRAP_SERVERS, CELERY_BROKER_URL, JAVA, KAFKA_HOME, LANE_SLOTS, WORKER_MEMORY_MB,
    KEEP_SAMPLES_HOURS, KEEP_GATE_DECISIONS_DAYS, KEEP_FOREIGN_BYTES_DAYS,
    SECRET_KEY, ALLOWED_HOSTS, TRUSTED_ORIGINS, HTTPS, ENVIRONMENT, DEBUG, LOG_LEVEL, DATA, PROJECTIONS,
    BOOTSTRAP, FAILPOINT,
)  # fmt: skip
SETTINGS: Mapping[str, Setting[Any]] = {setting.name: setting for setting in ALL}

#: Told from one process of ours to another, or to a test; no person sets them, and a wrong one is a fault of ours.
TOLD = frozenset(
    {
        *("PASSGATE_ADMIN_URL", "PASSGATE_AUDITOR_URL", "PASSGATE_READER_URL", "PASSGATE_URL"),
        *("PASSGATE_PROXIED_BOOTSTRAP_SERVERS", "PASSGATE_BENCH_PIDS", "PASSGATE_FAILED_CHECKS"),
        *("PASSGATE_MUTANTS_STACK", "PASSGATE_CHROMIUM", "PASSGATE_MODEL_SCHEDULES", "PASSGATE_JUDGING_SCHEDULES"),
        *("PASSGATE_OWNER_PASSWORD", "PASSGATE_APP_PASSWORD"),  # of compose.yaml
    }
)
OF_TESTS = "PASSGATE_TEST_"
