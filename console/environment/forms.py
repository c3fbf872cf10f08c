"""The forms that a setting's text can have: each gives a typed value, or says what was found and what to write.

What is found is never said of a secret's text, and of an address only what comes before its `://`: a password may stand
anywhere behind it, and a mistyped address is where it does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar
from urllib.parse import unquote, urlsplit

T = TypeVar("T")
SHOWN = 60
"""So many characters of a text that was found are said."""
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]{0,20})://.*", re.IGNORECASE | re.DOTALL)
_HOST = re.compile(r"\[[0-9a-f:.]+\]|[a-z0-9._-]+", re.IGNORECASE)
_BROKER = re.compile(rf"(?:[a-z_]+://)?(?:{_HOST.pattern})(?::([0-9]{{1,5}}))?", re.IGNORECASE)
_CLASS = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*:[^\W\d]\w*")
_FAILPOINT = re.compile(r"[\w.-]+(?::[0-9]{1,6}(?::(?:KILL|STOP))?)?")


class Unreadable(ValueError):
    """A text that has not the form; `found` says what it is instead, and nothing secret."""

    def __init__(self, found: str) -> None:
        self.found = found
        super().__init__(found)


@dataclass(frozen=True)
class Form(Generic[T]):
    """`read` makes the value of a text without spaces around it and raises Unreadable; `write` is the phrase that says
    what to write. `empty` says whether an empty text is a value, an empty list, or a setting that is not set.
    """

    write: str
    read: Callable[[str], T]
    empty: bool = False


def shown(text: str) -> str:
    """The text, short and printable; where it may hold a password, that it is one which is not shown."""
    if "@" in text:
        return "a text with an @ in it, which is not shown"
    return ascii(text if len(text) <= SHOWN else text[:SHOWN] + "...")


def plain_text(write: str, most: int = 200) -> Form[str]:
    """Printable text of 1 to `most` characters."""

    def read(text: str) -> str:
        if not text.isprintable():
            raise Unreadable("a text with characters that do not print")
        if len(text) > most:
            raise Unreadable(f"{len(text)} characters")
        return text

    return Form(write, read)


def secret(write: str) -> Form[str]:
    """Any text. Nothing is ever said about it."""
    return Form(write, str)


def switch() -> Form[bool]:
    """on or off, as people write it."""
    words = dict.fromkeys(("1", "true", "yes", "on"), True) | dict.fromkeys(("0", "false", "no", "off"), False)

    def read(text: str) -> bool:
        if text.lower() not in words:
            raise Unreadable(shown(text))
        return words[text.lower()]

    return Form("on or off (1 or 0, true or false, yes or no)", read)


def whole_number(least: int, most: int, *, or_zero: str = "") -> Form[int]:
    """From `least` to `most`, in digits; `or_zero` says what 0 means, where it means something of its own."""
    write = f"a whole number from {least} to {most}" + (f", or 0 {or_zero}" if or_zero else "")

    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text):
            raise Unreadable(shown(text))
        number = int(text)
        if not (least <= number <= most or or_zero and number == 0):
            raise Unreadable(str(number))
        return number

    return Form(write, read)


def one_of(words: Mapping[str, T]) -> Form[T]:
    """One of a few words, in small or capital letters."""

    def read(text: str) -> T:
        if text.upper() not in words:
            raise Unreadable(shown(text))
        return words[text.upper()]

    *most, last = words
    return Form(f"{', '.join(most)} or {last}" if most else last, read)


def folder(write: str) -> Form[Path]:
    """A folder that is there or can be made."""

    def read(text: str) -> Path:
        path = Path(text).expanduser()
        if path.exists() and not path.is_dir():
            raise Unreadable(f"{shown(text)}, which is no folder")
        return path

    return Form(write, read)


def database_address() -> Form[str]:
    """A postgresql:// URL that names a database."""

    def read(text: str) -> str:
        _scheme(text, {"postgresql", "postgres"})
        _host_and_port(text)
        if not unquote(urlsplit(text).path.lstrip("/")):
            raise Unreadable("an address that names no database")
        return text

    return Form("postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with what is special in a password as %40", read)


def broker_of_permits() -> Form[str]:
    """A Celery broker: Redis or Valkey, several with semicolons."""

    def read(text: str) -> str:
        for part in text.split(";"):
            _scheme(part, {"redis", "rediss", "redis+socket", "sentinel"})
            _host_and_port(part)
        return text

    return Form("redis://:PASSWORD@HOST:PORT/NUMBER, or rediss:// for TLS; Valkey is written so, too", read)


def _scheme(text: str, allowed: set[str]) -> None:
    found = _SCHEME.fullmatch(text)
    if not found:
        raise Unreadable("a text that begins with no scheme and ://")
    if found[1].lower() not in allowed:
        raise Unreadable(f"an address that begins with {found[1].lower()}://")


def _host_and_port(text: str) -> None:
    """urlsplit's own message would say a password in which a slash stands: it takes that for the port."""
    try:
        port = urlsplit(text).port
    except ValueError:
        raise Unreadable("an address whose host or port cannot be read") from None
    if port == 0:
        raise Unreadable("an address with port 0")


def brokers() -> Form[str]:
    """HOST:PORT of Kafka's brokers, with commas."""

    def read(text: str) -> str:
        for part in _parts(text) or [""]:
            found = _BROKER.fullmatch(part)
            if not found or not 0 < int(found[1] or 9092) < 65536:
                raise Unreadable(shown(part))
        return text

    return Form("HOST:PORT, several with commas between them", read)


def host_names() -> Form[list[str]]:
    """Names as a browser sends them, without scheme and port."""

    def read(text: str) -> list[str]:
        for part in _parts(text):
            if part != "*" and not _HOST.fullmatch(part):
                raise Unreadable(shown(part))
        return _parts(text)

    return Form("names without https:// and without a port, several with commas between them", read, empty=True)


def origins() -> Form[list[str]]:
    """Scheme and host, and a port where it is not the scheme's own."""

    def read(text: str) -> list[str]:
        for part in _parts(text):
            if not re.fullmatch(r"https?://[^/\s@?#]+", part, re.IGNORECASE):
                raise Unreadable(shown(part))
        return _parts(text)

    return Form("https://HOST without a path, several with commas between them", read, empty=True)


def classes() -> Form[tuple[str, ...]]:
    """Where classes stand; that they are there is seen when a contract names one."""

    def read(text: str) -> tuple[str, ...]:
        for part in _parts(text):
            if not _CLASS.fullmatch(part):
                raise Unreadable(shown(part))
        return tuple(_parts(text))

    return Form("package.module:Class, several with commas between them", read, empty=True)


def failpoints() -> Form[str]:
    """What ingest.failpoints can arm a process with."""

    def read(text: str) -> str:
        for part in filter(None, text.split(",")):
            if not _FAILPOINT.fullmatch(part):
                raise Unreadable(shown(part))
        return text

    return Form("NAME, NAME:3 or NAME:1:STOP, several with commas between them", read)


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
