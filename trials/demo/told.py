"""The story as it should come out, point by point, held against what was found. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Point:
    """One thing the story tells: what should be, and what was found."""

    what: str
    expected: str
    found: str

    @property
    def holds(self) -> bool:
        return self.expected == self.found

    def __str__(self) -> str:
        return f"{self.what}: {self.expected} was told, {self.found} was found"


@dataclass
class Expectations:
    """Collects points; the demo's exit code says whether all of them hold."""

    points: list[Point] = field(default_factory=list)

    def point(self, what: str, expected: object, found: object) -> bool:
        """Note a point; whether it holds."""
        made = Point(what, _text(expected), _text(found))
        self.points.append(made)
        return made.holds

    def holds(self, what: str, holds: bool, found: object = "") -> bool:
        """Note a point that is a yes or a no; `found` says more about a no."""
        return self.point(what, "yes", "yes" if holds else f"no{f': {found}' if found else ''}")

    @property
    def differences(self) -> list[Point]:
        return [point for point in self.points if not point.holds]

    @property
    def exit_code(self) -> int:
        """0 only if something was told and all of it came out so."""
        return 0 if self.points and not self.differences else 1


def _text(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
