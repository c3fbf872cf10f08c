"""docs/stuck.md holds every way in which a lane or a window can stand still, and a test that does the act that ends it.

Written anew by `python -m tests.docs.test_stuck`: what is said comes from the code, which test does it from below.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from ingest.core.stops import STOPS, WAITS, waits_for
from plans.core.plan import Kind

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "stuck.md"
STUCK, RESTING = "tests/flow/test_stuck.py", "tests/flow/test_resting.py"
AGAIN, DECIDE = "tests/plans/test_republish.py", "tests/plans/test_decide.py"
CLOSE, DRIFT = "tests/audit/test_close.py", "tests/drift/test_rows.py"
GOES_ON = f"{STUCK}::test_a_lane_whose_reason_is_gone_goes_on_by_itself"

#: By code. A test that is parametrised by the code is named once.
TESTS = {
    "waits_for_reconcile": f"{RESTING}::test_a_lane_that_waits_for_a_person_takes_no_lease",
    "waits_for_silence": f"{RESTING}::test_a_lane_that_waits_for_silence_rests_and_a_request_wakes_it",
    "waits_for_republish": f"{AGAIN}::test_what_was_proven_absent_is_published_again_and_the_window_passes",
    "waits_for_transaction": f"{RESTING}::test_a_long_transaction_on_the_bus_costs_few_fences",
    "waits_for_context": "tests/audit/test_pins.py::test_each_window_is_joined_with_what_its_own_time_brought",
    "waits_for_fresh_context": "tests/audit/test_pins.py::test_a_fresh_run_takes_the_place_of_a_context_that_failed",
    "topic_gone": f"{STUCK}::test_a_new_run_starts_on_the_inbox_that_is_there",
    "topic_changed": f"{STUCK}::test_a_new_run_starts_on_the_inbox_that_is_there",
    "transactions_not_verified": f"{STUCK}::test_brokers_that_verify_again",
    "bus_compacts": f"{STUCK}::test_a_bus_that_is_set_right",
    "bus_too_small": f"{STUCK}::test_a_bus_that_is_set_right",
    "bus_missing": f"{STUCK}::test_a_new_run_starts_on_the_bus_that_is_there",
    "bus_too_narrow": f"{STUCK}::test_a_new_run_starts_on_the_bus_that_is_there",
    "publish_unknown": f"{STUCK}::test_a_publish_lane_goes_on",
    "publish_not_sent": f"{STUCK}::test_a_publish_lane_goes_on",
    "publish_refused": f"{STUCK}::test_a_publish_lane_goes_on",
    "payload_gone": f"{STUCK}::test_a_publish_lane_goes_on",
    "projection_failed": f"{STUCK}::test_a_projection_that_is_right_again",
    "context_not_pinned": f"{STUCK}::test_a_projection_that_is_right_again",
    "settings_invalid": f"{STUCK}::test_settings_that_are_right_again",
    "context_not_open": "tests/audit/test_contexts.py::test_the_lane_waits_while_its_context_cannot_be_re_checked",
    "truth_unguarded": "tests/flow/test_guarded_tables.py::test_a_lane_does_not_start_with_an_unguarded_table",
    "log_put_back": "tests/drift/test_put_back.py::test_a_lane_reads_again_what_it_received_last_before_it_goes_on",
    "log_truncated": f"{DRIFT}::test_the_next_window_goes_on_where_a_log_is_another_one",
    "ledger_behind": "tests/plans/test_adopt.py::test_where_the_newest_is_lost_an_older_copy_goes_on",
}

#: Codes of errors that no lane's step lets out, and why.
NOT_OF_LANES = {
    "passgate_error": "a base class", "lease_lost": "the lane is somebody else's now: that is no stop",
    "database_gone": "nothing can be written down; the lane is let go of",
    "gate_unavailable": "the gate's", "permission_denied": "the console's",
    "door_closed": "the door's", "no_open_run": "the door's", "too_many_events": "the door's",
    "resolution_refused": "quarantine's", "discard_beyond_bound": "quarantine's", "attempt_over": "of a request",
    "contract_unusable": "said when a contract is loaded", "not_undecidable": "of a plan", "not_withheld": "of a plan",
    "bus_still_there": "of a plan", "answers_otherwise": "of a plan",
    "ledger_not_behind": "of a plan",
}  # fmt: skip

#: By the act's words as the code has them; what is put in stands in braces.
ACTS = {
    "wait for the lanes": "tests/audit/test_close.py::test_what_has_not_been_read_blocks_and_names_the_lag",
    "make Kafka reachable": "tests/audit/test_gate.py::test_s28_the_broker_dies_while_a_window_closes",
    "measure again": "tests/audit/test_close.py::test_a_sample_that_has_aged_is_unmeasured",
    "open a new run": f"{STUCK}::test_after_a_window_that_cannot_pass_a_new_run_does",
    "capture the basis": "tests/audit/test_close.py::test_a_run_that_is_all_there_passes",
    "find who writes to {}, then open a new run": f"{STUCK}::test_after_a_window_that_cannot_pass_a_new_run_does",
    "find out who deleted {}, then open a new run": f"{STUCK}::test_a_new_run_starts_on_the_bus_that_is_there",
    "find out what became of {}, then open a new run": f"{STUCK}::test_a_new_run_starts_on_the_bus_that_is_there",
    "reconcile {}": f"{RESTING}::test_a_lane_that_waits_for_a_person_takes_no_lease",
    "reconcile {} again, or ask for a decide plan": (
        f"{DECIDE}::test_what_never_landed_is_decided_absent_and_published_again"
    ),
    "ask for a republish plan": TESTS["waits_for_republish"],
    "ask for a replay plan of the context's window, mode fresh": TESTS["waits_for_fresh_context"],
    "wait until that window has PASS": TESTS["waits_for_context"],
    "open a new run, on a context that stands": f"{STUCK}::test_after_a_window_that_cannot_pass_a_new_run_does",
    "open the next run: they belong to it": "tests/audit/test_drift.py::test_an_added_bus_partition_starts_at_0",
    "create {} anew, with what nobody read of it, then open a new run": f"{DRIFT}::test_a_row",
    "wait until they are taken in": (
        "tests/audit/test_drift.py::test_an_added_partition_starts_at_0_whatever_its_log_start"
    ),
    "wait for that gate to be looked at again": (
        "tests/audit/test_contexts.py::test_a_context_nobody_could_re_check_is_unmeasured_and_waited_for"
    ),
    "see to {} first": ("tests/audit/test_go_on.py::test_a_window_says_which_one_holds_back_its_end_on_the_bus"),
    "declare the totals": f"{STUCK}::test_totals_that_are_required_are_declared",
    "resolve {}": "tests/audit/test_close.py::test_a_blocked_run_passes_once_its_blocker_is_gone",
    "end the open transaction that holds {}": f"{STUCK}::test_an_open_transaction_that_ends",
    "look at the lane of {}": f"{STUCK}::test_a_lane_that_nobody_moves_goes_on_with_a_worker",
    "connect the stream's inbox": "tests/flow/test_door.py::test_the_whole_flow_from_the_door_to_a_pass",
    "cut the window": f"{STUCK}::test_a_window_that_is_cut_is_judged",
    "ask for a replay plan of what is still there": (
        "tests/plans/test_gone.py::test_a_gap_that_nobody_proved_in_time_says_so_and_another_replay_leads_out"
    ),
    "wait for the gaps to be proven": f"{CLOSE}::test_markers_in_the_inbox_are_gaps_that_closing_proves",
    "set Kafka's commit of {} back": f"{STUCK}::test_a_commit_that_somebody_else_moved_is_set_back",
    "set {} of {} back": "tests/plans/test_basis_plan.py::test_a_topic_that_compacts_is_refused",
    "set {} of {} back, or ask for a basis plan": (
        "tests/plans/test_basis_plan.py::test_a_posture_that_two_people_accept_lets_the_window_pass"
    ),
    "{}": f"{STUCK}::test_a_stopped_lanes_reason_stands_in_the_verdict_and_its_act_ends_it",
}

ACTS_TESTS = "tests/plans/test_acts.py"
#: By kind, and mode: where a window offers it, where not, and the test that takes it as it is offered.
OFFERS = {
    "replay `fresh`": (
        "a check is broken for good, and the window cannot be read",
        "events came in by HTTP or from another window's range; the inbox lacks a part; a rerun is being filled",
        "test_a_surplus_row_is_answered_by_a_run_in_the_windows_place",
    ),
    "replay `prove`": (
        "the same; of a part, where no receipt stands in for what is gone; first, where offsets have no receipt or "
        "effects are missing",
        "nothing of it is left; another run takes its place; a later run looks back on its run",
        "test_events_that_came_by_http_are_not_read_again",
    ),
    "redrive": (
        "items are open, by their reason",
        "a mismatch; an item of which only the first bytes are kept; a contract that names events otherwise",
        "test_an_open_item_is_redriven_or_waived",
    ),
    "waive": (
        "QUARANTINE, EXPECTED, DEGRADED or NOT_EMPTY is broken in a cut window",
        "another check; a window that failed",
        "test_an_open_item_is_redriven_or_waived",
    ),
    "republish": (
        "a publish was proven absent and is withheld, or was lost with a bus that was created again",
        "nothing is withheld or lost; a window that passed",
        "test_what_was_proven_absent_is_published_again",
    ),
    "decide": (
        "an attempt is UNDECIDABLE",
        "its log is gone; it is decided already",
        "test_an_undecidable_attempt_is_decided",
    ),
    "basis": (
        "a topic promises less",
        "it compacts; the window passed or failed",
        "test_a_posture_that_is_worse_is_taken_into_the_basis",
    ),
}

HEAD = """# What stands still, and what ends it

A lane that meets an error says so on its row and rests; it tries again by itself, so an act is about the reason. A lane
that *waits* has met none: it takes no lease, fence or producer until what it waits for is there. `passgate lanes`, the
page of lanes and a run's sentence say the code, the reason in full and the act. Each row names the test that brings the
lane or window there, does the act, and sees it go on. Where the act takes a second person it is a plan
([plans.md](plans.md#what-a-window-offers)), and named by its kind.

## Lanes
"""


def stops_table() -> Iterator[str]:
    yield "| code | what is wrong | what ends it | tested by |"
    yield "|---|---|---|---|"
    for code, stop in STOPS.items():
        text = f"{stop.text}; it {waits_for(code)}" if code in WAITS else stop.text
        yield f"| `{code}` | {text} | {stop.act} | `{TESTS.get(code, GOES_ON)}` |"


def acts_table() -> Iterator[str]:
    yield "| the sentence's next act | who | tested by |"
    yield "|---|---|---|"
    for words, who in sorted(said_by_the_code()):
        if words != "{}":
            yield f"| {words.replace('{}', '…')} | {who or 'nobody'} | `{ACTS[words]}` |"


def offers_table() -> Iterator[str]:
    yield "| plan | where it is offered | where it is not, and would be refused | tested by |"
    yield "|---|---|---|---|"
    for plan, (where, where_not, name) in OFFERS.items():
        yield f"| {plan} | {where} | {where_not} | `{ACTS_TESTS}::{name}` |"


def said_by_the_code() -> set[tuple[str, str]]:
    """Every Act that a check can give: its words, and the permission that it takes."""
    found = set()
    for file in (ROOT / "audit" / "core").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Act":
                who = ast.literal_eval(node.args[1]) if len(node.args) > 1 and _plain(node.args[1]) else ""
                found.add((_words(node.args[0]), who))
    return found


def _plain(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant)


def _words(node: ast.expr) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
    return str(node.value) if isinstance(node, ast.Constant) else "{}"


def page() -> str:
    return "\n".join(
        [HEAD, *stops_table(), "", "A code of another version is shown with its own words.", "", "## Windows", "",
         "What keeps a window from its PASS, by the act that its sentence names. What is broken in a window stays so:",
         "after it a new run starts on what is there.", "", *acts_table(), "", "## Plans that a window offers", "",
         "The menu *Request* of its page, `offers` of its checks in the API and `passgate run show` have the same ones",
         "([plans.md](plans.md#what-a-window-offers)).", "", *offers_table(), ""]
    )  # fmt: skip


def test_the_page_says_what_the_code_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == page()


def test_every_act_of_a_sentence_has_its_test() -> None:
    assert {words for words, _ in said_by_the_code()} == set(ACTS)


#: Acts that are plans, and of which kind.
PLANS = {
    "reconcile {} again, or ask for a decide plan": Kind.DECIDE,
    "ask for a republish plan": Kind.REPUBLISH,
    "ask for a replay plan of what is still there": Kind.REPLAY,
    "set {} of {} back, or ask for a basis plan": Kind.BASIS,
    "ask for a replay plan of the context's window, mode fresh": Kind.REPLAY,
}


def test_an_act_that_is_a_plan_can_be_asked_for(live: object) -> None:
    """A person who looks for a plan that nobody can ask for finds nothing."""
    from plans.kinds import KINDS

    plans = re.compile(r"\b(replay|redrive|rerun|waive|waiver|republish|refresh|decide|ask for)\b", re.IGNORECASE)
    offered = [*(words for words, _ in said_by_the_code()), *(stop.act for stop in STOPS.values())]
    assert {words for words in offered if plans.search(words)} == set(PLANS)
    assert set(PLANS.values()) <= set(KINDS)
    assert all(f"{kind} plan" in words for words, kind in PLANS.items()), "each is named by its kind"
    assert {words for words, who in said_by_the_code() if who in ("replay", "waive", "basis", "decide")} <= set(PLANS)


@pytest.mark.parametrize(
    "name",
    sorted({*TESTS.values(), *ACTS.values(), GOES_ON, *(f"{ACTS_TESTS}::{name}" for *_, name in OFFERS.values())}),
)
def test_every_test_that_is_named_is_there(name: str) -> None:
    file, _, function = name.partition("::")
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    assert function in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_a_test_by_code_knows_its_code() -> None:
    """Each code is written in the test file that is said to bring it about."""
    for code in STOPS:
        file = ROOT / TESTS.get(code, GOES_ON).partition("::")[0]
        text = file.read_text(encoding="utf-8")
        named = f'"{code}"' in text or code in WAITS or _class_of(code) in text
        assert named, code


def _class_of(code: str) -> str:
    return next((cls.__name__ for cls in errors() if cls.code == code), code)  # type: ignore[attr-defined]


def errors() -> list[type]:
    """Every named error of the flow."""
    from ingest.core.errors import PassgateError

    for module in ("admit.http", "consume", "publish", "publish.reconcile", "quarantine"):
        import_module(f"ingest.{module}")

    found, waiting = [], [PassgateError]
    while waiting:
        cls = waiting.pop()
        waiting += cls.__subclasses__()
        found += [cls] if cls.__module__.startswith("ingest") else []
    return found


def test_every_error_of_a_lane_has_its_row(live: object) -> None:
    codes = {cls.code for cls in errors()}  # type: ignore[attr-defined]
    assert codes - set(NOT_OF_LANES) - set(STOPS) == set()
    assert set(STOPS) - codes == {"unexpected"}


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
