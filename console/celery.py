"""The Celery app. A task is a permit: it carries no arguments and decides nothing (DESIGN 11)."""

import os
import time
from datetime import UTC, datetime, timedelta

from celery import Celery
from celery.schedules import schedule

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
