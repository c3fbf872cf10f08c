"""The Celery app. A task is a permit: it carries no arguments and decides nothing (DESIGN 11)."""

import os
import resource
import time
from datetime import UTC, datetime, timedelta

from celery import Celery
from celery.schedules import schedule
from celery.signals import worker_process_init

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")

app = Celery("passgate")
app.config_from_object("django.conf:settings", namespace=None)

_BEGAN = datetime.now(UTC) - timedelta(seconds=time.monotonic())


def steady() -> datetime:
    """Now, by a clock that does not step: beat would rest for the hour that a machine's clock was set back by."""
    return _BEGAN + timedelta(seconds=time.monotonic())


def configure(celery: Celery) -> None:
    from django.conf import settings

    celery.conf.update(settings.CELERY)
    celery.conf.beat_scheduler = "celery.beat:Scheduler"  # its memory on disk would carry a clock's step over a restart
    celery.conf.beat_schedule = {
        name: entry | {"schedule": schedule(entry["schedule"], nowfun=steady)}
        for name, entry in settings.CELERY["beat_schedule"].items()
    }


configure(app)
app.autodiscover_tasks(["console"])


@worker_process_init.connect
def bound_memory(**_: object) -> None:
    """A child that wants more dies and is replaced; the machine, and everybody else on it, goes on.

    Everything a lane holds is bounded (docs/hostile-input.md); this is for what a library does with input.
    """
    from django.conf import settings

    limit = settings.PASSGATE_WORKER_MEMORY_MB * 1024 * 1024
    if limit:
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
