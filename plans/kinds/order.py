"""What a plan applies late: behind later events of the same Kafka key, and who has consented to that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from audit.core.phrases import be, count
from ingest.core.contract import Contract
from ingest.projections.base import KEY, load_projection


def keeps_order(contract: Contract) -> bool:
    """Whether its projection stands on the order of events of a key."""
    return contract.projection is not None and load_projection(contract.projection.class_path).order == KEY


def consent(contract: Contract, asked: Mapping[str, Any]) -> dict[str, bool]:
    """What of a consent is bound: where no order is kept there is nothing to consent to."""
    return {"out_of_order": True} if asked.get("out_of_order") and keeps_order(contract) else {}


def consented(binds: Mapping[str, Any]) -> bool:
    return bool(binds["asked"].get("out_of_order"))


def lacks_consent(contract: Contract, asked: Mapping[str, Any]) -> bool:
    """Whether a plan under this contract, of which `asked` is bound, may not be submitted so."""
    return keeps_order(contract) and not asked.get("out_of_order")


def late_words(later: int, contract: Contract, asked: Mapping[str, Any]) -> Iterator[str]:
    """For whoever looks at a preview; nothing where nothing is overtaken, and nobody minds."""
    if later:
        yield f"{count(later, 'later event')} of the same Kafka keys {be(later)} applied already."
    if lacks_consent(contract, asked):
        yield "The projection keeps the order of each key: asking for this wants an explicit consent (out_of_order)."
    elif keeps_order(contract):
        yield "The projection keeps the order of each key, and whoever asks consents to what comes late."
