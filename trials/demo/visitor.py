"""Somebody at the console: signs in by the form that people use, and opens pages."""

from __future__ import annotations

import re
import urllib.error
import urllib.parse
import urllib.request
from html import unescape
from http.cookiejar import CookieJar
from typing import ClassVar

from ingest.core.errors import PassgateError
from trials.demo.people import SignIn

TIMEOUT = 30.0
_TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')


class NotSignedIn(PassgateError):
    """The console did not let a person of the demo in."""

    code: ClassVar[str] = "demo_not_signed_in"
    what: ClassVar[str] = "a person of the demo could not sign in"


class Visitor:
    """A browser without scripts, in which `person` is signed in."""

    def __init__(self, url: str, person: SignIn) -> None:
        self._url = url
        direct = urllib.request.ProxyHandler({})
        self._opener = urllib.request.build_opener(direct, urllib.request.HTTPCookieProcessor(CookieJar()))
        _, form = self.open("/sign-in/")
        token = _TOKEN.search(form)
        fields = {"username": person.name, "password": person.password, "next": "/"}
        body = urllib.parse.urlencode(fields | {"csrfmiddlewaretoken": token[1] if token else ""}).encode()
        status, page = self.open("/sign-in/", body)
        if status != 200 or person.name not in page:
            raise NotSignedIn(expected=f"{person.name} at the console", found=f"status {status}")

    def open(self, path: str, body: bytes | None = None) -> tuple[int, str]:
        """A page's status, and its text as it was sent."""
        try:
            with self._opener.open(f"{self._url}{path}", body, timeout=TIMEOUT) as answer:
                return int(answer.status), answer.read().decode()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read().decode(errors="replace")

    def read(self, path: str) -> tuple[int, str]:
        """A page's status, and the words on it."""
        status, page = self.open(path)
        return status, words_of(page)


def words_of(page: str) -> str:
    """What a page says, without its markup."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", page)).split())
