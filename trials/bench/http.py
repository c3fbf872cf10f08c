"""Clients with connections that stay open, in threads: as fast as they can, or at fixed times whoever is late."""

from __future__ import annotations

import http.client
import itertools
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

MOST_ERRORS = 20


@dataclass(frozen=True)
class Request:
    """`method` and `path` on the stack's web part."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes | None = None


@dataclass
class HttpAnswers:
    """Milliseconds of each answer in the order they came, answers by status, and what went wrong."""

    ms: list[float] = field(default_factory=list)
    statuses: dict[str, int] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        return {
            "requests": len(self.ms),
            "p50_ms": round(quantile(self.ms, 0.50), 2),
            "p95_ms": round(quantile(self.ms, 0.95), 2),
            "p99_ms": round(quantile(self.ms, 0.99), 2),
            "max_ms": round(max(self.ms, default=0.0), 2),
            "statuses": self.statuses,
            "errors": self.errors,
        }


def quantile(values: Sequence[float], part: float) -> float:
    """The smallest value that `part` of all do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -int(-part * len(ordered) // 1) - 1))] if ordered else 0.0


def flat_out(requests: Sequence[Request], connections: int) -> HttpAnswers:
    """Every connection sends its next request when it has the answer to its last."""
    numbers = itertools.count()

    def one(send: Callable[[Request], None]) -> None:
        while (number := next(numbers)) < len(requests):
            send(requests[number])

    return _together(one, connections)


def at_rate(request: Request, rate: float, seconds: float, connections: int) -> HttpAnswers:
    """Requests at fixed times. Latency counts from the time a request was due: a server that is late makes all wait."""
    numbers = itertools.count()
    began = time.perf_counter() + 0.2
    total = int(rate * seconds)

    def one(send: Callable[..., None]) -> None:
        while (number := next(numbers)) < total:
            due = began + number / rate
            time.sleep(max(0.0, due - time.perf_counter()))
            send(request, due)

    return _together(one, connections)


def _together(one: Callable[[Callable[..., None]], None], connections: int) -> HttpAnswers:
    heard = HttpAnswers()
    lock = threading.Lock()
    threads = [threading.Thread(target=_speak, args=(one, heard, lock)) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return heard


def _speak(one: Callable[[Callable[..., None]], None], heard: HttpAnswers, lock: threading.Lock) -> None:
    place = urlsplit(os.environ["PASSGATE_URL"])
    connection = http.client.HTTPConnection(str(place.hostname), int(place.port or 80), timeout=60)

    def send(request: Request, due: float | None = None) -> None:
        since = time.perf_counter() if due is None else due
        status, wrong = _sent(connection, request)
        taken = (time.perf_counter() - since) * 1000
        with lock:
            heard.ms.append(taken)
            heard.statuses[status] = heard.statuses.get(status, 0) + 1
            if wrong and len(heard.errors) < MOST_ERRORS:
                heard.errors.append(wrong)

    try:
        one(send)
    finally:
        connection.close()


def _sent(connection: http.client.HTTPConnection, request: Request) -> tuple[str, str]:
    """(status, what went wrong). A connection that the server closed while idle is opened again, once."""
    for last in (False, True):
        try:
            connection.request(request.method, request.path, request.body, dict(request.headers))
            answer = connection.getresponse()
            said = answer.read()
            return str(answer.status), "" if answer.status < 400 else said[:200].decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            if last:
                return "none", repr(error)
    raise AssertionError("unreachable")


def token(*roles: str) -> dict[str, str]:
    """The header of somebody with these roles."""
    from console.tokens import issue

    issued = issue(person(*roles), "bench", timedelta(days=1), (), "bench")
    return {"Authorization": f"Token {issued.secret}"}


def cookie(*roles: str) -> dict[str, str]:
    """The header of a browser that is signed in."""
    from django.conf import settings
    from django.test import Client

    client = Client()
    client.force_login(person(*roles))
    return {"Cookie": f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"}


def person(*roles: str) -> Any:
    """A new account in these roles, of a person of its own."""
    import uuid

    from django.contrib.auth.models import Group, User

    from console.permissions import make_groups

    make_groups()
    made = User.objects.create_user(f"bench-{uuid.uuid4().hex[:8]}")
    made.groups.set(Group.objects.filter(name__in=roles))
    return made
