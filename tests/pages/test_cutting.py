"""The page that cuts says what the cut would leave behind, and what it left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.test import Client

from tests.pages.test_pages import get, post

if TYPE_CHECKING:
    from stack import Stack


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


def test_the_path_of_before_leads_on_with_its_form_and_query() -> None:
    for method in (Client().get, Client().post):
        for old, new in (("seal", "cut"), ("judge", "close")):
            moved = method(f"/runs/nope/r1/{old}?window=1")
            assert (moved.status_code, moved.headers["Location"]) == (308, f"{new}?window=1")
            assert method(f"/runs/nope/r1/{old}").headers["Location"] == new
