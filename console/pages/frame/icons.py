"""The icons, 16 x 16 line drawings. Inline SVG, because the CSP lets nothing in that is not ours."""

from __future__ import annotations

from collections.abc import Mapping

PATHS: Mapping[str, str] = {
    "check": '<path d="M3 8.5l3.5 3.5L13 4.5"/>',
    "cross": '<path d="M4 4l8 8M12 4l-8 8"/>',
    "diamond": '<path class="ink" d="M8 1.5L14.5 8 8 14.5 1.5 8z"/>',
    "ring": '<circle cx="8" cy="8" r="5"/>',
    "hatch": '<path d="M2.5 2.5h11v11h-11zM2.5 8L8 2.5M2.5 13.5l11-11M8 13.5L13.5 8"/>',
    "waived": '<path d="M2 10c2-5 4-5 6-2s4 3 6-2"/>',
    "lock": '<path d="M3.5 7h9v6.5h-9zM5.5 7V5a2.5 2.5 0 015 0v2"/>',
    "cut": '<path d="M8 1.5v13" stroke-dasharray="2.5 2.5"/><path d="M2 5l3 3-3 3M14 5l-3 3 3 3"/>',
    "gate-open": '<path d="M2.5 14V2.5M13.5 14V2.5M2.5 5L6 3.8M13.5 5L10 3.8"/>',
    "gate-shut": '<path d="M2.5 14V2.5M13.5 14V2.5M2.5 5h11M2.5 9h11M6 5v9M10 5v9"/>',
    "twice": '<path d="M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3"/>',
    "question": '<path d="M5 5.5C5 3.5 6.3 2.5 8 2.5s3 1.1 3 2.8c0 2.2-3 2.3-3 4.4"/>'
    '<circle class="ink" cx="8" cy="13" r="1.1"/>',
    "empty": '<circle cx="8" cy="8" r="5.5"/><path d="M4 12l8-8"/>',
    "half": '<circle cx="8" cy="8" r="5.5"/><path class="ink" d="M8 2.5a5.5 5.5 0 010 11z"/>',
    "arrow": '<path d="M2 8h11M9 4l4 4-4 4"/>',
    "pause": '<path d="M5 3v10M11 3v10"/>',
    "clock": '<circle cx="8" cy="8" r="6"/><path d="M8 4.5V8l2.5 1.5"/>',
    "up": '<path d="M8 13V3M4 7l4-4 4 4"/>',
    "down": '<path d="M8 3v10M4 9l4 4 4-4"/>',
    "out": '<path d="M6 3H3v10h10v-3M9 3h4v4M13 3L7 9"/>',
    "person": '<circle cx="8" cy="5" r="3"/><path d="M2.5 14c.5-3.5 2.5-5 5.5-5s5 1.5 5.5 5"/>',
    "save": '<path d="M8 2v8M4.5 7L8 10.5 11.5 7M2.5 13.5h11"/>',
    "mark": '<path d="M2 14V3M14 14V3M2 6h12"/><path d="M5.2 10.2l2 2 3.8-4.4"/>',
}


def svg(name: str) -> str:
    """The icon as SVG; an unknown name is a mistake of ours and raises KeyError in a test, not a blank on a page."""
    return f'<svg class="icon" viewBox="0 0 16 16" aria-hidden="true" focusable="false">{PATHS[name]}</svg>'
