"""The database writes RFC 8785 of a verdict's body as Python does: the digest it checks is the one that was meant."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
import rfc8785
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.types.json import Jsonb

from ingest.db import ConstraintViolated, read

#: What jsonb takes: no NUL, and no half of a surrogate pair.
TEXTS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=12)
BODIES = st.recursive(
    st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=5),
    max_leaves=12,
)


def in_sql(body: Any) -> tuple[str, bytes]:
    with read() as cur:
        row: Any = cur.execute(
            "SELECT canonical_json(x) AS text, sha256(convert_to(canonical_json(x), 'UTF8')) AS digest"
            " FROM (SELECT %s::jsonb AS x) b",
            (Jsonb(body),),
        ).fetchone()
    return row.text, bytes(row.digest)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(TEXTS, BODIES, max_size=6))
def test_any_body(live: object, body: dict[str, Any]) -> None:
    text, digest = in_sql(body)
    assert text.encode() == rfc8785.dumps(body)
    assert digest == hashlib.sha256(rfc8785.dumps(body)).digest()


def test_members_are_ordered_by_utf16_and_not_by_code_point(live: object) -> None:
    body = {"\ufb33": 1, "\U0001f602": 2, "\u20ac": 3, "\r": 4, "1": 5, "\u0080": 6, "\u00f6": 7, 'a\x1f"\\/\u2028': 8}
    assert in_sql(body)[0].encode() == rfc8785.dumps(body)


@pytest.mark.parametrize("number", [1.5, 2**53, -(2**53), 1e300])
def test_numbers_that_no_body_has_are_refused(live: object, number: float) -> None:
    with pytest.raises(ConstraintViolated) as refused:
        in_sql({"n": number})
    assert refused.value.constraint == "verdict_digest"
