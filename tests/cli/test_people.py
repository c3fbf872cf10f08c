"""`passgate user` and `passgate token`."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from tests.cli.typed import Typed

Passgate = Callable[..., Typed]


@pytest.fixture
def name() -> str:
    return f"u{uuid.uuid4().hex[:10]}"


def test_a_user_is_made_with_a_role_and_can_sign_in(passgate: Passgate, name: str) -> None:
    from django.contrib.auth import authenticate

    made = passgate(f"user create {name} --role operator --role viewer --generate --as ana --json").json
    assert made["roles"] == ["operator", "viewer"]
    assert authenticate(username=name, password=made["password"]) is not None
    again = passgate(f"user create {name} --role operator --generate")
    assert (again.code, "[user_refused]" in again.err, again.out) == (3, True, "")
    listed = {found["name"]: found for found in passgate("user list --json").json["items"]}
    assert (listed[name]["roles"], listed[name]["active"]) == (["operator", "viewer"], True)
    assert name in passgate("user list").out


def test_passwords_come_from_stdin_or_a_prompt(passgate: Passgate, name: str) -> None:
    from django.contrib.auth import authenticate

    password = uuid.uuid4().hex
    assert passgate(f"user create {name} --role viewer --password-stdin", stdin=f"{password}\nmore\n").code == 0
    assert authenticate(username=name, password=password) is not None
    asked = passgate(f"user create {name}2 --role viewer", stdin=f"{password}\n{password}\n")
    assert asked.code == 0
    assert password not in asked.out + asked.err
    weak = passgate(f"user create {name}3 --role viewer --password-stdin", stdin="password\n")
    assert (weak.code, "too short" in weak.err) == (3, True)
    both = passgate(f"user create {name}4 --role viewer --generate --no-password")
    assert both.code == 2


def test_a_user_without_a_password_cannot_sign_in(passgate: Passgate, name: str) -> None:
    from django.contrib.auth.models import User

    assert passgate(f"user create {name} --role 'data engineer' --no-password").code == 0
    assert not User.objects.get(username=name).has_usable_password()


@pytest.mark.parametrize("wrong", ["a b", "<x>", "", "x" * 151])
def test_a_name_that_cannot_be_one(passgate: Passgate, wrong: str) -> None:
    refused = passgate("user create --role viewer --no-password", "--", wrong)
    assert (refused.code, "[user_refused]" in refused.err) == (3, True)


def test_a_token_is_shown_once_alone_on_stdout(passgate: Passgate, name: str) -> None:
    from knox.auth import TokenAuthentication

    passgate(f"user create {name} --role viewer --no-password")
    made = passgate(f"token create {name} --name ci --expires 2d --act gate")
    secret = made.out.strip()
    assert made.out == f"{secret}\n" and len(secret) == 64
    assert "only: gate" in made.err and secret not in made.err
    user, token = TokenAuthentication().authenticate_credentials(secret.encode())
    assert user.username == name
    left = token.expiry - datetime.now(UTC)
    assert timedelta(days=2) - timedelta(minutes=1) < left <= timedelta(days=2)
    listed = passgate(f"token list {name} --json").json["items"]
    assert [(row["key"], row["name"], row["acts"]) for row in listed] == [(secret[:15], "ci", ["gate"])]
    assert secret not in passgate(f"token list {name}").out
    assert passgate(f"token revoke {secret[:15]}").out == "1 token ended.\n"
    assert passgate(f"token list {name} --json").json["items"] == []


def test_who_made_it_is_in_the_audit_log(passgate: Passgate, name: str) -> None:
    from ingest.models import AuditLog

    passgate(f"user create {name} --role viewer --no-password --as ana")
    passgate(f"token create {name} --name ci --as bob")
    rows = AuditLog.objects.filter(subject=f"user:{name}").order_by("pk").values_list("actor", "act")
    assert list(rows) == [("ana", "user.create"), ("bob", "token.create")]
