"""The gate over HTTP: no PASS, no read, and nothing that a client could take for a yes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.cli.settled import passed, settle
from tests.flow.world import Flow, thing

if TYPE_CHECKING:
    from tests.api.caller import Caller

Call = Callable[..., "Caller"]


def test_a_gate_opens_on_pass_only(call: Call, flow: Flow) -> None:
    reader = call("viewer")
    gate = f"gate/{flow.name}/r1"
    unknown = reader.get(gate)
    assert (unknown.status_code, unknown.json()["code"], unknown.json()["retry"]) == (404, "not_found", False)
    flow.open("r1")
    flow.produce([thing(1), b"not json"], run="r1")
    settle(flow)
    early = reader.get(gate)
    assert (early.status_code, early.json()["code"], early.json()["retry"]) == (403, "not_closed", True)
    flow.cut("r1")
    settle(flow)
    assert flow.judge("r1").verdict.state == "BLOCKED"
    blocked = reader.get(gate)
    assert (blocked.status_code, blocked.json()["code"], blocked.json()["retry"]) == (403, "blocked", True)
    assert blocked.json()["verdict"] == f"{flow.name}/r1#1"
    assert "QUARANTINE" in [check["check"] for check in blocked.json()["failed_checks"]]
    assert len(blocked.json()["basis_digest"]) == 64


def test_an_open_gate_says_what_it_rests_on(call: Call, flow: Flow) -> None:
    passed(flow)
    reader = call("viewer")
    for path in (f"gate/{flow.name}/r1", f"gate/{flow.name}/r1/windows/1"):
        answer = reader.get(path)
        assert answer.status_code == 200, answer.json()
        assert answer.headers["Cache-Control"] == "no-store"
        found = answer.json()
        assert (found["open"], found["code"], found["verdict"]) == (True, "open", f"{flow.name}/r1#1")
        assert found["open_until"] > found["checked_at"]
        assert reader("HEAD", path).status_code == 200
    assert reader.get(f"gate/{flow.name}/r1/windows/2").status_code == 404
    assert reader.get(f"gate/{flow.name}/r1/windows/99999999999").status_code == 404


def test_a_shut_gate_keeps_its_verdict(call: Call, flow: Flow) -> None:
    from django.db.models import F

    from audit.models import GateOpen

    passed(flow)
    reader = call("viewer")
    GateOpen.objects.filter(win__run__stream__name=flow.name).update(open_until=F("checked_at"))
    stale = reader.get(f"gate/{flow.name}/r1")
    assert (stale.status_code, stale.json()["code"], stale.headers["Retry-After"]) == (503, "gate_unavailable", "5")
    GateOpen.objects.filter(win__run__stream__name=flow.name).update(shut_why="the bus is another one")
    shut = reader.get(f"gate/{flow.name}/r1")
    assert (shut.status_code, shut.json()["code"], shut.json()["retry"]) == (403, "gate_shut", False)
    assert shut.json()["verdict"] == f"{flow.name}/r1#1"


def test_every_question_is_logged_with_who_asked(call: Call, flow: Flow) -> None:
    from audit.models import GateDecision

    flow.open("r1")
    reader = call("viewer")
    reader.get(f"gate/{flow.name}/r1")
    reader.get(f"gate/{flow.name}/r1/windows/1")
    rows = (
        GateDecision.objects.filter(stream=flow.name)
        .order_by("pk")
        .values_list("who", "run", "window_number", "status")
    )
    assert list(rows) == [(reader.name, "r1", None, 403), (reader.name, "r1", 1, 403)]


def test_what_cannot_be_logged_is_not_granted(call: Call, flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    from ingest.db import DatabaseGone

    def broken(*_: Any) -> None:
        raise DatabaseGone()

    passed(flow)
    monkeypatch.setattr("audit.enforce._log", broken)
    answer = call("viewer").get(f"gate/{flow.name}/r1")
    assert (answer.status_code, answer.json()["code"]) == (503, "gate_unavailable")


def test_a_token_without_rights_is_not_told_about_the_gate(call: Call, flow: Flow) -> None:
    passed(flow)
    for somebody in (call("none"), call("viewer", acts=["look"])):
        answer = somebody.get(f"gate/{flow.name}/r1")
        assert answer.status_code == 403
        assert answer.json()["code"] in ("permission_denied", "out_of_scope")
        assert "verdict" not in answer.json()


def test_names_from_outside_do_no_harm(call: Call) -> None:
    reader = call("viewer")
    for name in (
        "no%00pe/r",
        "nope/%00",
        "nope/%F0%9F%92%A3",
        "%E2%80%AE/r",
        "nope/~aaaaaaaaaaaaaaaa",
        "x" * 3_000 + "/r",
    ):
        answer = reader.get(f"gate/{name}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), name


def test_an_answer_takes_three_statements(call: Call, flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks, what is known of the run, and the decision's row: each planned once a connection."""
    passed(flow)
    reader = call("viewer")
    assert reader.get(f"gate/{flow.name}/r1").status_code == 200
    asked: list[tuple[str, Any]] = []
    execute = psycopg.Cursor.execute

    def counted(self: Any, query: Any, *args: Any, **more: Any) -> Any:
        asked.append((str(query)[:60], more.get("prepare")))
        return execute(self, query, *args, **more)

    monkeypatch.setattr(psycopg.Cursor, "execute", counted)
    with CaptureQueriesContext(connection) as queries:
        assert reader.get(f"gate/{flow.name}/r1").status_code == 200
    assert [prepare for _, prepare in asked] == [True] * 3, asked
    assert len(queries) == 0, [query["sql"] for query in queries]


def test_a_refusal_is_a_row_and_no_line_of_the_log(call: Call, flow: Flow, caplog: pytest.LogCaptureFixture) -> None:
    """A reader that waits for its run asks every few seconds."""
    flow.open("r1")
    assert call("viewer").get(f"gate/{flow.name}/r1").status_code == 403
    assert call("viewer").get(f"gate/{flow.name}/nothing").status_code == 404
    assert [line for line in caplog.records if line.name == "django.request"] == []
    with connection.cursor() as cursor:
        cursor.execute("SELECT status FROM gate_decision WHERE stream = %s ORDER BY id", [flow.name])
        assert [status for (status,) in cursor.fetchall()] == [403, 404]


def test_a_span_of_time_needs_both_ends_in_order_and_with_their_zones(call: Call, flow: Flow) -> None:
    """What is known complete is shown on a real broker by tests/audit/test_complete.py: here, how it is asked."""
    passed(flow)
    reader, path = call("viewer"), f"gate/{flow.name}"
    noon, later = "2020-11-30T12:00:00Z", "2020-11-30T13:00:00%2B00:00"
    for query, pointer in (
        ("", "?from"),
        (f"?from={noon}", "?complete_until"),
        (f"?from={noon}&complete_until=2020-11-30T13:00:00", "?complete_until"),
        (f"?from={noon}&complete_until=soon", "?complete_until"),
        (f"?from=0001-01-01T00:00:00Z&complete_until={later}", "?from"),
        (f"?from={later}&complete_until={noon}", "?complete_until"),
    ):
        refused = reader.get(path + query)
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (400, pointer), query
    shut = reader.get(f"{path}?from={noon}&complete_until={later}")
    assert (shut.status_code, shut.json()["code"]) == (403, "blocked")
    assert shut.json()["detail"].startswith("the stream is known since ")
    assert reader.get(f"gate/nobody-{flow.name}?from={noon}&complete_until={later}").status_code == 404
    assert call().get(f"{path}?from={noon}&complete_until={later}").status_code == 401
