"""Errors of the API are problem documents, whatever went wrong, and bodies are read strictly."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from tests.flow.world import Flow

if TYPE_CHECKING:
    from tests.api.caller import Caller

Call = Callable[..., "Caller"]


def raw(caller: Caller, path: str, body: bytes, kind: str = "application/json") -> Any:
    return caller.client.generic("PUT", f"/api/v1/{path}", body, content_type=kind)


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"{", "Expecting"),
        (b'{"a": 1, "a": 2}', "twice"),
        (b'{"a": NaN}', "NaN"),
        (b"\xff", "utf-8"),
        (b"[" * 100_000, "deep"),
        (b'\xef\xbb\xbf{}', "BOM"),
        (b'"text"', "dictionary"),
        (b"{} {}", "Extra data"),
    ],
)  # fmt: skip
def test_a_body_is_read_strictly(call: Call, flow: Flow, body: bytes, word: str) -> None:
    answer = raw(call("operator"), f"streams/{flow.name}/runs/r1", body)
    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "request_invalid"
    assert word in answer.json()["errors"][0]["detail"]


def test_a_body_is_bounded(call: Call, flow: Flow) -> None:
    answer = raw(call("operator"), f"streams/{flow.name}/runs/r1", b'{"pins": {"a": "' + b"x" * 1_100_000 + b'"}}')
    assert (answer.status_code, answer.json()["code"]) == (413, "request_too_large")


def test_a_body_of_another_kind_is_refused(call: Call, flow: Flow) -> None:
    answer = raw(call("operator"), f"streams/{flow.name}/runs/r1", b"a=1", "application/x-www-form-urlencoded")
    assert (answer.status_code, answer.json()["code"]) == (415, "media_type_unsupported")


@pytest.mark.parametrize(
    ("path", "pointer"),
    [
        ("streams/?limit=0", "?limit"),
        ("streams/?limit=1001", "?limit"),
        ("streams/?limit=-1", "?limit"),
        ("streams/?limit=1e2", "?limit"),
        ("streams/?limit=%D9%A1", "?limit"),
        ("streams/?lmit=5", "?lmit"),
        ("receipts/?after=7", "?after"),
        ("receipts/?after=a/b", "?after"),
        ("receipts/?decision=admitted", "?decision"),
        ("receipts/?source=99999999999", "?source"),
        ("quarantine/?reason=NOT", "?reason"),
        ("quarantine/?run=r1", "?stream"),
        ("quarantine/?stream=s", "?run"),
        ("quarantine/?after=x", "?after"),
        ("attempts/?state=SENT", "?state"),
        ("attempts/?run=r1", "?stream"),
    ],
)
def test_a_parameter_that_is_wrong_is_named(call: Call, path: str, pointer: str) -> None:
    answer = call("viewer").get(path)
    assert answer.status_code == 400
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


@pytest.mark.parametrize(
    "path", ["nope", "streams", "streams/a/b/c", "receipts/x/y", "attempts/99999999999999999999", ""]
)
def test_a_path_that_is_not_there(call: Call, path: str) -> None:
    answer = call().get(path)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


SLASHES = [("streams", "streams/"), ("me/", "me"), ("streams/a/runs", "streams/a/runs/")]


@pytest.mark.parametrize(("path", "meant"), SLASHES)
def test_a_slash_too_many_or_too_few_is_said(call: Call, path: str, meant: str) -> None:
    assert call().get(path).json()["next"] == f"ask for /api/v1/{meant}"


def test_the_callers_request_id_comes_back(call: Call) -> None:
    ana = call("viewer")
    assert ana.get("nope", **{"X-Request-Id": "my-request-0001"}).json()["request_id"] == "my-request-0001"
    for hostile in ("short", "x" * 65, "a b c d e f g h", "<script>alert(1)</script>"):
        answer = ana.get("nope", **{"X-Request-Id": hostile})
        assert answer.headers["X-Request-Id"] == answer.json()["request_id"] != hostile


def test_an_error_of_ours_says_nothing_about_itself(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise ValueError("the password is hunter2")

    monkeypatch.setattr("console.api.streams.stream_named", broken)
    answer = call("viewer").client.get("/api/v1/streams/x")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert "hunter2" not in answer.content.decode()


def test_a_database_that_does_not_answer_is_a_503(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    from django.db import OperationalError

    def gone(*_: Any) -> None:
        raise OperationalError("server closed the connection; host=10.0.0.1")

    monkeypatch.setattr("console.api.streams.stream_named", gone)
    answer = call("viewer").get("streams/x")
    assert (answer.status_code, answer.json()["code"], answer.json()["retry"]) == (503, "database_gone", True)
    assert "10.0.0.1" not in answer.content.decode()


def test_a_session_without_a_csrf_token_changes_nothing(call: Call, flow: Flow) -> None:
    from rest_framework.test import APIClient

    from tests.api.caller import person

    client = APIClient(enforce_csrf_checks=True)
    client.force_login(person("operator"))
    assert client.get("/api/v1/me").status_code == 200
    answer = client.put(f"/api/v1/streams/{flow.name}/runs/r1", {}, format="json")
    assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied")
    assert client.get(f"/api/v1/streams/{flow.name}/runs/r1").status_code == 404


def test_answers_are_json_whatever_is_accepted(call: Call) -> None:
    for accepted in ("*/*", "application/json", "text/html,*/*;q=0.8"):
        assert call("viewer").get("me", Accept=accepted).status_code == 200
    answer = call("viewer").client.get("/api/v1/me", headers={"Accept": "text/html"})
    assert answer.status_code == 406
    assert answer.json()["code"] == "not_acceptable"
