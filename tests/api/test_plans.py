"""Plans over HTTP: asked for by one, approved by another, run, and seen by whoever it waits for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.flow.world import Flow, thing

if TYPE_CHECKING:
    from tests.api.caller import Caller

Call = Callable[..., "Caller"]


@pytest.fixture
def blocked(flow: Flow) -> Flow:
    """An item is open."""
    flow.open()
    flow.produce([thing(1), b"not json"])
    flow.work()
    flow.cut()
    flow.work()
    flow.judge()
    return flow


def asked(flow: Flow, **more: Any) -> dict[str, Any]:
    from audit.capture import now

    until = (now() + timedelta(hours=1)).isoformat()
    return {"kind": "waive", "stream": flow.name, "run": "r1", "check": "QUARANTINE", "until": until} | more


def test_from_preview_to_an_open_gate(call: Call, blocked: Flow) -> None:
    ana, bo = call("operator"), call("approver")
    body = asked(blocked)
    preview = ana.post("plans/preview", body)
    assert preview.status_code == 200
    seen = preview.json()
    assert (seen["verdict"], seen["outcomes"]) == ("PASS (waived)", {"DONE": 1})
    made = ana.post("plans/", body | {"reason": "a broken client", "digest": seen["digest"]}, key="k1")
    assert made.status_code == 201 and made.json()["digest"] == seen["digest"]
    plan = made.json()["plan"]
    assert made.headers["Location"] == f"/api/v1/plans/{plan}"
    again = ana.post("plans/", body | {"reason": "a broken client", "digest": seen["digest"]}, key="k1")
    assert (again.json()["plan"], again.headers["Idempotency-Replayed"]) == (plan, "true")
    yes = bo.post(f"plans/{plan}/approve", {"digest": seen["digest"]})
    assert (yes.status_code, yes.json()["state"], yes.json()["approved_by"]) == (200, "APPROVED", bo.name)
    run(plan)
    done = ana.get(f"plans/{plan}").json()
    assert (done["state"], done["outcomes"]) == ("DONE", {"DONE": 1})
    assert [event["to"] for event in done["events"]] == ["SUBMITTED", "APPROVED", "RUNNING", "DONE"]
    blocked.judge()
    gate = ana.get(f"gate/{blocked.name}/r1")
    (waiver,) = gate.json()["waivers"]
    assert (gate.status_code, waiver["plan"], waiver["approved_by"]) == (200, plan, bo.name)


def run(plan: int) -> None:
    from console.people import Accounts
    from plans.run import run_plan

    run_plan(plan, Accounts(), lambda: True)


def test_who_it_waits_for(call: Call, blocked: Flow) -> None:
    ana, bo, both = call("operator"), call("approver"), call("operator", "approver")
    plan = both.post("plans/", asked(blocked) | {"reason": "why"}).json()["plan"]

    def waits(who: Caller) -> bool:
        return plan in [each["plan"] for each in who.pages(f"plans/?waits_for=me&stream={blocked.name}")]

    assert [waits(who) for who in (ana, bo, both)] == [False, True, False]
    (act,) = [act for act in both.get(f"plans/{plan}").json()["acts"] if act["act"] == "approve"]
    assert act["refusal"] == "You asked for this, so somebody else must approve."
    assert [each["plan"] for each in ana.pages(f"plans/?stream={blocked.name}&state=SUBMITTED")] == [plan]
    assert ana.pages(f"plans/?stream={blocked.name}&state=DONE") == []
    bo.post(f"plans/{plan}/decline", {"reason": "no"})
    assert not waits(bo)


def test_nobody_approves_what_they_asked_for(call: Call, blocked: Flow) -> None:
    """Not with the same token, another token, or as somebody who may do both; and the refusal is written down."""
    from console.tokens import issue
    from ingest.models import AuditLog
    from tests.api.caller import Caller

    both = call("operator", "approver")
    made = both.post("plans/", asked(blocked) | {"reason": "why"}).json()
    other = Caller(both.user, issue(both.user, "another", timedelta(hours=1), ["approve"], "test").secret)
    for who in (both, other):
        answer = who.post(f"plans/{made['plan']}/approve", {"digest": made["digest"]})
        assert (answer.status_code, answer.json()["code"]) == (403, "same_person")
    rows = AuditLog.objects.filter(actor=both.name, refused=True).values_list("act", "subject")
    assert ("api.plan.approve", f"plan:{made['plan']}") in list(rows)


def test_what_a_kind_needs_the_person_and_the_token_must_have(call: Call, blocked: Flow) -> None:
    engineer = call("data engineer")  # may ask for plans, and not for this kind
    answer = engineer.post("plans/preview", asked(blocked))
    assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied")
    narrow = call("operator", acts=["plan", "look"])
    answer = narrow.post("plans/", asked(blocked) | {"reason": "why"})
    assert (answer.status_code, answer.json()["code"]) == (403, "out_of_scope")
    assert call("operator", acts=["plan", "waive"]).post("plans/preview", asked(blocked)).status_code == 200


def test_another_digest_is_refused(call: Call, blocked: Flow) -> None:
    ana, bo = call("operator"), call("approver")
    refused = ana.post("plans/", asked(blocked) | {"reason": "why", "digest": "ab" * 32})
    assert (refused.status_code, refused.json()["code"]) == (409, "plan_changed")
    made = ana.post("plans/", asked(blocked) | {"reason": "why"}).json()
    refused = bo.post(f"plans/{made['plan']}/approve", {"digest": "ab" * 32})
    assert (refused.status_code, refused.json()["code"]) == (409, "plan_digest")


def test_steering(call: Call, blocked: Flow) -> None:
    ana = call("operator")
    plan = ana.post("plans/", asked(blocked) | {"reason": "why"}).json()["plan"]
    for act, body in (("pause", {"reason": "x"}), ("resume", {}), ("cancel", {"reason": "x"})):
        answer = ana.post(f"plans/{plan}/{act}", body)
        assert (answer.status_code, answer.json()["code"]) == (409, "plan_state"), act


def approved(asker: Caller, approver: Caller, body: dict[str, Any]) -> int:
    """Previewed, submitted and approved over HTTP, and run."""
    seen = asker.post("plans/preview", body).json()
    made = asker.post("plans/", body | {"reason": "the broker was restored", "digest": seen["digest"]})
    assert made.status_code == 201, made.json()
    plan = made.json()["plan"]
    assert approver.post(f"plans/{plan}/approve", {"digest": seen["digest"]}).status_code == 200
    run(plan)
    assert asker.get(f"plans/{plan}").json()["state"] == "DONE"
    return int(plan)


def test_a_publish_is_decided_about_and_published_again(
    call: Call, make_flow: Callable[..., Flow], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.flow.bus import never_sent
    from tests.plans.test_decide import undecidable

    flow = make_flow(automatic="false", after='1s"\nrepublish = "plan')
    attempt = undecidable(flow, monkeypatch, never_sent)
    ana, bo, about = call("operator", "data engineer"), call("approver"), {"stream": flow.name, "run": "r1"}
    plan = approved(ana, bo, {"kind": "decide", "attempt": attempt, **about})
    assert ana.get(f"plans/{plan}").json()["does"] == f"decide about attempt {attempt} of {flow.name}/r1 window 1"
    flow.work_until(lambda: flow.attempts() == ["ABSENT"], "publish")
    again = approved(ana, bo, {"kind": "republish", "attempts": [attempt], **about})
    assert (
        ana.get(f"plans/{again}").json()["does"] == f"publish again what was proven absent of {flow.name}/r1 window 1"
    )
    flow.cut()
    flow.work_until(lambda: flow.count("effect") == 10)
    flow.work()
    flow.judge()
    body = ana.get(f"streams/{flow.name}/runs/r1/verdicts/1").json()["body"]
    (decision,) = body["decisions"]
    assert (body["state"], decision["plan"], decision["requested_by"], decision["approved_by"]) == (
        "PASS", plan, ana.name, bo.name,
    )  # fmt: skip
    refused = ana.post("plans/preview", {"kind": "republish", **about})
    assert (refused.status_code, refused.json()["code"]) == (409, "not_withheld")
    refused = ana.post("plans/preview", {"kind": "decide", "attempt": attempt, **about})
    assert (refused.status_code, refused.json()["code"]) == (409, "not_undecidable")


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"kind": "erase"}, "/kind"),
        ({"check": "PUBLISHED"}, "/check"),
        ({"check": None}, "/check"),
        ({"until": "tomorrow"}, "/until"),
        ({"window": 0}, "/window"),
        ({"rate": 0}, "/rate"),
        ({"more": 1}, "/more"),
    ],
)
def test_a_body_that_asks_for_nothing(call: Call, blocked: Flow, change: dict[str, Any], pointer: str) -> None:
    body = {name: value for name, value in (asked(blocked) | change).items() if value is not None}
    answer = call("operator").post("plans/preview", body)
    assert answer.status_code == 400
    assert [fault["pointer"] for fault in answer.json()["errors"]] == [pointer]


@pytest.mark.parametrize(
    ("more", "pointer"),
    [
        ({"kind": "decide"}, "/attempt"),
        ({"kind": "decide", "attempt": 0}, "/attempt"),
        ({"kind": "decide", "attempt": 1, "attempts": [1]}, "/attempts"),
        ({"kind": "republish", "attempts": []}, "/attempts"),
        ({"kind": "republish", "attempts": ["1"]}, "/attempts/0"),
    ],
)
def test_attempts_that_no_kind_is_asked_for_with(call: Call, live: object, more: dict[str, Any], pointer: str) -> None:
    answer = call("operator", "data engineer").post("plans/preview", {"stream": "s", "run": "r", **more})
    assert (answer.status_code, [fault["pointer"] for fault in answer.json()["errors"]]) == (400, [pointer])


def test_what_is_not_there(call: Call, live: object) -> None:
    ana = call("operator", "approver")
    assert ana.get("plans/9223372036854775807").status_code == 404
    assert ana.post("plans/9223372036854775807/decline", {"reason": "x"}).status_code == 404
    assert ana.get("plans/?stream=nope").status_code == 404
    for query in ("state=WAITING", "waits_for=bo", "kind=waive"):
        assert ana.get(f"plans/?{query}").status_code == 400


# ---- of other kinds -------------------------------------------------------------------------------------------------


def test_a_refresh_of_the_basis_and_an_end_of_re_checks(call: Call, flow: Flow) -> None:
    from tests.audit.test_close import passed
    from tests.plans.test_basis_plan import KEY
    from tests.plans.test_basis_plan import blocked as promises_less

    ana, bo = call("operator"), call("approver")
    promises_less(flow)
    body = {"kind": "basis", "stream": flow.name, "run": "r1"}
    seen = ana.post("plans/preview", body).json()
    assert (seen["verdict"], seen["binds"]["facts"]["generation"]) == ("PASS", 1)
    assert f"{KEY} of {flow.bus}: 604800000 → 86400000." in seen["says"]
    done(ana, bo, body | {"digest": seen["digest"]})
    flow.judge()
    generations = ana.get(f"streams/{flow.name}/runs/r1/anchors").json()["processed"]["basis"]
    assert bo.name in generations[-1]["why"]
    assert passed(flow, "r2").verdict.state == "PASS"
    plan = done(ana, bo, {"kind": "retire", "stream": flow.name, "topic": flow.inbox})
    assert ana.get(f"plans/{plan}").json()["does"] == f"end the re-checks of {flow.inbox} of {flow.name}"
    gate = ana.get(f"gate/{flow.name}/r2")
    (ended,) = gate.json()["rechecks_ended"]
    assert (gate.status_code, ended["plan"], ended["topic"], ended["approved_by"]) == (200, plan, flow.inbox, bo.name)
    assert f"were ended by plan {plan}" in gate.json()["detail"]


def done(ana: Caller, bo: Caller, body: dict[str, Any]) -> int:
    made = ana.post("plans/", body | {"reason": "why"})
    assert made.status_code == 201, made.content
    plan = int(made.json()["plan"])
    assert bo.post(f"plans/{plan}/approve", {"digest": made.json()["digest"]}).status_code == 200
    run(plan)
    return plan


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"kind": "basis"}, "/run"),
        ({"kind": "basis", "run": "r1", "check": "EXPECTED"}, "/check"),
        ({"kind": "retire"}, "/topic"),
        ({"kind": "retire", "topic": "t", "run": "r1"}, "/run"),
        ({"kind": "adopt", "run": "r1"}, "/run"),
        ({"kind": "waive", "run": "r1", "check": "EXPECTED", "until": "2036-01-01T00:00:00Z", "topic": "t"}, "/topic"),
    ],
)
def test_what_a_kind_is_asked_for_with(call: Call, live: object, body: dict[str, Any], pointer: str) -> None:
    answer = call("operator").post("plans/preview", {"stream": "flights"} | body)
    assert (answer.status_code, [each["pointer"] for each in answer.json()["errors"]]) == (400, [pointer])


def test_what_cannot_be_refreshed_says_why(call: Call, flow: Flow) -> None:
    from tests.audit.test_close import passed

    passed(flow)
    answer = call("operator").post("plans/preview", {"kind": "basis", "stream": flow.name, "run": "r1"})
    assert (answer.status_code, answer.json()["code"]) == (409, "not_refreshable")
