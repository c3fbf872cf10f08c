"""Errors carry a code, say one sentence, and know whether trying again helps."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ingest.core import errors
from ingest.core.errors import BrokerError, ContractError, ContractErrors, PassgateError


def kinds(base: type[PassgateError] = PassgateError) -> Iterator[type[PassgateError]]:
    yield base
    for kind in base.__subclasses__():
        if kind.__module__ == errors.__name__:
            yield from kinds(kind)


def test_says_what_expected_found_and_next() -> None:
    error = BrokerError(expected="topic id A", found="topic id B", next_step="open a new window")
    said = "the broker did not answer as it must: expected topic id A; found topic id B; next: open a new window"
    assert str(error) == said
    assert (error.code, error.retry) == ("broker_failed", True)
    assert str(BrokerError()) == "the broker did not answer as it must"


def test_a_contract_error_says_where() -> None:
    error = ContractError(file="f.toml", line=7, key="bus.partitions", found="true", write="partitions = 4")
    assert str(error) == "f.toml:7: bus.partitions: found true; write partitions = 4"
    assert str(ContractErrors([error, error])) == f"{error}\n{error}"


@pytest.mark.parametrize("kind", list(kinds()), ids=lambda kind: kind.__name__)
def test_every_kind_has_code_and_sentence(kind: type[PassgateError]) -> None:
    assert kind.code.replace("_", "").isalnum()
    assert kind.code == kind.code.lower()
    assert kind.what
    assert kind.__doc__
