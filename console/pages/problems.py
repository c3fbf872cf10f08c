"""Pages for what went wrong. None of them shows what was asked for, and none needs the database."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from console.pages.shell import SHEETS, theme_of

WORDS = {
    400: ("This request cannot be understood", "Something in its address or form is not what the page sends."),
    403: (
        "Not permitted",
        "The form was not sent from a page of ours, or the page was open for too long. Load it again.",
    ),
    404: ("Not found", "There is no page here. Find looks in all runs by id, digest or offset."),
    500: ("Something of ours broke", "Nothing was changed by it. The log names the cause."),
}


def problem(request: HttpRequest, status: int) -> HttpResponse:
    title, words = WORDS[status]
    context = {"status": status, "title": title, "words": words, "sheets": SHEETS, "theme": theme_of(request)}
    return render(request, "pages/broken.html", context, status=status)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return problem(request, 400)


def not_permitted(request: HttpRequest, exception: Exception) -> HttpResponse:
    return problem(request, 403)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return problem(request, 404)


def broken(request: HttpRequest) -> HttpResponse:
    return problem(request, 500)


def csrf_failed(request: HttpRequest, reason: str = "") -> HttpResponse:
    return problem(request, 403)
