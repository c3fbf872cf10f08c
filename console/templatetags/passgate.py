"""Filters and tags of the console's templates. Text from outside goes through `shown`; everything else is escaped."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from django import template
from django.utils.html import conditional_escape, escape, format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from console.pages.frame import icons
from console.pages.frame.words import look
from console.phrases import age_words
from console.safe_text import MAX_CHARACTERS, pieces, text_of

register = template.Library()


@register.filter
def shown(value: object, limit: int = MAX_CHARACTERS) -> SafeString:
    """Text from outside on one line: characters that do not print, or deceive, stand as their codes."""
    return _shown(value, limit, lines=False)


@register.filter
def shown_lines(value: object, limit: int = 20_000) -> SafeString:
    """The same for a payload in a `<pre>`: newlines and runs of spaces stay."""
    return _shown(value, limit, lines=True)


@register.filter
def shown_or_blank(value: object, limit: int = MAX_CHARACTERS) -> SafeString:
    """The same where nothing is better said by nothing."""
    return _shown(value, limit, lines=False) if value else SafeString("")


@register.filter
def event_id(value: str) -> SafeString:
    """An event's id, stored as a JSON array of its parts, as parts with a slash between them."""
    try:
        parts = json.loads(value)
    except ValueError:
        return _shown(value, 600, lines=False)
    if not isinstance(parts, list):
        return _shown(value, 600, lines=False)
    return format_html_join(
        mark_safe('<span class="muted">/</span>'), "{}", ((_shown(part, 200, False),) for part in parts)
    )


def _shown(value: object, limit: int, lines: bool) -> SafeString:
    if value is None:
        return mark_safe('<span class="muted">none</span>')
    text = text_of(bytes(value)) if isinstance(value, bytes | memoryview) else str(value)
    if not text:
        return mark_safe('<span class="muted">empty</span>')
    inner = format_html_join("", "{}", ((_piece(p.text, p.plain),) for p in pieces(text, limit, lines)))
    # <bdi> keeps a right-to-left text from turning round what stands beside it.
    return format_html('<bdi class="shown">{}</bdi>', inner)


def _piece(text: str, plain: bool) -> SafeString:
    return SafeString(escape(text)) if plain else format_html('<span class="esc">{}</span>', text)


@register.filter
def n(value: object) -> str:
    """A number in full, with separators: never 1.2k. Nothing measured is a dash, never zero."""
    if value is None or value == "":
        return "—"
    return f"{value:,}" if isinstance(value, int | float) else str(value)


@register.filter
def seconds(value: float) -> str:
    """Seconds for a script to read, in no language's notation."""
    return f"{value:.1f}"


@register.filter
def size(value: int | None) -> str:
    """A number of bytes, in full."""
    return "—" if value is None else f"{value:,} byte{'' if value == 1 else 's'}"


@register.filter
def hexed(value: bytes | memoryview | str | None) -> str:
    """A digest as lower-case hexadecimal digits."""
    if value is None:
        return "—"
    return value if isinstance(value, str) else bytes(value).hex()


@register.simple_tag(takes_context=True)
def ago(context: template.Context, moment: datetime | None, nothing: str = "never") -> SafeString:
    """A moment relative to the page's own now, with the exact UTC on hover."""
    if moment is None:
        return format_html('<span class="muted">{}</span>', nothing)
    now = context["shell"].now
    return _time(moment, age_words((now - moment).total_seconds()))


@register.simple_tag
def clock(moment: datetime | None, nothing: str = "—") -> SafeString:
    """A moment as date and time in UTC."""
    if moment is None:
        return format_html('<span class="muted">{}</span>', nothing)
    return _time(moment, moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S"))


def _time(moment: datetime, words: str) -> SafeString:
    utc = moment.astimezone(UTC)
    exact = f"{utc:%Y-%m-%d %H:%M:%S}.{utc.microsecond // 1000:03d} UTC"
    return format_html('<time datetime="{}" title="{}">{}</time>', utc.isoformat(), exact, words)


@register.simple_tag
def icon(name: str) -> SafeString:
    """An icon; it says nothing to a screen reader, for the word stands beside it."""
    return mark_safe(icons.svg(name))


@register.simple_tag
def gate_status(state: str, left: float | None) -> SafeString:
    """A gate's state. One that is open stands with what takes its place in the browser when its lease has run out."""
    if left is None:
        return status(state)
    lapsed = status("GATE UNMEASURED")
    return format_html('<span data-lease="{}">{}<span hidden>{}</span></span>', seconds(left), status(state), lapsed)


@register.simple_tag
def status(state: str, word: str = "") -> SafeString:
    """A state: icon, word, colour and shape together."""
    found = look(state)
    return format_html(
        '<span class="{}">{}{}</span>',
        found.classes,
        mark_safe(icons.svg(found.icon)),
        conditional_escape(word or found.word),
    )
