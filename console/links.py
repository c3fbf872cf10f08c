"""How streams, runs, offsets and digests stand in paths, and back. Every link of the console is made here."""

from __future__ import annotations

import base64
import hashlib
import re
from urllib.parse import urlencode

from django.urls import reverse

from ingest.models import Run

PLAIN_RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
LOOKED_THROUGH = 10_000  # runs of one stream whose id cannot stand in a path


class RunConverter:
    """A run in a path: its id as it is, or "~" and 16 base32 characters of the digest of one that is not plain."""

    regex = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}|~[a-z2-7]{16}"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return run_segment(value)


def run_segment(run_name: str) -> str:
    """The path segment of a run name."""
    if PLAIN_RUN.fullmatch(run_name):
        return run_name
    digest = hashlib.sha256(run_name.encode("utf-8", "surrogatepass")).digest()
    return "~" + base64.b32encode(digest)[:16].decode().lower()


def find_run(stream: str, segment: str) -> Run | None:
    """The run of a path, with its stream and contract, or None."""
    runs = Run.objects.select_related("stream", "contract").filter(stream__name=stream)
    if not segment.startswith("~"):
        return runs.filter(name=segment).first()
    odd = runs.exclude(name__regex=rf"^{PLAIN_RUN.pattern}$").order_by("id")[:LOOKED_THROUGH]
    return next((run for run in odd if run_segment(run.name) == segment), None)


def stream_url(stream: str) -> str:
    return reverse("stream", args=[stream])


def run_url(stream: str, run_name: str, part: str = "run") -> str:
    """A run's page, or one of its tabs: run, sources, receipts, basis, gate, windows, lineage."""
    return reverse(part, args=[stream, run_name])


def window_url(stream: str, run_name: str, window: int) -> str:
    return reverse("window", args=[stream, run_name, window])


def rerun_url(stream: str, run_name: str, window: int, rerun: int) -> str:
    return reverse("rerun", args=[stream, run_name, window, rerun])


def either_url(stream: str, run_name: str, window: int, rerun: int | None) -> str:
    """The page of a window, or of a rerun of it."""
    return rerun_url(stream, run_name, window, rerun) if rerun else window_url(stream, run_name, window)


def verdict_url(stream: str, run_name: str, number: int) -> str:
    return reverse("verdict", args=[stream, run_name, number])


def receipt_url(source: int, offset: int) -> str:
    return reverse("receipt", args=[source, offset])


def item_url(item: int) -> str:
    return reverse("item", args=[item])


def group_url(run: int, reason: str) -> str:
    """The open items of one run (by its number) and one reason (by its name)."""
    return reverse("group", args=[f"{run}-{reason}"])


def attempt_url(attempt: int) -> str:
    return reverse("attempt", args=[attempt])


def plan_url(plan: int, act: str = "plan") -> str:
    """A plan's page, or the page of an act on it: plan-approve, plan-decline, plan-pause, plan-resume, plan-cancel."""
    return reverse(act, args=[plan])


def find_url(q: str) -> str:
    """Where a digest or a person leads."""
    return with_query(reverse("find"), q=q)


def people_url(names: str) -> str:
    """Where one person leads; "" of several, who have no page together."""
    return "" if ", " in names else find_url(names)


def with_query(url: str, **values: object) -> str:
    """A URL with the values that are not empty."""
    kept = {name: value for name, value in values.items() if value not in ("", None)}
    return f"{url}?{urlencode(kept)}" if kept else url
