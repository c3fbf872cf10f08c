"""A caller of the API, and the document its answers must agree with."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Collection
from datetime import timedelta
from functools import cache
from typing import Any

from django.contrib.auth.models import Group, User
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.settings import patched_settings
from jsonschema import Draft202012Validator
from rest_framework.test import APIClient

from console.api.schema import SETTINGS
from console.permissions import make_groups
from console.tokens import issue


@cache
def document() -> dict[str, Any]:
    """The OpenAPI document, with every object closed: an undocumented member is an error of the test."""
    with patched_settings(SETTINGS):
        found: dict[str, Any] = SchemaGenerator(urlconf="console.api.urls").get_schema(request=None, public=True)
    plain: dict[str, Any] = json.loads(json.dumps(found))
    for shape in plain["components"]["schemas"].values():
        if "properties" in shape:
            shape["additionalProperties"] = False
    return plain


def person(*roles: str, name: str | None = None) -> User:
    """A new user in these roles."""
    make_groups()
    made = User.objects.create_user(name or f"{'-'.join(roles) or 'nobody'}-{uuid.uuid4().hex[:8]}".replace(" ", "-"))
    made.groups.set(Group.objects.filter(name__in=roles))
    return made


class Caller:
    """Sends requests under /api/v1 as JSON."""

    def __init__(self, user: User | None, token: str | None = None) -> None:
        self.user = user
        self.client = APIClient()
        if token:
            self.client.credentials(HTTP_AUTHORIZATION=f"Token {token}")

    @property
    def name(self) -> str:
        assert self.user is not None
        return str(self.user.username)

    def __call__(self, method: str, path: str, body: Any = None, key: str | None = None, **headers: str) -> Any:
        sent = {"Idempotency-Key": key, **headers} if key else headers
        send = getattr(self.client, method.lower())
        url = path if path.startswith("/api/") else f"/api/v1/{path}"
        answer = send(url, body, format="json", headers=sent) if body is not None else send(url, headers=sent)
        agrees(method, answer)
        return answer

    def get(self, path: str, **headers: str) -> Any:
        return self("GET", path, **headers)

    def put(self, path: str, body: Any = None, **headers: str) -> Any:
        return self("PUT", path, body, **headers)

    def post(self, path: str, body: Any = None, key: str | None = None, **headers: str) -> Any:
        return self("POST", path, body, key, **headers)

    def pages(self, path: str) -> list[Any]:
        """Every item of every page."""
        found: list[Any] = []
        following: str | None = path
        while following:
            answer = self.get(following).json()
            found += answer["items"]
            following = answer["next"]
        return found


def caller(*roles: str, acts: Collection[str] = (), expires: timedelta = timedelta(hours=1)) -> Caller:
    """With a token of a new user in these roles; without a role, nobody."""
    if not roles:
        return Caller(None)
    user = person(*(role for role in roles if role != "none"))
    return Caller(user, issue(user, "test", expires, acts, "test").secret)


def agrees(method: str, answer: Any) -> None:
    """Fails where the answer is not one that the document promises."""
    assert answer.headers["X-Request-Id"]
    assert answer.headers["Cache-Control"] == "no-store"
    match = answer.resolver_match
    if match is None or method == "HEAD" or match.url_name in ("unknown", "schema"):
        return
    path = "/" + re.sub(r"<\w+:(\w+)>", r"{\1}", match.route.removeprefix("api/v1/"))
    operation = document()["paths"][path].get(method.lower())
    if operation is None:
        assert answer.status_code in (401, 405)
        return
    said = operation["responses"].get(str(answer.status_code))
    assert said is not None, f"{method} {path} does not say that it answers {answer.status_code}: {answer.content!r}"
    kind = answer.headers["Content-Type"]
    assert kind == ("application/problem+json" if answer.status_code >= 400 else "application/json")
    shape = said["content"][kind]["schema"] | {"components": document()["components"]}
    errors = list(Draft202012Validator(shape).iter_errors(answer.json()))
    assert not errors, f"{method} {path} {answer.status_code}: {errors[0].message} at {errors[0].json_path}"
