"""The generated struct of a schema: it may refuse what is valid, but never takes what is not."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.core import schema
from tests.core.ingest.samples import FLIGHT_SCHEMA, encoded, flight
from tests.core.ingest.samples import schema as made
from tests.examples import examples

NAMES = st.sampled_from(["a", "b", "c d", "", "f0"])
BOUNDS = st.integers(-3, 3)


def rules(kind: str) -> st.SearchStrategy[dict[str, Any]]:
    if kind in ("integer", "number"):
        keys = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"]
        return st.dictionaries(st.sampled_from(keys), BOUNDS, max_size=2)
    if kind == "string":
        return st.fixed_dictionaries(
            {},
            optional={
                "minLength": st.integers(0, 2),
                "maxLength": st.integers(1, 3),
                "pattern": st.sampled_from(["^a", "b$"]),
            },
        )
    return st.just({})


@st.composite
def scalars(draw: st.DrawFn) -> dict[str, Any]:
    kinds = draw(
        st.lists(
            st.sampled_from(["string", "integer", "number", "boolean", "null"]), min_size=1, max_size=2, unique=True
        )
    )
    found: dict[str, Any] = {"type": kinds if len(kinds) > 1 else kinds[0]}
    for kind in kinds:
        found |= draw(rules(kind))
    return found


LITERALS = st.lists(st.sampled_from(["a", "ab", ""]), min_size=1, unique=True).map(lambda values: {"enum": values})
LEAVES = scalars() | LITERALS | st.just({"const": "ab"}) | st.just({"type": "string", "format": "date-time"})
ARRAYS = st.builds(lambda items, most: {"type": "array", "items": items, "maxItems": most}, LEAVES, st.integers(0, 2))


@st.composite
def objects(draw: st.DrawFn, level: int = 0) -> dict[str, Any]:
    inner = LEAVES | ARRAYS | objects(level + 1) if level < 2 else LEAVES
    properties = draw(st.dictionaries(NAMES, inner, min_size=1, max_size=3))
    found: dict[str, Any] = {"type": "object", "properties": properties}
    if required := draw(st.lists(st.sampled_from(list(properties)), unique=True)):
        found["required"] = required
    if draw(st.integers(0, 3)) == 0:
        found["additionalProperties"] = draw(st.booleans())
    return found


DOCUMENTS = st.recursive(
    st.sampled_from(
        [None, True, False, 0, 1, -4, 2.0, 1.5, 2**53 + 1, "", "a", "ab", "abb", "é", "\U0001f600\U0001f600"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
).filter(lambda value: isinstance(value, dict))


@settings(max_examples=examples(500))
@given(objects(), DOCUMENTS)
def test_what_the_struct_takes_is_valid(document: dict[str, Any], event: dict[str, Any]) -> None:
    fast = schema.fast(made(document))
    if fast is None:
        return
    check = schema.validator(made(document))
    if fast.proves(event):
        assert check(event) is None
    try:
        taken = fast.decode(encoded(event))
    except msgspec.DecodeError:
        return
    # Unknown keys are dropped on the way; the parser notices by the number of strings, and asks the validator.
    if msgspec.to_builtins(taken, str_keys=True) == event:
        assert check(event) is None


def test_the_usual_schema_has_a_struct() -> None:
    fast = schema.fast(made(FLIGHT_SCHEMA))
    assert fast is not None
    assert fast.depth == 2
    assert not fast.exact
    assert fast.open
    get = fast.getter([("carrier",), ("plane", "tail")])
    assert get is not None
    assert get(fast.decode(encoded(flight(plane={"tail": "N1"})))) == ("UA", "N1")
    assert fast.getter([("nowhere",)]) is None


@pytest.mark.parametrize(
    "document",
    [
        True,
        {},
        {"type": "object"},
        {"type": "object", "properties": {"a": {}}},
        {"type": "object", "properties": {"a": True}},
        {"type": "object", "properties": {"a": {"type": "integer", "multipleOf": 2}}},
        {"type": "object", "properties": {"a": {"enum": [1, 2]}}},
        {"type": "object", "properties": {"a": {"type": "number", "minimum": 0.5}}},
        {"type": "object", "properties": {"a": {"$ref": "#/$defs/b"}}, "$defs": {"b": {"type": "string"}}},
        {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["b"]},
        {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": {"type": "string"}},
        {"type": ["object", "null"], "properties": {"a": {"type": "string"}}},
        {"type": "object", "properties": {"a": {"type": "integer", "minimum": 1, "exclusiveMinimum": 1}}},
    ],
)
def test_a_schema_that_says_more_has_none(document: Any) -> None:
    assert schema.fast(made(document)) is None


def test_a_fault_never_repeats_the_document() -> None:
    check = schema.validator(made(FLIGHT_SCHEMA))
    assert check(flight(status="secret")) == "/status breaks the schema's properties/status/enum"
    assert check({"type": "flight"}) == "the object breaks the schema's required: carrier is missing"
    assert check(flight(via=["a", "b", 3])) == "/via/2 breaks the schema's properties/via/items/type"


def test_a_long_array_is_refused_by_its_length_first() -> None:
    rules = {"properties": {"a": {"items": {"type": "string"}, "maxItems": 3}}}
    assert schema.validator(made(rules))({"a": ["x", "y", "z", 4, 5]}) == "/a breaks the schema's properties/a/maxItems"


def test_a_schema_that_refers_to_itself_is_bounded() -> None:
    tree = {"properties": {"child": {"$ref": "#"}}}
    check = schema.validator(made(tree))
    event: dict[str, Any] = {}
    for _ in range(60):
        event = {"child": event}
    assert check(event) is None
    for _ in range(600):
        event = {"child": event}
    assert check(event) == "nested too deep for a schema that refers to itself"
