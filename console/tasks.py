"""Celery tasks: thin shells over verbs. A task carries no arguments and decides nothing (docs/design.md#workers)."""

from __future__ import annotations

import logging
import os
import time
from contextlib import suppress
from functools import cache

from celery import Task, shared_task
from celery.signals import task_prerun, worker_process_shutdown
from django.conf import settings

from audit import forget as aging
from audit.close import close_due
from audit.enforce import enforce_due
from audit.go_on import go_on_due
from audit.pins import pin_due
from console.people import Accounts
from console.refusals import flush
from ingest import processes
from ingest.core.errors import PassgateError
from ingest.db import DatabaseFull, DatabaseGone
from ingest.kafka import Admin, Cluster
from ingest.permits import dispatch as issue_permits
from ingest.permits import end_permit, take_permit
from ingest.sample import sample as take_sample
from ingest.worker import Worker
from plans.expire import expire_due
from plans.run import run_due

log = logging.getLogger(__name__)


@cache
def worker() -> Worker:
    return Worker.make()


@cache
def admin() -> Admin:
    return Admin(Cluster.from_settings())


@shared_task(name="passgate.slice")
def slice_() -> None:
    """One permit's worth of lane work; then whatever is still to do gets its next permit."""
    try:
        _end_owed()
        permit = take_permit()
        if permit is None:
            return
        _owed.add(permit)
        try:
            worker().slice(slots=settings.PASSGATE_LANE_SLOTS)
        finally:
            _end_owed()
        _queue(issue_permits(settings.PASSGATE_LANE_SLOTS))
    except (DatabaseGone, DatabaseFull) as gone:
        log.warning("slice ended: %s", gone)
        _settle()


#: How long a process whose database went stays to give back what it took; then permit and leases expire by themselves.
SETTLE_SECONDS, SETTLE_EVERY = 10.0, 0.25


def _settle() -> None:
    until = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < until:
        try:
            worker().give_back()
            _end_owed()
            return
        except (DatabaseGone, DatabaseFull):
            time.sleep(SETTLE_EVERY)


_owed: set[object] = set()


def _end_owed() -> None:
    """Gives back what this process took. What it could not, because the database was gone, it gives back next time."""
    for permit in list(_owed):
        end_permit(permit)
        _owed.discard(permit)


@shared_task(name="passgate.sample")
def sample() -> None:
    try:
        take_sample(admin())
    except (DatabaseGone, DatabaseFull) as gone:
        log.warning("not sampled: %s", gone)


@shared_task(name="passgate.dispatch")
def dispatch() -> None:
    try:
        _queue(issue_permits(settings.PASSGATE_LANE_SLOTS))
    except (DatabaseGone, DatabaseFull) as gone:
        log.warning("not dispatched: %s", gone)


@shared_task(name="passgate.go_on")
def go_on() -> None:
    try:
        go_on_due()
        pin_due()
    except (DatabaseGone, DatabaseFull) as gone:
        log.warning("windows stay as they are for now: %s", gone)


@shared_task(name="passgate.close")
def close() -> None:
    try:
        close_due()
    except (DatabaseGone, DatabaseFull) as gone:
        log.warning("not closed: %s", gone)


@shared_task(name="passgate.plans")
def plans() -> None:
    """Plans that were approved run, and those whose time is over end."""
    try:
        expire_due()
        run_due(Accounts())
    except (DatabaseGone, DatabaseFull) as gone:
        log.warning("plans not run: %s", gone)


@shared_task(name="passgate.enforce")
def enforce() -> None:
    try:
        enforce_due()
    except (DatabaseGone, DatabaseFull) as gone:
        log.warning("not enforced: %s", gone)


@shared_task(name="passgate.forget")
def forget() -> None:
    try:
        aging.forget()
    except PassgateError as error:  # nothing waits for it; the next time is in minutes
        log.warning("nothing forgotten: %s", error)


@shared_task(name="passgate.refusals")
def refusals() -> None:
    """Refusals that were only counted, and that nothing followed, are written down."""
    try:
        flush()
    except (DatabaseGone, DatabaseFull) as gone:
        log.warning("refusals not written: %s", gone)


def _queue(permits: int) -> None:
    for _ in range(permits):
        slice_.delay()


_named: set[int] = set()


@task_prerun.connect
def _name_process(task: Task, **_: object) -> None:
    """With its first task, not as it starts: the database may not be there yet, and is tried again with the next."""
    if os.getpid() in _named:
        return
    try:
        gone = processes.begin(task.request.hostname or "")
    except (DatabaseGone, DatabaseFull):
        return
    _named.add(os.getpid())
    if gone:
        log.warning("ended without a word: %s", ", ".join(gone))


@worker_process_shutdown.connect
def _let_go(**_: object) -> None:
    if worker.cache_info().currsize:
        worker().close()
    if os.getpid() in _named:
        with suppress(DatabaseGone, DatabaseFull):
            processes.end()
