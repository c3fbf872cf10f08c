"""The Celery app. A task is a permit: it carries no arguments and decides nothing (docs/design.md#workers)."""

import ctypes
import os
import resource
import threading
import time
from datetime import UTC, datetime, timedelta

from celery import Celery
from celery.schedules import schedule
from celery.signals import worker_process_init

from console.environment import refuse_unusable

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
refuse_unusable()

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
        _small_stacks()
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


STACK_BYTES = 512 * 1024


def _small_stacks() -> None:
    """Threads of C libraries get stacks of 512 KB in place of 8 MB, all of which counts against the limit.

    A Kafka client has three to five threads, a process with many lanes dozens of clients: at 8 MB their stacks alone
    reached the limit, and librdkafka ends the process where it cannot make a thread. Python's own threads keep 8 MB.
    """
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "pthread_setattr_default_np"):
        return  # not glibc: stacks are small there
    threading.stack_size(8 * 1024 * 1024)
    attributes = ctypes.create_string_buffer(256)  # pthread_attr_t has 56 bytes on 64-bit machines
    libc.pthread_attr_init(attributes)
    libc.pthread_attr_setstacksize(attributes, ctypes.c_size_t(STACK_BYTES))
    libc.pthread_setattr_default_np(attributes)
    libc.pthread_attr_destroy(attributes)
