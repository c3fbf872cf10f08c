"""How gunicorn serves the console and the API: `gunicorn -c python:console.gunicorn`.

Two processes of eight threads: one door source for each, and threads enough for requests that wait for PostgreSQL.
"""

from __future__ import annotations

import gc
from typing import Any

from console.environment import refuse_unusable

wsgi_app = "console.wsgi:application"
workers = 2
threads = 8

COLLECT_AFTER = 20_000
"""More objects than a request of a thousand events has standing at once."""


def on_starting(arbiter: Any) -> None:
    """One message, and no process, where a setting cannot be used; each of the workers would say it else."""
    refuse_unusable()


def post_worker_init(worker: Any) -> None:
    """All that requests need is loaded before the first one comes, and set apart from what they leave behind.

    Else Python's collector of cycles walks through it over and over, in the middle of requests that make thousands of
    objects, and finds nothing.
    """
    from django.urls import get_resolver

    _ = get_resolver().url_patterns
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 10, 10)
