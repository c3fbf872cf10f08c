"""Plans and waivers that nobody approved, written as the application's login would: refused by name, or not allowed."""

# ruff: noqa: E501  a statement that cheats reads best on one line
from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from audit.close import window_of
from audit.core import verdict as v
from plans.core.plan import State
from plans.submit import submit
from tests.database.cheats.frame import SUPERUSER, Cheat, notice
from tests.database.cheats.test_verdict import Forger, cut_window
from tests.database.test_refusals import as_role, refusal
from tests.fixtures import make_flow
from tests.flow.world import CONTRACT, Flow, thing
from tests.plans.crowd import Crowd, counted, counting, let_expire, run_to, say_yes
from tests.plans.test_waive import asked, open_items

__all__ = ["make_flow"]


@pytest.fixture(autouse=True)
def kind(live: object, monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setattr("ingest.worker.IDLE_SECONDS", 0.3)
    return counting(monkeypatch)


@pytest.fixture
def crowd(live: object) -> Crowd:
    return Crowd()


@pytest.fixture
def app() -> Iterator[psycopg.Cursor[Any]]:
    with as_role("app") as cur:
        yield cur


def refused(cur: psycopg.Cursor[Any], statement: str, *values: Any) -> str:
    cur.execute("SAVEPOINT before")
    try:
        return refusal(cur, statement, values)
    finally:
        cur.execute("ROLLBACK TO before")


ASKED = "INSERT INTO plan (kind, stream_id, binds, digest, reason, requested_by, requested_person, acted_by, expires_at{more}) SELECT p.kind, p.stream_id, {binds}, {digest}, 'why', 'me', 'user:me', 'me', clock_timestamp() + interval '1 h'{values} FROM plan p WHERE p.id = %s"


def forged(more: str = "", values: str = "", binds: str = "p.binds", digest: str = "p.digest") -> str:
    return ASKED.format(more=more, values=values, binds=binds, digest=digest)


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        (forged(", state", ", 'APPROVED'"), "plan_starts_submitted"),
        (forged(", approved_by, approved_person, approved_digest, approved_at", ", 'bo', 'user:bo', p.digest, now()"), "plan_starts_submitted"),
        (forged(digest="decode(repeat('ab', 32), 'hex')"), "plan_digest"),
        (forged(binds="p.binds || '{\"kind\": \"replay\"}'"), "plan_digest"),
        (forged(binds="p.binds || '{\"kind\": \"replay\"}'", digest="sha256(convert_to(canonical_json(p.binds || '{\"kind\": \"replay\"}'), 'UTF8'))"), "plan_says_its_row"),
        (forged(", rate", ", 1"), "plan_says_its_row"),
        (forged(", first_n", ", 1"), "plan_says_its_row"),
        (forged(", run_id", ", (SELECT min(id) FROM run)"), "plan_says_its_row"),
        (forged(", free_records, free_by_id", ", 1, (SELECT min(id) FROM contract)"), "plan_free_is_alone"),
    ],
)  # fmt: skip
def test_a_plan_that_begins_as_none_does(app: psycopg.Cursor[Any], crowd: Crowd, statement: str, rule: str) -> None:
    number = counted(crowd, ["a1"])
    if "FROM run)" in statement:
        Flow().open()
    assert refused(app, statement, number) == rule


def test_the_same_hand_with_nothing_forged(app: psycopg.Cursor[Any], crowd: Crowd) -> None:
    with pytest.raises(AssertionError, match="was allowed"):
        refused(app, forged(), counted(crowd, ["a1"]))


APPROVE = "UPDATE plan SET state = 'APPROVED', acted_by = 'bo', approved_by = {by}, approved_person = {person}, approved_digest = {digest} WHERE id = %s"


@pytest.mark.parametrize(
    ("by", "person", "digest", "rule"),
    [
        ("'bo'", "requested_person", "digest", "plan_four_eyes"),
        ("'bo'", "'user:bo'", "decode(repeat('ab', 32), 'hex')", "plan_approves_its_digest"),
        ("'bo'", "'user:bo'", "NULL", "plan_runs_approved"),
        ("NULL", "'user:bo'", "digest", "plan_runs_approved"),
        ("'bo'", "NULL", "digest", "plan_runs_approved"),
        ("'ada'", "'user:bo'", "digest", "plan_runs_approved"),  # somebody else than who acts
    ],
)
def test_a_forged_approval(
    app: psycopg.Cursor[Any], crowd: Crowd, by: str, person: str, digest: str, rule: str
) -> None:
    assert refused(app, APPROVE.format(by=by, person=person, digest=digest), counted(crowd, ["a1"])) == rule


GIVE = "INSERT INTO plan_approval (plan_id, who, person, digest{more}) SELECT id, {who}, {person}, {digest}{values} FROM plan WHERE id = %s"


def give(who: str = "'bo'", person: str = "'user:bo'", digest: str = "digest", more: str = "", values: str = "") -> str:
    return GIVE.format(who=who, person=person, digest=digest, more=more, values=values)


def approve_by(by: str) -> str:
    """Approved by the rows that are there, and no verb."""
    return f"UPDATE plan SET state = 'APPROVED', acted_by = '{by}', approved_by = '{by}', approved_person = 'user:{by}', approved_digest = digest WHERE id = %s"


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        (give(person="requested_person"), "plan_four_eyes"),
        (give(digest="decode(repeat('ab', 32), 'hex')"), "plan_approves_its_digest"),
        (give(digest="NULL"), "plan_approves_its_digest"),
        (give(who="' '"), "plan_approval_names_person"),
        (give(person="''"), "plan_approval_names_person"),
        (give(more=", ordinal", values=", 2"), "InsufficientPrivilege"),
        (give(more=", at", values=", now()"), "InsufficientPrivilege"),
    ],
)  # fmt: skip
def test_a_forged_row_of_an_approval(app: psycopg.Cursor[Any], crowd: Crowd, statement: str, rule: str) -> None:
    assert refused(app, statement, counted(crowd, ["a1"])) == rule


@pytest.fixture
def two(make_flow: Callable[..., Flow], crowd: Crowd) -> int:
    """A plan that wants two, and has none."""
    return counted(crowd, ["a1"], stream=make_flow(contract=CONTRACT + "[plans]\napprovals = 2\n").name)


def test_one_of_two_is_not_enough(app: psycopg.Cursor[Any], two: int) -> None:
    assert refused(app, approve_by("bo"), two) == "plan_has_its_approvals"
    app.execute(give(), (two,))
    for by in ("bo", "cy"):
        assert refused(app, approve_by(by), two) == "plan_has_its_approvals"
    for again in (give(), give(who="'bo2'")):
        assert refused(app, again, two) == "plan_approval_once", "by person, and not by account"
    app.execute(give("'cy'", "'user:cy'"), (two,))
    assert refused(app, give("'di'", "'user:di'"), two) == "plan_approval_waits"
    for by in ("bo", "di"):
        assert refused(app, approve_by(by), two) == "plan_has_its_approvals", "the last one is cy's"
    app.execute(approve_by("cy"), (two,))
    app.execute("UPDATE plan SET state = 'RUNNING', acted_by = 'me' WHERE id = %s", (two,))


def test_nothing_that_is_answered_takes_an_approval(app: psycopg.Cursor[Any], crowd: Crowd, two: int) -> None:
    app.execute(give(), (two,))
    app.execute("UPDATE plan SET state = 'DECLINED', acted_by = 'cy', acted_why = 'no' WHERE id = %s", (two,))
    assert refused(app, give("'cy'", "'user:cy'"), two) == "plan_approval_waits"
    assert (
        refused(app, "INSERT INTO plan_approval (plan_id, who, person, digest) VALUES (%s, 'bo', 'user:bo', 'x')", -1)
        == "plan_approval_waits"
    )
    number = counted(crowd, ["a1"])
    say_yes(crowd, number)
    assert refused(app, give(), number) == "plan_approval_waits"
    late = counted(crowd, ["a1"])
    let_expire(late)
    assert refused(app, give(), late) == "plan_expired"


def test_a_plan_binds_no_fewer_than_its_contract_asks_for(app: psycopg.Cursor[Any], two: int) -> None:
    def says(number: str, kind: str = "p.binds") -> str:
        binds = f"{kind} || jsonb_build_object('approvals', {number})"
        return forged(binds=binds, digest=f"sha256(convert_to(canonical_json({binds}), 'UTF8'))")

    fewer = "p.binds - 'approvals'"
    assert (
        refused(app, forged(binds=fewer, digest=f"sha256(convert_to(canonical_json({fewer}), 'UTF8'))"), two)
        == "plan_approvals_of_contract"
    )
    for number in ("1", "0", "11", "-2", "'2'::text", "'x'::text", "true", "NULL::text"):
        assert refused(app, says(number), two) == "plan_approvals_of_contract", number
    app.execute(says("3"), (two,))


def test_a_contract_that_asks_for_more_is_asked_at_each_step(app: psycopg.Cursor[Any], two: int) -> None:
    more = "INSERT INTO contract (stream_id, version, digest, source_text, files, loaded_by, approvals) SELECT c.stream_id, max(c.version) + 1, 'x', '', '{}', 'me', 3 FROM contract c JOIN plan p USING (stream_id) WHERE p.id = %s GROUP BY 1"
    for who in ("bo", "cy"):
        app.execute(give(f"'{who}'", f"'user:{who}'"), (two,))
    app.execute("SAVEPOINT waiting")
    app.execute(more, (two,))
    assert refused(app, approve_by("cy"), two) == "plan_approvals_of_contract"
    app.execute("ROLLBACK TO waiting")
    app.execute(approve_by("cy"), (two,))
    app.execute(more, (two,))
    assert (
        refused(app, "UPDATE plan SET state = 'RUNNING', acted_by = 'me' WHERE id = %s", two)
        == "plan_approvals_of_contract"
    )
    app.execute("UPDATE plan SET state = 'VOID', acted_by = 'me', acted_why = 'so' WHERE id = %s", (two,))
    app.connection.rollback()  # whoever leaves the stream loads a contract, too


def test_nobody_starts_alone_what_several_approve(
    app: psycopg.Cursor[Any], crowd: Crowd, make_flow: Callable[..., Flow]
) -> None:
    flow = make_flow(contract=CONTRACT + "[plans]\napprovals = 2\nfree_records = 9\n")
    flow.open()
    flow.produce([thing(1), b"a"])
    flow.work()
    flow.cut()
    assert refused(app, alone(), wanted(flow, crowd, 1)) == "plan_four_eyes"


ALONE = "UPDATE plan SET state = 'APPROVED', acted_by = requested_by, approved_by = requested_by, approved_person = {person}, approved_digest = digest{more} WHERE id = %s"


def alone(person: str = "requested_person", more: str = "") -> str:
    return ALONE.format(person=person, more=more)


@pytest.fixture
def free(live: object) -> Flow:
    """Two of three records that were set aside are free."""
    flow = Flow(contract=CONTRACT + "[plans]\nfree_records = 2\n")
    flow.open()
    flow.produce([thing(1), b"a", b"b", b"c"])
    flow.work()
    flow.cut()
    flow.work()
    flow.judge()
    return flow


def wanted(flow: Flow, crowd: Crowd, items: int, **more: Any) -> int:
    """A redrive of so many items."""
    asked_ = {"stream": flow.name, "run": "r1", "items": open_items(flow)[:items], **more}
    return submit("redrive", asked_, crowd.asker, "why", crowd.people)


def test_more_than_is_free(app: psycopg.Cursor[Any], crowd: Crowd, free: Flow) -> None:
    assert refused(app, alone(), wanted(free, crowd, 3)) == "plan_four_eyes"
    one, two = wanted(free, crowd, 1), wanted(free, crowd, 2)
    for more in (", free_records = 1", ", free_by_id = 1"):
        assert refused(app, alone(more=more), one) == "InsufficientPrivilege"
    app.execute(alone(), (one,))
    assert refused(app, alone(), two) == "plan_four_eyes", "one is left"
    app.execute("UPDATE plan SET state = 'RUNNING', acted_by = 'me' WHERE id = %s", (one,))
    app.execute("UPDATE plan SET state = 'HELD', acted_by = 'me', acted_why = 'so' WHERE id = %s", (one,))
    app.execute("UPDATE plan SET state = 'CANCELLED', acted_by = 'me', acted_why = 'so' WHERE id = %s", (one,))
    assert refused(app, alone(), two) == "plan_four_eyes", "what began counts whole"
    app.execute(alone(), (wanted_now(app, free, 1),))


def wanted_now(app: psycopg.Cursor[Any], flow: Flow, items: int) -> int:
    """As `wanted`, by the same hand: the requester's last plan once more, of fewer items."""
    app.execute(
        "INSERT INTO plan (kind, stream_id, run_id, win, binds, digest, reason, requested_by, requested_person, acted_by, expires_at)"
        " SELECT p.kind, p.stream_id, p.run_id, p.win, b.binds, sha256(convert_to(canonical_json(b.binds), 'UTF8')), 'why', p.requested_by, p.requested_person, p.requested_by, clock_timestamp() + interval '1 h'"
        " FROM plan p JOIN stream s ON s.id = p.stream_id CROSS JOIN LATERAL (SELECT jsonb_set(p.binds, '{items}', jsonb_path_query_array(p.binds, '$.items[0 to $n]', jsonb_build_object('n', %s::integer - 1))) AS binds) b"
        " WHERE s.name = %s AND p.kind = 'redrive' ORDER BY p.id DESC LIMIT 1 RETURNING id",
        (items, flow.name),
    )
    row = app.fetchone()
    assert row is not None
    return int(row[0])


def test_a_waiver_by_one_person(app: psycopg.Cursor[Any], crowd: Crowd, free: Flow) -> None:
    number = submit("waive", asked(free, "QUARANTINE"), crowd.asker, "why", crowd.people)
    assert refused(app, alone(), number) == "plan_four_eyes"


def test_other_bytes_by_one_person(app: psycopg.Cursor[Any], crowd: Crowd, free: Flow) -> None:
    number = wanted(free, crowd, 1, corrections={str(open_items(free)[0]): "e30="})
    assert refused(app, alone(), number) == "plan_four_eyes"


FORGED_KINDS = [
    ("replay", '{"asked": {"mode": "fresh"}, "origin": []}'),
    ("replay", '{"asked": {"mode": "prove"}, "facts": {"fresh": "r1.r1"}}'),
    ("decide", "{}"),
    ("basis", "{}"),
    ("retire", "{}"),
    ("republish", '{"items": ["9223372036854775"]}'),
    ("republish", '{"items": ["x"]}'),
]


@pytest.mark.parametrize(("kind", "more"), FORGED_KINDS)
def test_a_plan_of_a_kind_that_is_never_free(
    app: psycopg.Cursor[Any], crowd: Crowd, free: Flow, kind: str, more: str
) -> None:
    """However few records it says that it is of; and attempts that are not there yet."""
    before = wanted(free, crowd, 1)
    app.execute(
        "INSERT INTO plan (kind, stream_id, run_id, win, binds, digest, reason, requested_by, requested_person, acted_by, expires_at)"
        " SELECT %s, p.stream_id, p.run_id, p.win, b.binds, sha256(convert_to(canonical_json(b.binds), 'UTF8')), 'why', 'me', 'user:me', 'me', clock_timestamp() + interval '1 h'"
        " FROM plan p CROSS JOIN LATERAL (SELECT p.binds || jsonb_build_object('kind', %s::text) || %s::jsonb AS binds) b WHERE p.id = %s RETURNING id",
        (kind, kind, more, before),
    )
    row = app.fetchone()
    assert row is not None
    assert refused(app, alone(), row[0]) == "plan_four_eyes"


def test_what_was_counted_is_nobody_s_to_change(crowd: Crowd, free: Flow) -> None:
    number = wanted(free, crowd, 1)
    say_yes(crowd, number)
    with as_role("owner") as cur:
        for change in ("free_records = 1, free_by_id = 1", "free_records = 0"):
            assert (
                refused(cur, f"UPDATE plan SET state = 'RUNNING', {change} WHERE id = %s", number)
                == "plan_approval_fixed"
            )


def test_an_approval_that_comes_later_or_changes(app: psycopg.Cursor[Any], crowd: Crowd) -> None:
    number = counted(crowd, ["a1"])
    assert refused(app, "UPDATE plan SET state = 'RUNNING', acted_by = 'me' WHERE id = %s", number) == "plan_transition"
    say_yes(crowd, number)
    for column in ("approved_by", "approved_person"):
        assert (
            refused(app, f"UPDATE plan SET state = 'RUNNING', acted_by = 'me', {column} = 'x' WHERE id = %s", number)
            == "plan_approval_fixed"
        )


@pytest.mark.parametrize(
    "column",
    [
        "binds = binds || '{\"more\": 1}'",
        "digest = sha256('x')",
        "kind = 'replay'",
        "requested_by = 'x'",
        "requested_person = 'x'",
        "reason = 'x'",
        "expires_at = now() + interval '9 d'",
        "first_n = 1",
        "held_why = 'x'",
        "started_at = now()",
    ],
)
def test_what_was_asked_for_is_nobody_s_to_change(app: psycopg.Cursor[Any], crowd: Crowd, column: str) -> None:
    assert refused(app, f"UPDATE plan SET {column} WHERE id = %s", counted(crowd, ["a1"])) == "InsufficientPrivilege"


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ("binds = binds || '{\"more\": 1}'", "plan_fixed"), ("requested_person = 'x'", "plan_fixed"), ("digest = sha256('x')", "plan_fixed"),
        ("state = state", "plan_transition"), ("held_why = 'x'", "plan_transition"),
    ],
)  # fmt: skip
def test_nor_its_owner_s(crowd: Crowd, change: str, rule: str) -> None:
    number = counted(crowd, ["a1"])
    with as_role("owner") as cur:
        assert refused(cur, f"UPDATE plan SET {change} WHERE id = %s", number) == rule


@pytest.mark.parametrize("state", ["DECLINED", "HELD", "VOID", "CANCELLED"])
def test_what_ends_or_holds_a_plan_says_why(app: psycopg.Cursor[Any], crowd: Crowd, state: str) -> None:
    number = counted(crowd, ["a1", "a2", "a3", "a4"])
    if state != "DECLINED":
        say_yes(crowd, number)
    if state in ("HELD", "CANCELLED"):
        app.execute("UPDATE plan SET state = 'RUNNING', acted_by = 'me', acted_why = '' WHERE id = %s", (number,))
    if state == "CANCELLED":
        app.execute("UPDATE plan SET state = 'HELD', acted_by = 'me', acted_why = 'so' WHERE id = %s", (number,))
    assert (
        refused(app, f"UPDATE plan SET state = '{state}', acted_by = 'me', acted_why = ' ' WHERE id = %s", number)
        == "plan_says_why"
    )


def test_a_plan_is_not_expired_before_its_time(app: psycopg.Cursor[Any], crowd: Crowd) -> None:
    number = counted(crowd, ["a1"])
    assert (
        refused(app, "UPDATE plan SET state = 'EXPIRED', acted_by = 'me' WHERE id = %s", number)
        == "plan_expires_in_time"
    )


def test_done_with_items_left(app: psycopg.Cursor[Any], crowd: Crowd) -> None:
    number = counted(crowd, ["a1"])
    say_yes(crowd, number)
    app.execute("UPDATE plan SET state = 'RUNNING', acted_by = 'me' WHERE id = %s", (number,))
    assert refused(app, "UPDATE plan SET state = 'DONE', acted_by = 'me' WHERE id = %s", number) == "plan_done_is_whole"


HISTORY = [
    "UPDATE plan_approval SET person = 'x' WHERE plan_id = %s",
    "DELETE FROM plan_approval WHERE plan_id = %s",
    "UPDATE plan_event SET why = 'x' WHERE plan_id = %s",
    "DELETE FROM plan_event WHERE plan_id = %s",
    "INSERT INTO plan_event (plan_id, to_state, who, why) VALUES (%s, 'DONE', 'me', 'so')",
    "INSERT INTO plan_item (plan_id, ordinal, subject) VALUES (%s, 99, 'more')",
    "DELETE FROM plan_item WHERE plan_id = %s",
    "UPDATE plan_item SET subject = 'x' WHERE plan_id = %s",
    "UPDATE plan_origin SET running = false WHERE plan_id = %s",
    "DELETE FROM plan WHERE id = %s",
    "INSERT INTO plan_transition_allowed SELECT 'SUBMITTED', 'DONE' FROM plan WHERE id = %s",
]


@pytest.mark.parametrize("statement", HISTORY)
def test_the_history_is_the_database_s_own(app: psycopg.Cursor[Any], crowd: Crowd, statement: str) -> None:
    assert refused(app, statement, counted(crowd, ["a1"])) == "InsufficientPrivilege"


@pytest.mark.parametrize(
    "statement",
    [
        x
        for x in HISTORY
        if x.startswith(("UPDATE plan_event", "UPDATE plan_approval", "DELETE", "INSERT INTO plan_tr"))
    ],
)
def test_the_owner_does_not_rewrite_it_either(crowd: Crowd, statement: str) -> None:
    number = counted(crowd, ["a1"])
    if "transition_allowed" in statement:
        statement = "UPDATE plan_transition_allowed SET to_state = 'DONE' WHERE %s > 0 AND from_state = 'SUBMITTED'"
    with as_role("owner") as cur:
        assert refused(cur, statement, number) == "append_only"


def test_an_item_has_one_outcome_and_only_while_its_plan_runs(app: psycopg.Cursor[Any], crowd: Crowd) -> None:
    number = counted(crowd, ["a1", "a2"])
    end = "UPDATE plan_item SET outcome = 'DONE', at = now() WHERE plan_id = %s AND ordinal = 0"
    assert refused(app, end, number) == "plan_item_of_running_plan"
    say_yes(crowd, number)
    assert refused(app, end, number) == "plan_item_of_running_plan"
    app.execute("UPDATE plan SET state = 'RUNNING', acted_by = 'me' WHERE id = %s", (number,))
    app.execute(end, (number,))
    assert refused(app, end, number) == "plan_item_outcome_once"
    assert (
        refused(app, "UPDATE plan_item SET outcome = NULL, at = NULL WHERE plan_id = %s AND ordinal = 0", number)
        == "plan_item_outcome_once"
    )
    assert (
        refused(app, "UPDATE plan_item SET outcome = 'FINE', at = now() WHERE plan_id = %s AND ordinal = 1", number)
        == "plan_item_outcome_known"
    )


@pytest.mark.parametrize(
    ("first", "second", "refuses"),
    [((0, 10), (9, 20), True), ((0, 10), (0, 10), True), ((0, 10), (10, 20), False), ((5, 6), (0, 100), True)],
)
def test_two_running_plans_share_no_offset(
    app: psycopg.Cursor[Any], crowd: Crowd, first: tuple[int, int], second: tuple[int, int], refuses: bool
) -> None:
    from plans.core.binding import Origin

    flow = Flow()
    flow.open()
    (source,) = flow.sources("inbox")
    numbers = [counted(crowd, ["a1"], stream=flow.name, origin=(Origin(source, *ends),)) for ends in (first, second)]
    for number in numbers:
        say_yes(crowd, number)
    begin = "UPDATE plan SET state = 'RUNNING', acted_by = 'me' WHERE id = %s"
    app.execute(begin, (numbers[0],))
    if refuses:
        assert refused(app, begin, numbers[1]) == "plan_one_running_origin"
        app.execute("UPDATE plan SET state = 'HELD', acted_by = 'me', acted_why = 'so' WHERE id = %s", (numbers[0],))
    app.execute(begin, (numbers[1],))
    if refuses:  # what is held goes on only where nobody runs there
        assert refused(app, begin, numbers[0]) == "plan_one_running_origin"


# ---- what a stolen server leaves behind -----------------------------------------------------------------------------

STOLEN_ROWS = [
    ("approved by who asked, where nothing refuses it", "ALTER TABLE plan DROP CONSTRAINT plan_four_eyes; UPDATE plan SET approved_person = requested_person WHERE id = %(plan)s", "", "approvals"),
    ("free, of a kind that never is", "ALTER TABLE plan DROP CONSTRAINT plan_four_eyes; UPDATE plan SET approved_person = requested_person, free_records = 1, free_by_id = (SELECT min(id) FROM contract c WHERE c.stream_id = plan.stream_id) WHERE id = %(plan)s", "", "approvals"),
    ("approved by who asked", "UPDATE plan SET approved_person = requested_person WHERE id = %(plan)s", "plan_four_eyes", ""),
    ("approved by nobody", "UPDATE plan SET state = 'DONE', approved_by = NULL, approved_person = NULL, approved_digest = NULL, approved_at = NULL WHERE id = %(plan)s", "plan_runs_approved", ""),
    ("an approval taken away", "DELETE FROM plan_approval WHERE plan_id = %(plan)s", "", "approvals"),
    ("an approval by who asked", "UPDATE plan_approval SET person = (SELECT requested_person FROM plan WHERE id = plan_id) WHERE plan_id = %(plan)s", "", "approvals"),
    ("an approval of another digest", "UPDATE plan_approval SET digest = sha256('x') WHERE plan_id = %(plan)s", "", "approvals"),
    ("an approval by another account than the plan names", "UPDATE plan_approval SET who = 'eve' WHERE plan_id = %(plan)s", "", "approvals"),
    ("one of two approvals", "UPDATE plan SET binds = binds || '{\"approvals\": 2}' WHERE id = %(plan)s", "", "approvals"),
    ("another is named beside who approved it", "UPDATE plan SET approved_by = approved_by || ', eve' WHERE id = %(plan)s", "", "approvals"),
    ("one approval too many", "INSERT INTO plan_approval (plan_id, ordinal, who, person, digest) SELECT id, 2, 'eve', 'user:eve', digest FROM plan WHERE id = %(plan)s", "", "approvals"),
    ("an approval of another time", "UPDATE plan_approval SET at = at + interval '1 h' WHERE plan_id = %(plan)s", "", "approvals"),
    ("other bindings", "UPDATE plan SET binds = binds || '{\"more\": 1}' WHERE id = %(plan)s", "", "plans"),
    ("another item", "INSERT INTO plan_item (plan_id, ordinal, subject, outcome, at) VALUES (%(plan)s, 9, 'more', 'DONE', now())", "", "plans"),
    ("an item without an outcome", "UPDATE plan_item SET outcome = NULL, at = NULL, reason = NULL WHERE plan_id = %(plan)s", "", "plan_history"),
    ("a step taken away", "DELETE FROM plan_event WHERE plan_id = %(plan)s AND to_state = 'APPROVED'", "", "plan_history"),
    ("a state nobody brought about", "UPDATE plan SET state = 'HELD' WHERE id = %(plan)s", "", "plan_history"),
    ("another digest, and its approval with it", "UPDATE plan SET digest = sha256('x'), approved_digest = sha256('x') WHERE id = %(plan)s", "", "plans"),
    ("a waiver of more", "UPDATE waiver SET until = until + interval '9 d' WHERE plan = %(plan)s", "", "waivers"),
    ("a waiver of other facts", "UPDATE waiver SET facts = '{}' WHERE plan = %(plan)s", "", "waivers"),
    ("a verdict that names another", "UPDATE verdict SET body = jsonb_set(body, '{waivers,0,plan}', '0') WHERE win = %(win)s AND waived", "", "passes"),
]  # fmt: skip
STOLEN = [Cheat(*row, by=SUPERUSER) for row in STOLEN_ROWS]


@pytest.mark.parametrize("cheat", STOLEN, ids=[cheat.id for cheat in STOLEN])
def test_a_stolen_server_is_noticed(waived_run: dict[str, Any], cheat: Cheat) -> None:
    notice(cheat, waived_run)


# ---- waivers --------------------------------------------------------------------------------------------------------

WAIVE = (
    "INSERT INTO waiver (win, check_name, facts, until, plan, requested_by, approved_by, reason)"
    " SELECT p.win, {check}, {facts}, {until}, p.id, p.requested_by, {by}, p.reason FROM plan p WHERE p.id = %s"
)


def grant(
    check: str = "p.binds -> 'asked' ->> 'check'",
    facts: str = "p.binds -> 'facts'",
    until: str = "(p.binds -> 'asked' ->> 'until')::timestamptz",
    by: str = "p.approved_by",
) -> str:
    return WAIVE.format(check=check, facts=facts, until=until, by=by)


@pytest.fixture
def blocked(live: object) -> Flow:
    flow = cut_window([thing(1), b"not json"])
    assert flow.judge().verdict.state is v.State.BLOCKED
    return flow


def test_a_waiver_without_a_plan_that_runs(app: psycopg.Cursor[Any], crowd: Crowd, blocked: Flow) -> None:
    number = submit("waive", asked(blocked, "QUARANTINE"), crowd.asker, "why", crowd.people)
    assert refused(app, grant(by="'bo'"), number) == "waiver_of_its_plan"
    say_yes(crowd, number)
    assert refused(app, grant(), number) == "waiver_of_its_plan"
    app.execute("UPDATE plan SET state = 'RUNNING', acted_by = 'me' WHERE id = %s", (number,))
    for cheat in (
        grant(check="'NOT_EMPTY'"), grant(facts="'{\"open\": 0}'"), grant(by="'somebody'"),
        grant(until="now() + interval '9 d'"), grant(check="'PUBLISHED'"),
    ):  # fmt: skip
        assert refused(app, cheat, number) == "waiver_of_its_plan"
    app.execute(grant(), (number,))
    assert refused(app, grant(), number) == "waiver_of_one_plan"


def test_a_plan_of_another_kind_waives_nothing(app: psycopg.Cursor[Any], crowd: Crowd, blocked: Flow) -> None:
    number = counted(crowd, ["a1"], stream=blocked.name)
    say_yes(crowd, number)
    app.execute("UPDATE plan SET state = 'RUNNING', acted_by = 'me' WHERE id = %s", (number,))
    win = window_of(blocked.name, "r1")
    cheat = "INSERT INTO waiver (win, check_name, facts, until, plan, requested_by, approved_by, reason) SELECT %s, 'QUARANTINE', waiver_facts(%s, 'QUARANTINE'), now() + interval '1 h', p.id, p.requested_by, p.approved_by, p.reason FROM plan p WHERE p.id = %s"
    assert refused(app, cheat, win, win, number) == "waiver_of_its_plan"


def test_a_waiver_of_facts_that_are_others_now(app: psycopg.Cursor[Any], crowd: Crowd, blocked: Flow) -> None:
    number = submit("waive", asked(blocked, "QUARANTINE"), crowd.asker, "why", crowd.people)
    say_yes(crowd, number)
    app.execute("UPDATE plan SET state = 'RUNNING', acted_by = 'me' WHERE id = %s", (number,))
    app.execute(
        "UPDATE quarantine_item SET state = 'RESOLVED', resolution = 'DISCARDED', resolved_by = 'me', resolved_reason = 'so', resolved_at = now() WHERE win = %s",
        (window_of(blocked.name, "r1"),),
    )
    assert refused(app, grant(), number) == "waiver_of_its_plan"


@pytest.mark.parametrize(
    "statement",
    ["UPDATE waiver SET until = now() + interval '9 d' WHERE plan = %s", "DELETE FROM waiver WHERE plan = %s"],
)
def test_a_waiver_stands_as_it_was_given(app: psycopg.Cursor[Any], statement: str) -> None:
    assert refused(app, statement, 1) == "InsufficientPrivilege"


class Waived(Forger):
    """A PASS (waived) as the verb would write it."""

    def waives(self, check: str, waiver: dict[str, Any]) -> Waived:
        self.says("PASS", waived=True)
        for each in self.body["checks"]:
            if each["check"] == check:
                each |= {"state": "WAIVED", "waiver": waiver}
                each.pop("severity", None)
        self.body["waivers"] = [waiver]
        return self


def test_a_waived_pass_without_its_waiver(app: psycopg.Cursor[Any], crowd: Crowd, blocked: Flow) -> None:
    """What the verb writes once the waiver is there, written before, and with one word of it another."""
    until = v.stamp(Forger(app, blocked).now)
    named = {
        "check": "QUARANTINE",
        "plan": 1,
        "requested_by": "ada",
        "approved_by": "bo",
        "reason": "so",
        "until": until,
        "facts": "ab",
    }
    assert Waived(app, blocked).waives("QUARANTINE", named).refused() == "verdict_waived_by_plan"
    app.connection.rollback()
    number = submit("waive", asked(blocked, "QUARANTINE"), crowd.asker, "why", crowd.people)
    say_yes(crowd, number)
    run_to(crowd, number, State.DONE)
    (given,) = blocked.rows("SELECT *, waiver_digest(facts) AS digest FROM waiver WHERE plan = %(plan)s", plan=number)
    honest = {
        "check": "QUARANTINE", "plan": number, "requested_by": crowd.asker.name, "approved_by": crowd.approver.name, "reason": "why",
        "until": v.stamp(given.until), "facts": given.digest,
    }  # fmt: skip
    with pytest.raises(AssertionError, match="was allowed"):
        Waived(app, blocked).waives("QUARANTINE", honest).refused()
    for name, other in {
        "plan": number + 1,
        "requested_by": "x",
        "approved_by": "x",
        "reason": "x",
        "until": until,
        "facts": "ab",
    }.items():
        assert (
            Waived(app, blocked).waives("QUARANTINE", honest | {name: other}).refused() == "verdict_waived_by_plan"
        ), name


def test_a_waiver_on_another_check_than_it_names(app: psycopg.Cursor[Any], crowd: Crowd, blocked: Flow) -> None:
    number = submit("waive", asked(blocked, "QUARANTINE"), crowd.asker, "why", crowd.people)
    say_yes(crowd, number)
    run_to(crowd, number, State.DONE)
    blocked.judge()  # PASS (waived)
    forger = Forger(app, blocked)
    forger.body["waivers"] = []
    assert forger.refused() in ("verdict_checks_agree", "verdict_stands")
    (check,) = [x for x in forger.body["checks"] if x["state"] == "WAIVED"]
    for broken in (
        {"severity": "BLOCKED"},
        {"causes": []},
        {"causes": [{"severity": "FAIL"}]},
        {"follows_from": "CAUGHT_UP"},
    ):
        other = Forger(app, blocked)
        (mine,) = [x for x in other.body["checks"] if x["check"] == check["check"]]
        mine |= broken
        other.body["waivers"][0]["reason"] = "another"  # or the PASS stands
        assert other.refused() == "verdict_checks_agree", broken
