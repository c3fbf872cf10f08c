"""Streams as every face lists them."""

from __future__ import annotations

from django.db.models import QuerySet

from ingest.models import Contract


def newest_contracts() -> QuerySet[Contract]:
    """The newest version of every stream's contract, in the order of the streams' names."""
    return Contract.objects.select_related("stream").order_by("stream__name", "-version").distinct("stream__name")
