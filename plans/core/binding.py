"""What a plan binds: a document, its digest, and how two of them differ in words."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import rfc8785

from plans.core.plan import Kind, Outcome

SCHEMA = "passgate.plan/1"
MOST_DIFFERENCES = 20


@dataclass(frozen=True)
class Limits:
    """How gently a plan runs. `first`: after so many items it is held. `rate`: items a second. `stop_when`: held once
    this is so, as in "quarantined > 0". Part of what is approved."""

    first: int | None = None
    rate: int | None = None
    stop_when: str | None = None

    def document(self) -> dict[str, Any]:
        pairs = {"first": self.first, "rate": self.rate, "stop_when": self.stop_when}
        return {name: value for name, value in pairs.items() if value is not None}


_STOP = re.compile(rf"({'|'.join(each.lower() for each in Outcome)}) > (0|[1-9][0-9]{{0,8}})")


def is_stop_rule(text: str) -> bool:
    return _STOP.fullmatch(text) is not None


def stops(rule: str, outcomes: Mapping[str, int], lately: Collection[str]) -> bool:
    """Whether a plan with these outcomes is stopped by `rule`, now that items ended as in `lately`.

    A person who goes on knows of those before: it is stopped by the next one. A rule that is none stops at once.
    """
    rule_parts = _STOP.fullmatch(rule)
    if rule_parts is None:
        return True
    named = rule_parts[1].upper()
    return named in lately and outcomes.get(named, 0) > int(rule_parts[2])


NO_LIMITS = Limits()


@dataclass(frozen=True)
class Origin:
    """Offsets [start, end) of a source that a plan reads: no two running plans share one."""

    source: int
    start: int
    end: int

    def document(self) -> dict[str, int]:
        return {"source": self.source, "from": self.start, "to": self.end}


@dataclass(frozen=True)
class Subject:
    """What a plan is about, in words: a stream, and a run and window of it where it is about one."""

    stream: str
    run: str | None = None
    window: int | None = None


def binding(
    kind: Kind,
    subject: Subject,
    asked: Mapping[str, Any],
    facts: Mapping[str, Any],
    items: Sequence[str],
    origin: Sequence[Origin] = (),
    limits: Limits = NO_LIMITS,
    approvals: int = 1,
) -> dict[str, Any]:
    """The document that is approved: JSON of strings, whole numbers and booleans only, no key of it null.

    `asked`: what a person said. `facts`: what that meant when the plan was asked for. `items`: each gets one outcome.
    `approvals`: how many people have to approve it; one is not written, as plans of before had no such key.
    """
    names = {"run": subject.run, "window": subject.window}
    return {
        "schema": SCHEMA,
        "kind": str(kind),
        "stream": subject.stream,
        **{name: value for name, value in names.items() if value is not None},
        "asked": dict(asked),
        "facts": dict(facts),
        "items": list(items),
        "origin": [each.document() for each in origin],
        "limits": limits.document(),
        **({"approvals": approvals} if approvals > 1 else {}),
    }


def binding_digest(binds: Mapping[str, Any]) -> bytes:
    """SHA-256 over the canonical form (RFC 8785): 32 bytes."""
    return hashlib.sha256(rfc8785.dumps(dict(binds))).digest()


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What changed from one binding to the other, a line each: "facts open: 3 → 2". Empty: nothing."""
    lines = list(_differences(before, after, ()))
    if len(lines) > MOST_DIFFERENCES:
        more = len(lines) - MOST_DIFFERENCES + 1
        lines = [*lines[: MOST_DIFFERENCES - 1], f"and {more} more"]
    return lines


def _differences(before: Any, after: Any, path: tuple[str, ...]) -> list[str]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        names = [*before, *(name for name in after if name not in before)]
        return [
            line
            for name in names
            for line in _differences(before.get(name, _NONE), after.get(name, _NONE), (*path, name))
        ]
    if isinstance(before, list) and isinstance(after, list):
        return [] if rfc8785.dumps(before) == rfc8785.dumps(after) else _of_lists(before, after, path)
    if type(before) is type(after) and before == after:
        return []
    return [f"{' '.join(path)}: {_said(before)} → {_said(after)}"]


_NONE = object()


def _of_lists(before: list[Any], after: list[Any], path: tuple[str, ...]) -> list[str]:
    """Element by element where they are things with names; else how many went and came."""
    if len(before) == len(after) and all(isinstance(each, Mapping) for each in [*before, *after]):
        return [
            line
            for number, (was, is_) in enumerate(zip(before, after, strict=True))
            for line in _differences(was, is_, (*path, str(was.get("class", number))))
        ]
    gone, new = [x for x in before if x not in after], [x for x in after if x not in before]
    if not gone and not new:
        return [f"{' '.join(path)}: in another order"]
    return [f"{' '.join(path)}: {len(gone)} gone, {len(new)} new"]


def _said(value: Any) -> str:
    if value is _NONE:
        return "nothing"
    text = str(value)
    return f"{text[:12]}…" if re.fullmatch(r"[0-9a-f]{64}", text) else text
