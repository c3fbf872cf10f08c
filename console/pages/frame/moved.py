"""Paths of before: for one version they lead on to where the page is now, a form with what it holds."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase, HttpResponsePermanentRedirect


def moved_to(part: str) -> Callable[..., HttpResponseBase]:
    """A view that answers 308: `part` stands beside the path that was asked for, and takes its query."""

    def moved(request: HttpRequest, **_: str) -> HttpResponseBase:
        query = request.META.get("QUERY_STRING", "")
        return HttpResponsePermanentRedirect(f"{part}?{query}" if query else part, preserve_request=True)

    return moved
