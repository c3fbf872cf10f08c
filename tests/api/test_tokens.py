"""Tokens: shown once, stored as a digest, scoped and expiring."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests.flow.world import Flow

if TYPE_CHECKING:
    from tests.api.caller import Caller

Call = Callable[..., "Caller"]


def test_a_scope_narrows_and_never_widens(call: Call, flow: Flow) -> None:
    flow.open("r1")
    narrow = call("operator", acts=["look"])
    assert narrow.get("me").json() | {"name": ""} == {
        "name": "",
        "roles": ["operator"],
        "acts": ["look"],
        "token": "test",
    }
    refused = narrow.post(f"streams/{flow.name}/runs/r1/cut")
    assert (refused.status_code, refused.json()["code"]) == (403, "out_of_scope")
    wide = call("viewer", acts=["look", "cut"])
    assert wide.post(f"streams/{flow.name}/runs/r1/cut").json()["code"] == "permission_denied"
    assert wide.get("me").json()["acts"] == ["look"]


def test_an_ended_token_is_nobody(call: Call) -> None:
    from knox.models import AuthToken

    from console.tokens import revoke

    late = call("operator", expires=timedelta(microseconds=1))
    assert late.get("me").status_code == 401
    ended = call("operator")
    assert ended.get("me").status_code == 200
    revoke(AuthToken.objects.get(user=ended.user).token_key, "test")
    assert ended.get("me").status_code == 401


def test_nothing_stored_is_a_token(call: Call) -> None:
    from knox.models import AuthToken

    from console.models import TokenScope
    from console.tokens import issue
    from ingest.models import AuditLog
    from tests.api.caller import person

    user = person("viewer")
    made = issue(user, "ci", timedelta(days=1), [], "test")
    stored = [str(vars(AuthToken.objects.get(user=user))), str(vars(TokenScope.objects.get(token__user=user)))]
    stored += [str(row.detail) for row in AuditLog.objects.filter(subject=f"user:{user.username}")]
    assert len(stored) == 3
    assert all(made.secret not in text for text in stored)


@pytest.mark.parametrize(
    "sent", ["Token", "Token x y", "Token nope", "Token \xff\xfe", "Bearer x", "Token " + "a" * 9_000]
)
def test_a_wrong_token_is_nobody(call: Call, sent: str) -> None:
    nobody = call()
    answer = nobody.get("me", Authorization=sent)
    assert (answer.status_code, answer.json()["code"]) == (401, "not_signed_in")


@pytest.mark.parametrize(
    ("name", "days", "acts"), [(" ", 1, []), ("ci", 0, []), ("ci", -1, []), ("ci", 401, []), ("ci", 1, ["everything"])]
)
def test_a_token_that_cannot_be_made(call: Call, name: str, days: int, acts: list[str]) -> None:
    from console.tokens import TokenRefused, issue
    from tests.api.caller import person

    with pytest.raises(TokenRefused):
        issue(person("viewer"), name, timedelta(days=days), acts, "test")


def test_an_inactive_person_is_nobody(call: Call) -> None:
    gone = call("operator")
    assert gone.user is not None
    gone.user.is_active = False
    gone.user.save()
    assert gone.get("me").status_code == 401
