"""`passgate run`, `quarantine`, `reconcile` and `fsck`: a run from opening to a reader, as a person types it."""

from __future__ import annotations

import getpass
import json
import socket
from collections.abc import Callable

import pytest

from tests.cli.settled import settle
from tests.cli.typed import Typed
from tests.flow.world import Flow, thing
from tests.plans.crowd import numbers_are_large

Passgate = Callable[..., Typed]


def test_a_run_as_a_person_does_it(passgate: Passgate, flow: Flow) -> None:
    numbers_are_large()
    run = f"{flow.name}/2013-01"
    opened = passgate(f"run open {run}")
    assert opened.code == 0
    assert opened.out.startswith(f"{run} is open: window 1, contract v1 (")
    flow.produce([thing(1), thing(2), thing(1), thing(2, other=True), b"not json"])
    settle(flow)
    assert passgate(f"gate {run}").code == 4
    early = passgate(f"run close {run}")
    assert (early.code, early.out) == (3, "")
    assert "[not_cut]" in early.err
    shown = passgate(f"run show {run}")
    assert "Checks now, not a verdict" in shown.out
    assert f"Not judged yet. Cut it, and it is: passgate run cut {run}" in shown.out
    cut = passgate(f"run cut {run} --totals thing=2")
    assert cut.out == f"{run} is cut: window 1, inbox/0 at 5.\n"
    assert passgate(f"run cut {run}").out.startswith(f"{run} was cut already")
    settle(flow)
    flow.sample()
    blocked = passgate(f"run close {run}")
    assert blocked.code == 4
    assert blocked.out.splitlines()[0] == f"{run}#1 BLOCKED"
    assert "2 quarantine items are open" in blocked.out
    assert passgate(f"gate {run}").code == 4
    clear(passgate, run)
    flow.sample()
    passed = passgate(f"run close {run}")
    assert (passed.code, passed.out.splitlines()[0]) == (0, f"{run}#2 PASS")
    assert passgate(f"gate {run}").code == 0
    assert passgate(f"fsck {flow.name}").code == 0
    assert "#2 PASS" in passgate(f"run list {flow.name}").out


def clear(passgate: Passgate, run: str) -> None:
    listed = passgate(f"quarantine list {run}")
    assert "NOT_JSON" in listed.out and "PAYLOAD_MISMATCH" in listed.out
    items = {found["reason"]: found["item"] for found in passgate(f"quarantine list {run} --json").json["items"]}
    assert {line.split()[0] for line in listed.out.splitlines()[1:]} == {str(item) for item in items.values()}
    shown = passgate(f"quarantine show {items['PAYLOAD_MISMATCH']}")
    assert "its payload stands" in shown.out
    assert 'payload: {"type": "thing", "id": 2, "other": true}' in shown.out
    done = passgate(
        f"quarantine resolve {items['PAYLOAD_MISMATCH']} --reason-code ACCEPTED_FIRST --because 'a correction'"
    )
    who = f"cli:{getpass.getuser()}@{socket.gethostname()}"
    assert done.out == f"1 item resolved as ACCEPTED_FIRST by {who}.\n"
    done = passgate(f"quarantine resolve {run} --all --resolution DISCARDED --because noise --as ana")
    assert done.out == "1 item resolved as DISCARDED by ana.\n"
    assert passgate(f"quarantine list {run}").out == f"No open items in {run}.\n"
    resolved = passgate(f"quarantine list {run} --state RESOLVED --json").json["items"]
    assert sorted(found["resolution"]["by"] for found in resolved) == sorted([who, "ana"])


def test_opening_again_and_with_another_contract(passgate: Passgate, flow: Flow) -> None:
    run = f"{flow.name}/r1"
    assert passgate(f"run open {run} --json").json["result"] == "created"
    assert passgate(f"run open {run} --json").json["result"] == "same"
    flow.load(quarantine_open_max=3)
    assert passgate(f"run open {run}").code == 0
    refused = passgate(f"run open {run} --contract 2")
    assert (refused.code, refused.out) == (3, "")
    assert refused.err.splitlines()[0] == "passgate: the run exists with another contract [run_conflict]"
    passgate(f"run cut {run}")
    assert "was there already and is CUT" in passgate(f"run open {run}").out


RESOLVE = "--reason-code DISCARDED --because x"
WRONG = (
    "run open flights", "run open /x", "run open flights/", "run open a/b --as ' '", "run open a/b --pin weather",
    "run cut a/b --totals thing", "run cut a/b --totals thing=x", "run cut a/b --totals thing=1 --totals thing=2",
    "run close a/b --wait 5", "run close a/b --window 0", "gate", "gate a", "quarantine list a",
    "quarantine resolve 1 2 --reason-code GONE --because x", "quarantine resolve 1 --reason-code DISCARDED",
    f"quarantine resolve a/b {RESOLVE}", f"quarantine resolve a/b 3 {RESOLVE}", f"quarantine resolve 1 --all {RESOLVE}",
    "reconcile", "nothing", "run nothing", "token create ana", "token create ana --name x --expires 30",
    "user create ana", "user create ana --role king",
)  # fmt: skip
NOT_THERE = (
    "run show a/b", "run cut a/b", "run close a/b", "run totals a/b", "run totals a/b x=1", "run list a",
    "run open a/b", "quarantine list a/b", "quarantine show 999999999999", f"quarantine resolve 999999999999 {RESOLVE}",
    "reconcile a/b", "fsck a", "token create nobody-of-that-name --name x", "token list nobody-at-all",
    "token revoke nothing",
)  # fmt: skip


@pytest.mark.parametrize("line", WRONG)
def test_a_wrong_command_line_is_two(passgate: Passgate, line: str) -> None:
    wrong = passgate(line)
    assert (wrong.code, wrong.out) == (2, "")
    assert "Usage:" in wrong.err


@pytest.mark.parametrize("line", NOT_THERE)
def test_what_is_not_there_is_three_and_says_what_to_do(passgate: Passgate, line: str) -> None:
    refused = passgate(line)
    assert (refused.code, refused.out) == (3, "")
    assert refused.err.startswith("passgate: there is no such thing [not_found]\n  expected: ")
    assert json.loads(passgate(f"{line} --json").err)["code"] == "not_found"


def test_totals_are_declared_and_shown(passgate: Passgate, flow: Flow) -> None:
    run = f"{flow.name}/r1"
    passgate(f"run open {run}")
    assert "Nothing is declared" in passgate(f"run totals {run}").out
    assert "27,004" in passgate(f"run totals {run} thing=27004").out
    assert passgate(f"run totals {run} --json").json["totals"][0]["declared"] == 27004
    refused = passgate(f"run totals {run} nothing=1")
    assert (refused.code, "[totals_invalid]" in refused.err) == (3, True)


def test_closing_as_json_is_the_apis_document(passgate: Passgate, flow: Flow) -> None:
    run = f"{flow.name}/r1"
    passgate(f"run open {run}")
    passgate(f"run cut {run}")
    flow.work()
    closed = passgate(f"run close {run} --window 1 --json")
    assert (closed.code, closed.json["state"], closed.json["body"]["state"]) == (4, "BLOCKED", "BLOCKED")
    assert "NOT_EMPTY" in [check["check"] for check in closed.json["body"]["checks"] if "severity" in check]
    assert passgate(f"run show {run} --json").json["checks_now"]["state"] == "BLOCKED"


def test_closing_goes_on_when_somebody_else_was_first(passgate: Passgate, monkeypatch: pytest.MonkeyPatch) -> None:
    from audit.close import AnotherCloser, WindowFailed

    tried: list[object] = []

    def raced(*given: object) -> None:
        tried.append(given)
        raise AnotherCloser(expected="revision 1", found="revision 2") if len(tried) < 3 else WindowFailed(found="#2")

    monkeypatch.setattr("console.cli.run.close_run", raced)
    failed = passgate("run close a/b")
    assert (failed.code, len(tried)) == (1, 3)
    assert "[window_failed]" in failed.err


def test_reconciling_says_each_answer_as_it_comes(passgate: Passgate, flow: Flow) -> None:
    from tests.pages.scene import leave_unknown

    run = f"{flow.name}/r1"
    passgate(f"run open {run}")
    assert passgate(f"reconcile {run} --wait").out == f"Asked to reconcile 0 publishes of {run}.\n"
    leave_unknown(flow)
    asked = passgate(f"reconcile {run}")
    assert (asked.code, asked.out) == (0, f"Asked to reconcile 1 publish of {run}.\n")
    waiting = passgate(f"reconcile {run} --wait --for 1s")
    assert waiting.code == 4
    waiting = passgate(f"reconcile {run} --wait --for 1s --json")
    assert (waiting.code, waiting.json["items"][0]["state"]) == (4, "UNKNOWN")
    assert waiting.json["items"][0]["reconcile_requested"]["by"].startswith("cli:")


def test_a_database_that_is_not_there_is_one_message(passgate: Passgate, monkeypatch: pytest.MonkeyPatch) -> None:
    from django.db import OperationalError

    def gone(*_: object) -> None:
        raise OperationalError("connection failed: refused\n\tIs the server running?")

    monkeypatch.setattr("console.cli.run.run_written", gone)
    refused = passgate("run show a/b")
    assert refused.code == 3
    assert refused.err.splitlines()[:2] == [
        "passgate: PostgreSQL does not answer [database_gone]",
        "  found:    connection failed: refused",
    ]
    assert "DATABASE_URL" in refused.err
    assert "Traceback" not in refused.err


def test_text_from_outside_is_safe_on_a_terminal(passgate: Passgate, flow: Flow) -> None:
    run = f"{flow.name}/r1"
    passgate(f"run open {run}")
    flow.produce([b"\x1b]0;evil\x07{", '{"type": "\u202eevil"}'.encode()], headers=[("\x1b[31m", b"\x1b[31m")])
    flow.work("admission")
    items = [found["item"] for found in passgate(f"quarantine list {run} --json").json["items"]]
    said = [passgate(f"quarantine list {run}"), *(passgate(f"quarantine show {item}") for item in items)]
    said += [passgate(f"quarantine show {item} --json") for item in items]
    for answer in said:
        assert answer.code == 0
        assert not {"\x1b", "\x07", "\u202e"} & set(answer.out)
