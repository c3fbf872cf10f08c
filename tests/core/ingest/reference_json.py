"""A slow, plain parser of strict JSON, written from RFC 8259 character by character: the fast one must agree with it.

It shares no code with the project and uses no JSON library.
"""

from __future__ import annotations

import math
from typing import Any

WHITE = " \t\r\n"
SHORT = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
DIGITS = "0123456789"
HEX = "0123456789abcdefABCDEF"


class Refused(Exception):
    """Not what Passgate takes."""


class Reference:
    def __init__(self, text: str, depth: int) -> None:
        self.text = text
        self.at = 0
        self.depth = depth

    def peek(self) -> str:
        return self.text[self.at] if self.at < len(self.text) else ""

    def take(self, expected: str = "") -> str:
        found = self.peek()
        if not found or (expected and found != expected):
            raise Refused(f"{expected!r} expected at {self.at}")
        self.at += 1
        return found

    def white(self) -> None:
        while self.peek() and self.peek() in WHITE:
            self.at += 1

    def value(self, level: int) -> Any:
        self.white()
        first = self.peek()
        if first == "{":
            return self.members(level + 1)
        if first == "[":
            return self.elements(level + 1)
        if first == '"':
            return self.string()
        for word, meaning in (("true", True), ("false", False), ("null", None)):
            if self.text.startswith(word, self.at):
                self.at += len(word)
                return meaning
        return self.number()

    def members(self, level: int) -> dict[str, Any]:
        self.deeper(level)
        self.take("{")
        found: dict[str, Any] = {}
        self.white()
        if self.peek() == "}":
            self.take()
            return found
        while True:
            self.white()
            key = self.string()
            if key in found:
                raise Refused("duplicate key")
            self.white()
            self.take(":")
            found[key] = self.value(level)
            self.white()
            if self.take() == "}":
                return found
            if self.text[self.at - 1] != ",":
                raise Refused("comma expected")

    def elements(self, level: int) -> list[Any]:
        self.deeper(level)
        self.take("[")
        found: list[Any] = []
        self.white()
        if self.peek() == "]":
            self.take()
            return found
        while True:
            found.append(self.value(level))
            self.white()
            if self.take() == "]":
                return found
            if self.text[self.at - 1] != ",":
                raise Refused("comma expected")

    def deeper(self, level: int) -> None:
        if level > self.depth:
            raise Refused("too deep")

    def string(self) -> str:
        self.take('"')
        found = ""
        while (character := self.take()) != '"':
            if character == "\\":
                character = self.escape()
            elif ord(character) < 0x20:
                raise Refused("control character")
            if character == "\x00":
                raise Refused("NUL")
            found += character
        return found

    def escape(self) -> str:
        kind = self.take()
        if kind != "u":
            if kind not in SHORT:
                raise Refused("unknown escape")
            return SHORT[kind]
        high = self.four()
        if 0xDC00 <= high <= 0xDFFF:
            raise Refused("low surrogate first")
        if not 0xD800 <= high <= 0xDBFF:
            return chr(high)
        self.take("\\")
        self.take("u")
        low = self.four()
        if not 0xDC00 <= low <= 0xDFFF:
            raise Refused("high surrogate alone")
        return chr(0x10000 + (high - 0xD800) * 0x400 + low - 0xDC00)

    def four(self) -> int:
        digits = [self.take() for _ in range(4)]
        if any(digit not in HEX for digit in digits):
            raise Refused("not hexadecimal")
        return int("".join(digits), 16)

    def number(self) -> int | float:
        start = self.at
        if self.peek() == "-":
            self.take()
        if self.peek() == "0":
            self.take()
        else:
            self.digits()
        whole = True
        if self.peek() == ".":
            self.take()
            self.digits()
            whole = False
        if self.peek() and self.peek() in "eE":
            self.take()
            if self.peek() and self.peek() in "+-":
                self.take()
            self.digits()
            whole = False
        text = self.text[start : self.at]
        return self.whole(text) if whole else self.real(text)

    def digits(self) -> None:
        if not self.peek() or self.peek() not in DIGITS:
            raise Refused("digit expected")
        while self.peek() and self.peek() in DIGITS:
            self.take()

    def whole(self, text: str) -> int:
        number = 0
        for digit in text.lstrip("-"):
            number = number * 10 + ord(digit) - ord("0")
            if number >= 2**1024:
                raise Refused("beyond 64 bits and beyond every double")
        number = -number if text.startswith("-") else number
        if not -(2**63) <= number < 2**64 and not self.fits_a_double(abs(number)):
            raise Refused("beyond 64 bits, and no double holds it exactly")
        return number

    def fits_a_double(self, number: int) -> bool:
        """A double has 53 binary digits; what follows them must be zeros."""
        while number % 2 == 0:
            number //= 2
        return number < 2**53

    def real(self, text: str) -> float:
        number = float(text)
        if math.isinf(number):
            raise Refused("beyond what a double holds")
        return number


def reference(value: bytes, depth: int) -> dict[str, Any]:
    """The object in `value`. Raises Refused."""
    try:
        text = value.decode("utf-8", "strict")
    except UnicodeDecodeError as error:
        raise Refused("not UTF-8") from error
    parser = Reference(text, depth)
    found = parser.value(0)
    parser.white()
    if parser.at != len(text):
        raise Refused("trailing")
    if type(found) is not dict:
        raise Refused("not an object")
    return found
