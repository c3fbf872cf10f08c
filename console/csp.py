"""The Content-Security-Policy of every answer, built once: django-csp puts the same words together each time anew."""

from __future__ import annotations

from typing import Any

from csp.constants import HEADER
from csp.middleware import CheckableLazyObject, CSPMiddleware
from csp.utils import build_policy
from django.conf import settings


class PolicyMiddleware(CSPMiddleware):
    """django-csp's middleware, with the policy of the settings kept. What a view changes about it is built as ever."""

    def __init__(self, get_response: Any) -> None:
        super().__init__(get_response)
        self._usual = build_policy()

    def process_response(self, request: Any, response: Any) -> Any:
        own = settings.DEBUG or "_csp_nonce" in vars(request) or any(name.startswith("_csp") for name in vars(response))
        if own or HEADER in response:
            return super().process_response(request, response)
        response.headers[HEADER] = self._usual
        # a nonce asked for from now on would not be in the header: that stays an error
        request.csp_nonce = CheckableLazyObject(self._csp_nonce_post_response)
        return response
