"""`passgate plan`: the same plan as over HTTP, typed by people who have accounts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from tests.flow.world import Flow, thing
from tests.plans.crowd import numbers_are_large

if TYPE_CHECKING:
    from tests.cli.typed import Typed

Typing = Callable[..., "Typed"]


@pytest.fixture
def blocked(flow: Flow) -> Flow:
    flow.open()
    flow.produce([thing(1), b"not json"])
    flow.work()
    flow.cut()
    flow.work()
    flow.judge()
    return flow


def names(*roles: str) -> str:
    from tests.api.caller import person

    return str(person(*roles).username)


def test_from_preview_to_an_open_gate(passgate: Typing, blocked: Flow) -> None:
    numbers_are_large()
    ana, bo = names("operator"), names("approver")
    about = f"waive {blocked.name}/r1 --check QUARANTINE"
    seen = passgate(f"plan preview {about} --until 1h")
    assert seen.code == 0 and "The window's next verdict would be PASS (waived)." in seen.out
    made = passgate(f"plan submit {about} --until 1h --as {ana} --because 'a broken client' --json").json
    plan, digest = made["plan"], made["digest"]
    assert (made["state"], made["requested_by"]) == ("SUBMITTED", ana)
    listed = passgate(f"plan list --waits-for {bo} --stream {blocked.name}")
    assert f"waive QUARANTINE of {blocked.name}/r1 window 1 until" in listed.out
    assert listed.out.splitlines()[1].split()[0] == str(plan)  # as `show` takes it
    assert passgate(f"plan list --waits-for {ana} --stream {blocked.name}").out == "No plans.\n"
    assert passgate(f"plan run {plan}").code == 4  # nobody approved it
    yes = passgate(f"plan approve {plan} --digest {digest[:12]} --as {bo}")
    assert yes.code == 0 and f"Plan {plan} is APPROVED" in yes.out
    assert passgate(f"plan run {plan}").code == 0
    shown = passgate(f"plan show {plan}")
    assert f"asked for by {ana}" in shown.out and f"approved by {bo}" in shown.out and "1 item: 1 DONE" in shown.out
    blocked.judge()
    gate = passgate(f"gate {blocked.name}/r1")
    assert gate.code == 0 and f"by plan {plan} (asked for by {ana}, approved by {bo}: a broken client)" in gate.out
    assert passgate(f"gate {blocked.name}/r1 --json").json["waivers"][0]["plan"] == plan


def test_a_publish_is_decided_about_and_published_again(
    passgate: Typing, make_flow: Callable[..., Flow], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.flow.bus import never_sent
    from tests.plans.test_decide import undecidable

    flow = make_flow(automatic="false", after='1s"\nrepublish = "plan')
    attempt = undecidable(flow, monkeypatch, never_sent)
    ana, bo = names("operator", "data engineer"), names("approver")
    assert "a plan of the kind decide needs --attempt" in passgate(f"plan preview decide {flow.name}/r1").err
    seen = passgate(f"plan preview decide {flow.name}/r1 --attempt {attempt}")
    assert seen.code == 0 and "10 events are decided to be absent." in seen.out
    for about in (f"decide {flow.name}/r1 --attempt {attempt}", f"republish {flow.name}/r1"):
        made = passgate(f"plan submit {about} --as {ana} --because 'the broker was restored' --json").json
        assert passgate(f"plan approve {made['plan']} --digest {made['digest']} --as {bo}").code == 0
        assert passgate(f"plan run {made['plan']}").code == 0
        flow.work_until(lambda: flow.attempts()[0] == "ABSENT", "publish")
        flow.work("publish")
    assert flow.attempts() == ["ABSENT", "ACKED"]
    flow.work()


def submit(passgate: Typing, flow: Flow, who: str) -> int:
    made = passgate(
        f"plan submit waive {flow.name}/r1 --check QUARANTINE --until 1h --as {who} --because why --json"
    ).json
    return int(made["plan"])


def test_a_name_that_is_no_account_is_refused(passgate: Typing, blocked: Flow) -> None:
    """Whoever types nothing is cli:user@host, and that is nobody who could be told apart from another."""
    answer = passgate(f"plan submit waive {blocked.name}/r1 --check QUARANTINE --until 1h --because why")
    assert answer.code == 3 and "there is no account called cli:" in answer.err
    plan = submit(passgate, blocked, names("operator"))
    digest = passgate(f"plan show {plan} --json").json["digest"]
    for who in ("", f"--as {names('operator')}"):
        answer = passgate(f"plan approve {plan} --digest {digest} {who}")
        assert (answer.code, "[permission_denied]" in answer.err) == (3, True)


def test_one_person_does_not_approve(passgate: Typing, blocked: Flow) -> None:
    from ingest.models import AuditLog

    both = names("operator", "approver")
    plan = submit(passgate, blocked, both)
    digest = passgate(f"plan show {plan} --json").json["digest"]
    answer = passgate(f"plan approve {plan} --digest {digest} --as {both} --json")
    assert answer.code == 3 and '"same_person"' in answer.err
    assert AuditLog.objects.filter(actor=both, act="plan.approve", refused=True).exists()


def test_declining_and_what_follows_from_nothing(passgate: Typing, blocked: Flow) -> None:
    ana, bo = names("operator"), names("approver")
    plan = submit(passgate, blocked, ana)
    for act in ("pause", "cancel"):
        answer = passgate(f"plan {act} {plan} --as {ana} --because x")
        assert answer.code == 3 and "[plan_state]" in answer.err
    assert passgate(f"plan resume {plan} --as {ana}").code == 3
    declined = passgate(f"plan decline {plan} --as {bo} --because 'not like this'")
    assert declined.code == 0 and "is DECLINED" in declined.out
    assert passgate(f"plan run {plan}").code == 1


@pytest.mark.parametrize(
    "line",
    [
        "plan preview waive x/r1 --until 1h",
        "plan preview waive x/r1 --check PUBLISHED --until 1h",
        "plan preview waive x/r1 --check QUARANTINE --until tomorrow",
        "plan preview waive x/r1 --check QUARANTINE --until 2026-02-01T12:00:00",
        "plan preview replay x/r1",
        "plan approve 1 --digest abc --as me",
        "plan approve 1",
        "plan decline 1 --as me",
    ],
)
def test_a_command_line_that_is_wrong(passgate: Typing, line: str) -> None:
    assert passgate(line).code in (2, 3)
    assert passgate(line).out == ""


def test_a_plan_that_is_not_there(passgate: Typing) -> None:
    for line in ("plan show 9223372036854775807", "plan run 9223372036854775807"):
        answer = passgate(line)
        assert answer.code == 3 and "[not_found]" in answer.err


def test_a_refresh_and_an_end_of_re_checks(passgate: Typing, flow: Flow) -> None:
    from tests.audit.test_close import passed
    from tests.plans.test_basis_plan import blocked as promises_less

    ana, bo = names("operator"), names("approver")
    promises_less(flow)
    seen = passgate(f"plan preview basis {flow.name}/r1")
    assert seen.code == 0 and "The window's next verdict would be PASS." in seen.out
    done(passgate, f"basis {flow.name}/r1", ana, bo)
    assert flow.judge().verdict.state == "PASS"
    plan = done(passgate, f"retire {flow.name} --topic {flow.inbox}", ana, bo)
    gate = passgate(f"gate {flow.name}/r1")
    assert gate.code == 0 and f"Re-checks of {flow.inbox} were ended by plan {plan}" in gate.out
    assert passed(flow, "r2").verdict.state == "PASS"


def done(passgate: Typing, about: str, ana: str, bo: str) -> int:
    made = passgate(f"plan submit {about} --as {ana} --because why --json").json
    assert passgate(f"plan approve {made['plan']} --digest {made['digest']} --as {bo}").code == 0
    assert passgate(f"plan run {made['plan']}").code == 0
    return int(made["plan"])


@pytest.mark.parametrize(
    ("about", "said"),
    [
        ("basis flights", "a plan of the kind basis needs STREAM/RUN"),
        ("basis flights/r1 --topic t", "a plan of the kind basis takes no --topic"),
        ("retire flights", "a plan of the kind retire needs --topic"),
        ("retire flights/r1 --topic t", "a plan of the kind retire takes no STREAM/RUN"),
        ("waive flights/r1", "a plan of the kind waive needs --check and --until"),
    ],
)
def test_what_a_kind_is_asked_for_with(passgate: Typing, live: object, about: str, said: str) -> None:
    answer = passgate(f"plan preview {about}")
    assert (answer.code, said in answer.err) == (2, True)
