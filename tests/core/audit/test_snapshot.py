"""What is stored as JSON comes back as it was, and what has another shape is not read."""

from __future__ import annotations

from typing import Any

import pytest

from audit.core import snapshot as s
from tests.core.audit import world as w

BODY = s.basis_body(w.BROKER, w.DATABASE, w.BASIS.inbox, w.BASIS.bus)


def test_a_basis_comes_back_as_it_was() -> None:
    found = s.read_basis([(1, BODY)], frozenset())
    assert found is not None
    assert (found.broker, found.database, found.inbox, found.bus) == (w.BROKER, w.DATABASE, w.BASIS.inbox, w.BASIS.bus)
    assert found.digest == s.digest(BODY).hex()


@pytest.mark.parametrize("other", [BODY | {"schema": "passgate.basis/2"}, {k: BODY[k] for k in BODY if k != "schema"}])
def test_a_basis_of_another_shape_is_not_read(other: dict[str, Any]) -> None:
    """S15: of all generations, for a later one may change what an earlier one means."""
    assert s.read_basis([(1, other)], frozenset()) is None
    assert s.read_basis([(1, BODY), (2, other)], frozenset()) is None
