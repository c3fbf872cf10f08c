"""Pages for what went wrong. None of them shows what was asked for, and none needs the database."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from console.pages.frame.shell import SHEETS, theme_of
from console.problems import MEDIA_TYPE, problem_body

WORDS = {
    400: ("This request cannot be understood", "Something in its address or form is not what the page sends."),
    403: (
        "Not permitted",
        "The form was not sent from a page of ours, or the page was open for too long. Load it again.",
    ),
    404: ("Not found", "There is no page here. Find looks in all runs by id, digest or offset."),
    411: ("This form cannot be read", "It was sent in chunks, and its end cannot be told. Nothing was done."),
    413: ("This form is too large", "Nothing was done with it. No page of ours sends so much."),
    415: ("This form cannot be read", "It is packed, or in another charset than UTF-8. Nothing was done."),
    500: ("Something of ours broke", "Nothing was changed by it. The log names the cause."),
}


CODES = {400: "request_invalid", 403: "permission_denied", 404: "not_found", 500: "internal_error"}
CODES |= {411: "length_required", 413: "request_too_large", 415: "media_type_unsupported"}


def problem(request: HttpRequest, status: int) -> HttpResponse:
    title, words = WORDS[status]
    if request.path.startswith("/api/"):
        return _document(request, status, title, words)
    context = {"status": status, "title": title, "words": words, "sheets": SHEETS, "theme": theme_of(request)}
    return render(request, "pages/frame/broken.html", context, status=status)


def _document(request: HttpRequest, status: int, title: str, words: str) -> HttpResponse:
    """What goes wrong before a view of the API is reached (a host that is not ours) is a problem document, too."""
    body = problem_body(status, CODES[status], title, detail=words, request=request)
    found = JsonResponse(body, status=status, content_type=MEDIA_TYPE)
    found["Cache-Control"] = "no-store"
    return found


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
