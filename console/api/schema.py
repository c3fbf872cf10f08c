"""The OpenAPI 3.1 document, and how endpoints say what they answer."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.plumbing import build_bearer_security_scheme_object
from drf_spectacular.renderers import OpenApiJsonRenderer
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from drf_spectacular.views import SpectacularAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from console.api import shapes
from console.api.endpoint import Endpoint
from console.api.paging import MOST
from console.permissions import Act
from console.problems import MEDIA_TYPE
from console.whole import LARGEST

_ALWAYS = (400, 401, 403, 415, 503)
BODY = (411, 413)
"""What an endpoint that reads a body answers besides."""

_WORDS = {
    400: "The request is not valid.",
    401: "Nobody is known to ask.",
    403: "Not permitted, or the gate is shut.",
    404: "There is no such thing.",
    409: "Refused: the ledger's state does not allow it now, or the same key is still running.",
    411: "The body's length must be said.",
    413: "The body is too large.",
    415: "The body is of a kind that is not read here.",
    422: "Understood, and not acceptable.",
    503: "It cannot be said now. Never a yes.",
}


def whole_number(least: int, most: int) -> dict[str, Any]:
    """A bounded integer, as a schema."""
    return {"type": "integer", "minimum": least, "maximum": most}


def query(
    name: str, words: str, kind: Any = OpenApiTypes.STR, choices: list[str] | None = None, required: bool = False
) -> OpenApiParameter:
    """A query parameter."""
    return OpenApiParameter(name, kind, OpenApiParameter.QUERY, description=words, enum=choices, required=required)


PAGING = [
    query("after", "The last row seen, as `next` gives it."),
    query("limit", "Rows of a page, 1 to 1000.", whole_number(1, MOST)),
]
IDEMPOTENCY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "pattern": "^[!-~]{1,255}$"},
    OpenApiParameter.HEADER,
    description="The same key does the act once and gives the same answer again, for 24 hours.",
)


def answers(shape: Any, *problems: int, success: int = 200) -> dict[Any, Any]:
    """What an endpoint answers with: `shape` on success, a problem document for the rest."""
    said: dict[Any, Any] = {success: shape}
    for status in sorted({*_ALWAYS, *problems}):
        said[(status, MEDIA_TYPE)] = OpenApiResponse(shapes.Problem, description=_WORDS[status])
    return said


SETTINGS: dict[str, Any] = {
    "SERVERS": [{"url": "/api/v1"}],
    "PATH_CONVERTER_OVERRIDES": {
        "number": whole_number(0, LARGEST),
        "str": {"type": "string", "minLength": 1, "maxLength": 1_000, "pattern": "^[^/]+$"},
    },
}


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the document names our token."""

    target_class = "console.api.endpoint.Token"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return build_bearer_security_scheme_object(header_name="Authorization", token_prefix="Token")


class Schema(Endpoint, SpectacularAPIView):
    """`SpectacularAPIView` makes the document; who may read it is ours to say."""

    acts = {"GET": Act.LOOK}
    renderer_classes = [OpenApiJsonRenderer]
    urlconf = "console.api.urls"
    custom_settings = SETTINGS

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """OpenAPI 3.1 of this API."""
        document: Response = super().get(request, *args, **kwargs)  # type: ignore[no-untyped-call]
        return document
