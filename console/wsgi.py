"""The web process: `gunicorn console.wsgi`."""

import os
from typing import Any

import django
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.utils.http import parse_header_parameters

from console.checks import refuse_public_key

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")

UNREADABLE = {"charset": "unreadable"}


class Request(WSGIRequest):
    """Nothing of it is ever decoded by a charset that the client names.

    Django decodes even the query by the charset of a body that is not there, before any middleware: `unicode_escape`
    makes half surrogates of it, and `hex`, which is no text encoding, ends the request outside of Django.
    """

    def _set_content_type_params(self, meta: dict[str, Any]) -> None:
        try:
            self.content_type, self.content_params = parse_header_parameters(meta.get("CONTENT_TYPE", ""))
        except (LookupError, ValueError):  # a parameter in a charset of its own (RFC 2231) that nobody knows
            self.content_type, self.content_params = "", dict(UNREADABLE)


class Handler(WSGIHandler):
    """Django's, with our requests. Another charset than UTF-8 is refused by console.bodies."""

    request_class = Request


django.setup(set_prefix=False)
refuse_public_key()
application = Handler()
