"""The Celery app. A task is a permit: it carries no arguments and decides nothing (DESIGN 11)."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")

app = Celery("passgate")
app.config_from_object("django.conf:settings", namespace=None)


def configure(celery: Celery) -> None:
    from django.conf import settings

    celery.conf.update(settings.CELERY)


configure(app)
app.autodiscover_tasks(["console"])
