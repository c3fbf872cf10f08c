"""Django settings. Everything a person sets comes from the environment, read by the table in console/environment.

A text that cannot be read is its default here and refused a moment later, when a process starts (console.environment).

Sections: where things are, the parts (database, broker of permits, Kafka), apps, pages and their security, logs.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from csp.constants import NONE, SELF

from console.environment import ReadEnvironment, table

BASE_DIR = Path(__file__).resolve().parent.parent
reading = ReadEnvironment(os.environ)


def database(url: str, role: str) -> dict[str, Any]:
    """A postgresql:// URL as Django wants it; every session of it runs as `role`."""
    parts = urlsplit(url)
    options: dict[str, Any] = dict(parse_qsl(parts.query))
    # A session that says nothing in mid-transaction for as long as a lease lasts belongs to a process that is frozen or
    # cut off: its transaction ends, and with it the locks that its successor waits for
    options["options"] = f"-c role={role} -c idle_in_transaction_session_timeout=30s"
    options["application_name"] = "passgate"
    options.setdefault("connect_timeout", 5)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": str(parts.port or ""),
        "OPTIONS": options,
        "CONN_MAX_AGE": 600,
        "CONN_HEALTH_CHECKS": True,
    }


# --- where things are
PASSGATE_DATA = reading.given(table.DATA) or BASE_DIR / ".passgate" / "data"
PASSGATE_ENVIRONMENT = reading(table.ENVIRONMENT)

# --- the parts
DATABASE_URL = reading(table.DATABASE_URL)
PASSGATE_OWNER_URL = reading.given(table.OWNER_URL) or DATABASE_URL
# `owner` runs migrations and nothing else; routing is by name (migrate --database owner)
DATABASES = {
    "default": database(DATABASE_URL, "passgate_app"),
    "owner": database(PASSGATE_OWNER_URL, "passgate_owner"),
}
DATABASES["owner"]["TEST"] = {"MIRROR": "default"}
KAFKA_BOOTSTRAP_SERVERS = reading(table.KAFKA_BOOTSTRAP_SERVERS)
PASSGATE_KAFKA = reading.kafka()
CELERY_BROKER_URL = reading(table.CELERY_BROKER_URL)

# A contract cannot name code freely: a projection's class must stand here
PASSGATE_PROJECTIONS = reading(table.PROJECTIONS)

# --- apps
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "rest_framework",
    "drf_spectacular",
    "knox",
    "csp",
    "django_htmx",
    "template_partials",
    "ingest",
    "audit",
    "plans",
    "console",
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
ROOT_URLCONF = "console.urls"
WSGI_APPLICATION = "console.wsgi.application"
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
USE_I18N = False

# --- pages and their security
DEBUG = reading(table.DEBUG)
# Everybody can read this key; the web process refuses it (console.checks)
PUBLIC_KEY = "not-secret: only for commands that sign nothing"
SECRET_KEY = reading.given(table.SECRET_KEY) or PUBLIC_KEY
ALLOWED_HOSTS = reading(table.ALLOWED_HOSTS)
CSRF_TRUSTED_ORIGINS = reading(table.TRUSTED_ORIGINS)
CSRF_FAILURE_VIEW = "console.pages.frame.problems.csrf_failed"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
HTTPS = reading(table.HTTPS)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
if HTTPS:
    # A browser takes __Host- cookies from this host alone, over HTTPS, for the whole of it: no neighbour plants one
    SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "__Host-sessionid", "__Host-csrftoken"
# gunicorn believes X-Forwarded-Proto from its own machine, or from FORWARDED_ALLOW_IPS: so a proxy's request is secure
SECURE_SSL_REDIRECT = HTTPS
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SILENCED_SYSTEM_CHECKS = ["security.W021"]  # a preload list names a whole domain: not ours to sign it up
SESSION_COOKIE_AGE = 12 * 3600
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
LOGIN_URL = "/sign-in/"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/sign-in/"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "console.csp.PolicyMiddleware",
    "console.middleware.BodyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]
STATIC_URL = "/static/"
# assets ship with the package and are served from there: nothing is collected
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG
DATA_UPLOAD_MAX_MEMORY_SIZE = 2_621_440
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2_000

# --- API
REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "knox.auth.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "console.api.problems.as_problem",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Passgate",
    "VERSION": "v1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    # enumerations stay where they are used: taken out, several called `state` would get names made of digests
    "POSTPROCESSING_HOOKS": [],
}
REST_KNOX: dict[str, Any] = {"TOKEN_TTL": None}

# --- permits
# How many lane processes there are in all: so many permits are out while there is work
PASSGATE_LANE_SLOTS = reading(table.LANE_SLOTS)
# How long is kept what no verdict stands on (docs/settings.md). 0 days: for ever
PASSGATE_KEEP_SAMPLES_HOURS = reading(table.KEEP_SAMPLES_HOURS)
PASSGATE_KEEP_GATE_DECISIONS_DAYS = reading(table.KEEP_GATE_DECISIONS_DAYS)
PASSGATE_KEEP_FOREIGN_BYTES_DAYS = reading(table.KEEP_FOREIGN_BYTES_DAYS)
# What one worker process may hold; from half of it on a process is replaced after its task. 0: no limit
PASSGATE_WORKER_MEMORY_MB = reading(table.WORKER_MEMORY_MB)
CELERY: dict[str, Any] = {
    "broker_url": CELERY_BROKER_URL,
    "broker_connection_retry_on_startup": True,
    "broker_transport_options": {"visibility_timeout": 600},
    "task_ignore_result": True,
    "task_acks_late": True,
    "task_reject_on_worker_lost": True,
    "worker_prefetch_multiplier": 1,
    "worker_max_memory_per_child": PASSGATE_WORKER_MEMORY_MB * 512 or None,  # KiB
    "task_time_limit": 120,
    "task_default_queue": "control",
    # What must go on while a verdict is being counted has a queue, and processes, of its own
    "task_routes": {"passgate.slice": {"queue": "lanes"}}
    | {f"passgate.{task}": {"queue": "watch"} for task in ("sample", "dispatch", "enforce", "go_on")},
    "worker_hijack_root_logger": False,
    "timezone": "UTC",
    "beat_schedule": {
        "sample": {"task": "passgate.sample", "schedule": 2.0, "options": {"expires": 10}},
        "dispatch": {"task": "passgate.dispatch", "schedule": 2.0, "options": {"expires": 10}},
        "go_on": {"task": "passgate.go_on", "schedule": 1.0, "options": {"expires": 5}},
        "close": {"task": "passgate.close", "schedule": 2.0, "options": {"expires": 10}},
        "plans": {"task": "passgate.plans", "schedule": 2.0, "options": {"expires": 10}},
        "forget": {"task": "passgate.forget", "schedule": 600.0, "options": {"expires": 300}},
        "enforce": {"task": "passgate.enforce", "schedule": 5.0, "options": {"expires": 10}},
        "refusals": {"task": "passgate.refusals", "schedule": 10.0, "options": {"expires": 10}},
    },
    "beat_schedule_filename": str(PASSGATE_DATA / "celerybeat-schedule"),
}

# --- logs: one line of JSON a record, control characters escaped by JSON itself
LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "console.logs.formatter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["stderr"], "level": reading(table.LOG_LEVEL)},
    "loggers": {
        "django.server": {"level": "WARNING"},
        "celery.worker.strategy": {"level": "WARNING"},
        "celery.app.trace": {"level": "WARNING"},
        "celery.beat": {"level": "WARNING"},
    },
}
