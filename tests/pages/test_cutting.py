"""The page that cuts says what the cut would leave behind, and what it left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.test import Client

from tests.pages.test_pages import get, post

if TYPE_CHECKING:
    from stack import Stack
    from tests.flow.world import Flow


def test_the_page_of_cutting_says_what_an_open_transaction_hides(operator: Client, live: Stack) -> None:
    from tests.flow.strangers import strangers_transaction
    from tests.flow.world import Flow, thing

    flow = Flow()
    flow.open("r1")
    flow.produce([thing(1), thing(2)])
    flow.work()
    path = f"/runs/{flow.name}/r1/"
    with strangers_transaction(flow, thing(3)):
        flow.produce([thing(4)])
        flow.sample()
        words = "2 offsets wait behind an open transaction and would go to the next window."
        assert words in " ".join(get(operator, f"{path}cut").text.split())
        post(operator, f"{path}cut")
        assert "2 offsets of inbox/0 wait behind an open transaction since" in get(operator, path).text


def test_going_on_confirmed_twice_cuts_once(operator: Client, live: Stack) -> None:
    """The form's path names the window: a second click, or an open tab of before, cuts nothing more."""
    from tests.flow.world import Flow, leave, thing

    flow = Flow()
    flow.open("r1")
    flow.produce([thing(1), thing(2)])
    flow.work()
    path = f"/runs/{flow.name}/r1/"
    page = get(operator, f"{path}go-on")
    assert f'action="{path}go-on?window=1"' in page.text
    assert "Cut window 1 and go on" in page.text
    form = f"{path}go-on?window=1"
    post(operator, form)
    assert "Window 1 is cut; it is judged by itself. Window 2 is open." in get(operator, path).text
    again = get(operator, form)
    assert "Window 1 is cut already." in again.text
    post(operator, form)
    assert "Window 1 was cut before; nothing changed. Window 2 is open." in get(operator, path).text
    assert states(flow) == [(1, "CUT"), (2, "OPEN")]
    post(operator, f"{path}go-on?window=2")
    assert states(flow) == [(1, "CUT"), (2, "CUT"), (3, "OPEN")]
    assert acts(flow, "olga") == 2
    leave([flow.name])


def states(flow: Flow) -> list[tuple[int, str]]:
    from ingest.models import Window

    windows = Window.objects.filter(run__stream__name=flow.name).order_by("number")
    return list(windows.values_list("number", "state"))


def acts(flow: Flow, actor: str) -> int:
    """How many cuts of this person are in the audit log."""
    from ingest.models import AuditLog

    return AuditLog.objects.filter(actor=actor, act="run.cut", subject=f"{flow.name}/r1", refused=False).count()


def test_going_on_is_refused_without_the_permission_and_written_down(viewer: Client, live: Stack) -> None:
    from ingest.models import AuditLog
    from tests.flow.world import Flow

    flow = Flow()
    flow.open("r1")
    path = f"/runs/{flow.name}/r1/go-on?window=1"
    before = AuditLog.objects.filter(actor="vera", act="console.cut", refused=True).count()
    answer = post(viewer, path, status=403)
    assert "You cannot cut a run: it needs" in answer.content.decode()
    assert AuditLog.objects.filter(actor="vera", act="console.cut", refused=True).count() == before + 1
    assert states(flow) == [(1, "OPEN")]


def test_a_run_that_is_cut_does_not_go_on(operator: Client, live: Stack) -> None:
    from tests.flow.world import Flow

    flow = Flow()
    flow.open("r1")
    flow.cut("r1")
    path = f"/runs/{flow.name}/r1/go-on"
    assert "Window 1 is cut already." in get(operator, path).text
    answer = post(operator, path, status=409)
    assert "the run is not open, so that no window follows in it" in answer.content.decode()
    assert operator.get(f"{path}?window=2").status_code == 404
    assert states(flow) == [(1, "CUT")]


def test_the_path_of_before_leads_on_with_its_form_and_query() -> None:
    for method in (Client().get, Client().post):
        for old, new in (("seal", "cut"), ("judge", "close")):
            moved = method(f"/runs/nope/r1/{old}?window=1")
            assert (moved.status_code, moved.headers["Location"]) == (308, f"{new}?window=1")
            assert method(f"/runs/nope/r1/{old}").headers["Location"] == new
