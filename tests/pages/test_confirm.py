"""Acts of people on pages: each declares itself to one mechanism, and nothing beside it takes a form."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, get_type_hints

import pytest
from django.contrib.auth.models import AnonymousUser
from django.test import Client, RequestFactory
from django.urls import URLPattern

from console import urls
from console.pages.frame.confirm import Confirmation
from console.permissions import ALLOWED
from ingest.models import ItemState, QuarantineItem
from stack.place import PROJECT
from tests.pages.test_pages import get, post, still_open

if TYPE_CHECKING:
    from tests.pages.conftest import Stage

#: They change nothing of the ledger: who looks, and how pages look to them.
OF_ONESELF = {"sign-in", "sign-out", "theme"}
#: What has no name only leads on to what has one.
VIEWS: dict[str, Callable[..., Any]] = {
    each.name: each.callback for each in urls.urlpatterns if isinstance(each, URLPattern) and each.name
}


def takes_a_form(view: Callable[..., Any]) -> bool:
    """Whether a POST is answered at all: what nobody acts on is refused before anything is looked up."""
    request = RequestFactory().post("/")
    request.user = AnonymousUser()
    return bool(view(request).status_code != 405)


def act_of(view: Callable[..., Any]) -> type[Any]:
    found: type[Any] = get_type_hints(view)["return"]
    return found


@pytest.mark.parametrize("name", sorted(set(VIEWS) - OF_ONESELF))
def test_what_takes_a_form_declares_an_act(name: str) -> None:
    acts = issubclass(act_of(VIEWS[name]), Confirmation)
    assert takes_a_form(VIEWS[name]) is acts


ACTS = sorted({act_of(view) for view in VIEWS.values() if "return" in getattr(view, "__annotations__", {})}
              & set(Confirmation.__subclasses__()), key=lambda act: str(act.__name__))  # fmt: skip


def test_the_acts_of_pages_are_these() -> None:
    """A new one stands here by declaring itself."""
    assert [act.__name__ for act in ACTS] == [
        "Approving", "Asking", "Cancelling", "Closing", "Cutting", "Declining", "GoingOn", "Pausing", "Reconciling",
        "Resolving", "Resuming",
    ]  # fmt: skip
    assert set(ACTS) == set(Confirmation.__subclasses__()), "an act that no path leads to"


@pytest.mark.parametrize("act", ACTS)
def test_an_act_asks_for_a_permission_and_shows_what_every_act_shows(act: type[Any]) -> None:
    assert act.permission in ALLOWED
    template = (PROJECT / "templates" / "pages" / f"{act.template}.html").read_text(encoding="utf-8")
    for part in ("errors", "form", "acts"):
        assert f'"parts/frame/confirm_{part}.html" with confirm=page.confirm' in template, part
    assert '"parts/frame/same_act.html" with same=page.confirm.same' in template


def test_one_item_that_was_ticked_alone_is_resolved(operator: Client, stage: Stage) -> None:
    item = still_open(stage)[-1]
    path = f"/quarantine/resolve?item={item}"
    assert get(operator, path).fields["item"] == [str(item)]
    post(operator, path, resolution="DISCARDED", reason="ticked alone")
    assert QuarantineItem.objects.get(id=item).state == ItemState.RESOLVED
