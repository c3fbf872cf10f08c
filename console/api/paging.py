"""Keyset pages: `after` names the last row seen, `next` is the URL of the page that follows it, or null."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import urlencode

from rest_framework.request import Request

from console.problems import BadRequest
from console.whole import LARGEST, whole

T = TypeVar("T")

USUAL = 100
MOST = 1_000
PARAMETERS = frozenset({"after", "limit"})


def limit_of(request: Request) -> int:
    """Rows a page has: 1 to MOST."""
    return number_of(request, "limit", USUAL, least=1, most=MOST)


def number_of(request: Request, name: str, default: int, least: int = 0, most: int = LARGEST) -> int:
    """A whole number among the query parameters."""
    text = request.query_params.get(name)
    if text is None:
        return default
    number = whole(text, most)
    if number is None or number < least:
        raise BadRequest((f"?{name}", f"a whole number from {least} to {most} is expected"))
    return number


def place_of(request: Request) -> tuple[int, int] | None:
    """`after` as source/offset."""
    text = request.query_params.get("after")
    if text is None:
        return None
    source, offset = (whole(part) for part in text.partition("/")[::2])
    if source is None or offset is None:
        raise BadRequest(("?after", "source/offset is expected, as `next` gives it"))
    return source, offset


def page(
    request: Request, rows: Sequence[T], limit: int, key: Callable[[T], object], documents: Sequence[Any]
) -> dict[str, Any]:
    """`rows` were asked for with one more than `limit`; `documents` are those of the first `limit` rows."""
    more = len(rows) > limit
    return {"items": list(documents), "next": _next(request, key(rows[limit - 1])) if more else None}


def _next(request: Request, after: object) -> str:
    kept = {name: value for name, value in request.query_params.items() if name != "after"}
    return f"{request.path}?{urlencode(kept | {'after': str(after)}, safe='/')}"
