"""What every endpoint has: who asks, what they may do, a strict and bounded body, a request id, nothing cached."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, ClassVar, NamedTuple

from django.contrib.auth import get_user_model
from django.urls import Resolver404, resolve, reverse
from knox.auth import TokenAuthentication
from knox.crypto import hash_token
from knox.models import AuthToken
from rest_framework import exceptions as drf
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.parsers import BaseParser
from rest_framework.permissions import BasePermission
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from console.api.problems import MAX_BODY, refusal
from console.bodies import length_of, read_body
from console.permissions import NOT_KNOWN, Act, may, roles_named
from console.problems import REQUEST_ID, BadRequest, OutOfScope, request_id
from console.refusals import refused
from ingest.core.errors import NotFound
from ingest.core.pointer import escape
from ingest.db import prepared, read

_NO_TEXT = re.compile("[\0\ud800-\udfff]")

DEPRECATED = "@1796083200"
"""Since when the paths and words of before are deprecated: 2026-12-01, as RFC 9745 has it (a Date of RFC 9651)."""


class JSON(JSONRenderer):
    """Everything beyond ASCII stands escaped, so that an answer is bytes whatever a name or payload holds."""

    ensure_ascii = True


#: Whose token it is and what they may do, in one look-up by the digest: it is asked for with every request.
_KNOWN = """
SELECT t.digest, t.expiry <= clock_timestamp() AS over, u.id, u.username, u.is_active, s.name, s.acts,
       ARRAY(SELECT g.name FROM auth_user_groups m JOIN auth_group g ON g.id = m.group_id WHERE m.user_id = u.id
             ) AS groups
  FROM knox_authtoken t JOIN auth_user u ON u.id = t.user_id LEFT JOIN token_scope s ON s.token_id = t.digest
 WHERE t.digest = %(digest)s
"""


class Token(TokenAuthentication):  # type: ignore[misc]  # knox is not typed
    """A knox token. Bytes that are no text are a wrong token, not an error of ours.

    The digest is of a secret nobody can guess, so it may be looked up; knox would read all tokens of the person, and
    the roles and the token's scope would be a query each.
    """

    def authenticate_credentials(self, token: bytes) -> Any:
        if not token.isascii():
            raise drf.AuthenticationFailed("Invalid token.")
        with read() as cur:
            row: Any = prepared(cur, _KNOWN, {"digest": hash_token(token.decode())}).fetchone()
        if row is None or row.over:
            raise drf.AuthenticationFailed("Invalid token.")
        user = get_user_model().from_db(
            "default", ["id", "username", "is_active"], [row.id, row.username, row.is_active]
        )
        user._passgate_roles = roles_named(row.groups)  # type: ignore[attr-defined]
        known = AuthToken.from_db("default", ["digest", "user_id"], [row.digest, row.id])
        known.passgate_scope = row.name and Scope(row.name, tuple(row.acts))
        known.user = user
        return self.validate_user(known)


class Scope(NamedTuple):
    """What a token is called, and which acts it may do; none named: all that its person may do."""

    name: str
    acts: tuple[str, ...]


class StrictJSON(BaseParser):
    """JSON of at most MAX_BODY bytes; a key named twice is refused, because two readers would see two documents."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None) -> Any:
        raw = read_body((parser_context or {})["request"], stream, MAX_BODY)
        try:
            body = json.loads(raw.decode("utf-8"), object_pairs_hook=_no_twins, parse_constant=_no_constant)
        except RecursionError:
            raise BadRequest(("", "nested too deep")) from None
        except (ValueError, UnicodeDecodeError) as error:
            raise BadRequest(("", str(error)), expected="a JSON document in UTF-8") from None
        if b"\\u" in raw:
            _check_text(body)
        return body


def _check_text(document: Any) -> None:
    """Text that neither UTF-8 nor PostgreSQL can hold is refused where it stands: NUL, and half a surrogate pair."""
    waiting: list[tuple[str, Any]] = [("", document)]
    while waiting:
        at, value = waiting.pop()
        if isinstance(value, str) and _NO_TEXT.search(value):
            raise BadRequest((at, "a string holds NUL or half a surrogate pair"))
        if isinstance(value, dict):
            waiting += [(at, key) for key in value]
            waiting += [(f"{at}/{escape(key)}", inner) for key, inner in value.items()]
        elif isinstance(value, list):
            waiting += [(f"{at}/{n}", inner) for n, inner in enumerate(value)]


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object names one key twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


class MayAct(BasePermission):
    """Asks may() about the act the endpoint names for this method. A refused act goes into the audit log."""

    def has_permission(self, request: Request, view: Any) -> bool:
        act = view.act_of(request.method)
        if act is None:
            raise drf.MethodNotAllowed(request.method or "")
        self.require(request, act, any_token=view.any_token)
        return True

    def require(self, request: Request, act: Act, any_token: bool = False) -> None:
        """Raises where whoever asks, or their token, may not do `act`; for what a body's content alone tells, too."""
        answer = may(request.user, act)
        if not answer:
            self._record(request, act, answer.reason, answer.code)
            raise refusal(answer)
        if not any_token:
            self._in_scope(request, act)

    def _in_scope(self, request: Request, act: Act) -> None:
        scope: Scope | None = getattr(request.auth, "passgate_scope", None)
        if scope and scope.acts and act.value not in scope.acts:
            found = f"token {scope.name!r} may only: {', '.join(scope.acts)}"
            self._record(request, act, found, OutOfScope.code)
            raise OutOfScope(expected=f"a token for {act.value}", found=found)

    def _record(self, request: Request, act: Act, reason: str, code: str) -> None:
        """Looking is not an act, and whoever is unknown cannot be named."""
        if request.user is None or code == NOT_KNOWN.code or act is Act.LOOK:
            return
        refused(actor_of(request), f"api.{act.value}", request.path, reason, {"code": code})


class Endpoint(APIView):
    """Base of the API's views. `acts` names the act that may() is asked about, for every method there is."""

    acts: ClassVar[Mapping[str, Act]] = {}
    authentication_classes: Sequence[type[BaseAuthentication]] = (Token, SessionAuthentication)
    permission_classes: Sequence[type[BasePermission]] = (MayAct,)
    parser_classes: Sequence[type[BaseParser]] = (StrictJSON,)
    renderer_classes: Sequence[type[BaseRenderer]] = (JSON,)
    http_method_names: Sequence[str] = ("get", "head", "put", "post")
    filters: ClassVar[frozenset[str]] = frozenset()
    """Names of the query parameters that are understood; another one is an error, never ignored."""

    successor: ClassVar[str] = ""
    """The name of the path that stands in place of this one, where this one only answers for one version more."""

    any_token: ClassVar[bool] = False
    """Whether a token that is limited to other acts may ask, too."""

    def act_of(self, method: str | None) -> Act | None:
        return self.acts.get("GET" if method == "HEAD" else method or "")

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        wrong: BadRequest | None = getattr(request._request, "passgate_refused", None)
        if wrong is not None:
            raise wrong
        super().initial(request, *args, **kwargs)
        unknown = sorted(set(request.query_params) - self.filters)
        if unknown:
            known = ", ".join(sorted(self.filters)) or "none"
            raise BadRequest(*((f"?{name}", f"not a parameter here; there are: {known}") for name in unknown))

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        answer = super().finalize_response(request, response, *args, **kwargs)
        answer.headers[REQUEST_ID] = request_id(request)
        answer.headers.setdefault("Cache-Control", "no-store")
        if self.successor:
            where = reverse(f"api:{self.successor}", kwargs=kwargs)
            answer.headers["Deprecation"], answer.headers["Link"] = DEPRECATED, f'<{where}>; rel="successor-version"'
        return answer


def actor_of(request: Request) -> str:
    """The person, as the audit log names them."""
    return str(request.user.get_username())


def time_of(request: Request, name: str) -> datetime:
    """A time of a query parameter that must be there, with its zone. Raises BadRequest."""
    text = request.query_params.get(name, "")
    found: datetime | None = None
    with suppress(ValueError):
        found = datetime.fromisoformat(text.replace(" ", "+"))  # a plus in a query means a space
    if found is None or found.tzinfo is None or not 1970 <= found.year < 9999:
        raise BadRequest((f"?{name}", "a time with its zone is expected, such as 2026-11-30T12:00:00Z"))
    return found


def body_of(request: Request, shape: type[Any]) -> dict[str, Any]:
    """The request's body as `shape` understands it. Raises a problem with a pointer for every fault.

    No body at all stands for an empty object, where the shape requires nothing.
    """
    found = shape(data=request.data)
    if not length_of(request._request) and any(field.required for field in found.fields.values()):
        raise BadRequest(("", "a body is expected"), expected=", ".join(found.fields))
    found.is_valid(raise_exception=True)
    return dict(found.validated_data)


class UnknownPath(Endpoint):
    """A path that is not there: a problem document, not a page, and to whoever asks."""

    permission_classes = ()
    authentication_classes = ()
    http_method_names = ("get", "head", "put", "post", "delete", "patch", "options")

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        raise NotFound(expected="a path of /api/v1/schema", found="none of that name", next_step=nearly(request.path))


def nearly(path: str) -> str:
    """The path that was meant, where only the slash at its end is wrong: collections have one, single things do not."""
    other = path.removesuffix("/") if path.endswith("/") else f"{path}/"
    try:
        meant = resolve(other).url_name != "unknown"
    except Resolver404:
        meant = False
    return f"ask for {other}" if meant else ""
