"""Event schemas (JSON Schema 2020-12): validated by jsonschema, or by a generated struct where the schema is simple.

The struct may only say yes. Whatever it does not take, jsonschema judges, so a fast path that is too narrow costs time
and never changes an answer. Most event schemas are an object of typed properties, which is what it covers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Annotated, Any, Literal, Union, cast

import msgspec
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from referencing import Registry

from ingest.core.contract.shape import Schema
from ingest.core.pattern import ASCII, portable
from ingest.core.pointer import escape
from ingest.core.strictjson import EXACT_INTEGER

_ANNOTATIONS = frozenset(
    ["$schema", "$id", "$comment", "title", "description", "examples", "default", "deprecated", "readOnly", "writeOnly"]
    # In 2020-12 "format" is an annotation unless the format-assertion vocabulary is asked for.
    + ["format"]
)
_NUMBER_RULES = {"minimum": "ge", "maximum": "le", "exclusiveMinimum": "gt", "exclusiveMaximum": "lt"}
_STRING_RULES = {"minLength": "min_length", "maxLength": "max_length", "pattern": "pattern"}
_ARRAY_RULES = {"minItems": "min_length", "maxItems": "max_length"}
_CHEAP = ("type", "const", "enum", "required", "minItems", "maxItems", "minProperties", "maxProperties", "maxLength")
_DETAIL = 300


class _TooRich(Exception):
    """The schema says more than a generated struct can check."""


@dataclass(frozen=True, slots=True)
class FastStruct:
    """A struct whose decoding proves an event valid, and how to find a value of the event in it.

    `decode` raises msgspec.DecodeError where it cannot prove it. `getter(tokens)` is None where the struct does not
    model the place.
    """

    model: type[Any]
    decode: Callable[[bytes], Any]
    fields: Mapping[tuple[str, ...], str]
    open: bool
    """Nowhere are unknown keys refused."""
    exact: bool
    """It has no floating-point fields, and its integers stay within 2^53: whatever it takes is exact."""
    quotes: Callable[[Any], int] | None
    """How many quotes an event has that says what an instance says, once, and nothing else; None: too many shapes.

    For a value without a backslash: a string there has two quotes, and a key that was dropped, because it is unknown or
    repeated, adds at least its own two.
    """
    sure: frozenset[tuple[str, ...]]
    """Places that hold a string or an integer in whatever the struct takes."""
    constants: Mapping[tuple[str, ...], str]
    """What a place holds in whatever the struct takes."""
    depth: int
    """No event the struct takes nests deeper than this: 1 where all that it holds is scalar."""

    def proves(self, document: Any) -> bool:
        """Whether the struct alone shows a decoded document valid; False: ask the validator."""
        if not self.open:
            return False
        try:
            msgspec.convert(document, self.model)
        except msgspec.ValidationError:
            return False
        return True

    def getter(self, places: list[tuple[str, ...]]) -> Callable[[Any], tuple[Any, ...]] | None:
        """Reads the places of an instance; AttributeError where one lies in something absent."""
        paths = [path for tokens in places if (path := self.fields.get(tokens))]
        if len(paths) < len(places):
            return None
        get: Callable[[Any], Any] = attrgetter(*paths)
        return get if len(paths) > 1 else lambda event: (get(event),)


def validator(schema: Schema) -> Callable[[Any], str | None]:
    """The judge of a schema: None for a valid document, else one bounded sentence that says where and what."""
    judge = Draft202012Validator(_cheap_first(_same_everywhere(schema.document)), registry=Registry())

    def check(document: Any) -> str | None:
        try:
            error = next(iter(judge.iter_errors(document)), None)
        except RecursionError:
            return "nested too deep for a schema that refers to itself"
        return None if error is None else explain(error)

    return check


def _same_everywhere(schema: Any) -> Any:
    """The schema with its patterns as they are used: see pattern.py. Values to compare with are left as they are."""
    if isinstance(schema, list):
        return [_same_everywhere(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    made = {}
    for name, rule in schema.items():
        if name in _VALUES:
            made[name] = rule
        elif name == "pattern" and isinstance(rule, str):
            made[name] = portable(rule)
        elif name in _NAMED and isinstance(rule, Mapping):
            keyed = portable if name == "patternProperties" else str
            made[name] = {keyed(key): _same_everywhere(item) for key, item in rule.items()}
        else:
            made[name] = _same_everywhere(rule)
    return made


_VALUES = frozenset(["const", "enum", "default", "examples"])
_NAMED = frozenset(["properties", "patternProperties", "dependentSchemas", "$defs", "definitions"])
"""Keywords whose keys are names that a schema gives."""


def _cheap_first(schema: Any) -> Any:
    """The schema with its cheap rules first: jsonschema goes by their order, and the first broken one ends it.

    A hostile array of 60,000 items is then refused by maxItems before each of them is looked at.
    """
    if isinstance(schema, list):
        return [_cheap_first(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    names = [*(name for name in _CHEAP if name in schema), *(name for name in schema if name not in _CHEAP)]
    return {name: _cheap_first(schema[name]) for name in names}


def explain(error: ValidationError) -> str:
    """Where the document breaks which rule. Never repeats the document: it may be large, or not for all eyes."""
    where = "".join("/" + escape(str(token)) for token in error.absolute_path) or "the object"
    rule = "/".join(str(token).removeprefix(ASCII) for token in error.absolute_schema_path)
    missing = f": {_missing(error)} is missing" if error.validator == "required" else ""
    return f"{where} breaks the schema's {rule}{missing}"[:_DETAIL]


def _missing(error: ValidationError) -> str:
    present = cast("Mapping[str, Any]", error.instance)
    required = cast("list[str]", error.validator_value)
    return next(name for name in required if name not in present)


def fast(schema: Schema, sample: Mapping[str, Any] | None = None) -> FastStruct | None:
    """The generated struct of a schema, or None where the schema is too rich for one.

    With a `sample` event its fields stand in the sample's order, so that events written like it encode to the same
    bytes again: a comparison then shows that nothing was dropped. The order changes the cost, never the answer.
    """
    fields: dict[tuple[str, ...], str] = {}
    try:
        ordered = _ordered(schema.document, sample)
        model = _object(ordered, (), "", fields)
        decode = msgspec.json.Decoder(model).decode
    except (_TooRich, TypeError, ValueError):
        # msgspec names what it cannot model (two bounds of one kind, a union it cannot tell apart) by these two.
        return None
    leaves = _leaves(ordered, (), "")
    return FastStruct(
        model, decode, fields,
        open=not _closed(schema.document),
        exact=not _has_floats(schema.document),
        quotes=_quotes(leaves),
        sure=frozenset(leaf.tokens for leaf in leaves if leaf.always and leaf.kinds <= _ID_KINDS),
        constants={leaf.tokens: leaf.constant for leaf in leaves if leaf.always and leaf.constant is not None},
        depth=_depth(schema.document),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Leaf:
    """A key of the struct's event, at any level. `always`: every event has it. `kinds` as the schema names them."""

    tokens: tuple[str, ...]
    path: str
    kinds: frozenset[str]
    always: bool
    constant: str | None


_ID_KINDS = frozenset(["string", "integer"])
_STRING_OR_NOT = 2, 4
"""Quotes of a key and its value."""
_FEW = 6
"""Of more optional keys than this, encoding an instance and counting in that is faster than looking at each."""


def _leaves(schema: Any, tokens: tuple[str, ...], path: str, always: bool = True) -> list[_Leaf]:
    """The keys of a schema that `_object` took, with the attributes it gave them."""
    attributes = []
    for number, (name, rule) in enumerate(schema["properties"].items()):
        is_there = always and name in schema.get("required", ())
        kinds = rule.get("type", "string" if "enum" in rule or "const" in rule else ())
        leaf = _Leaf(
            (*tokens, name),
            f"{path}f{number}",
            frozenset([kinds] if isinstance(kinds, str) else kinds),
            is_there,
            rule.get("const"),
        )
        attributes.append(leaf)
        if kinds == "object":
            attributes += _leaves(rule, leaf.tokens, leaf.path + ".", is_there)
    return attributes


def _depth(schema: Any) -> int:
    """How deep the events of a schema that `_object` took may nest; places do not tell, they end at an array."""
    if schema.get("type") == "object":
        return 1 + max(map(_depth, schema["properties"].values()))
    return 1 + _depth(schema["items"]) if schema.get("type") == "array" else 0


def _quotes(leaves: list[_Leaf]) -> Callable[[Any], int] | None:
    loose = [leaf for leaf in leaves if not leaf.always or (leaf.kinds != {"string"} and "string" in leaf.kinds)]
    if (
        len(loose) > _FEW
        or any("array" in leaf.kinds for leaf in leaves)
        or any("object" in leaf.kinds for leaf in loose)
    ):
        return None
    fixed = sum(_STRING_OR_NOT[leaf.kinds == {"string"}] for leaf in leaves if leaf not in loose)
    if not loose:
        return lambda event: fixed
    get: Callable[[Any], Any] = attrgetter(*[leaf.path for leaf in loose])
    if len(loose) == 1:
        return lambda event: fixed + _quotes_of(get(event))
    return lambda event: fixed + sum(map(_quotes_of, get(event)))


def _quotes_of(value: Any) -> int:
    """Quotes of an optional key with this value."""
    return 0 if value is msgspec.UNSET else _STRING_OR_NOT[type(value) is str]


def _has_floats(schema: Any) -> bool:
    if isinstance(schema, Mapping):
        own = schema.get("type")
        return own == "number" or (isinstance(own, list) and "number" in own) or any(map(_has_floats, schema.values()))
    return False


def _ordered(schema: Any, sample: Any) -> Any:
    """The schema with its properties in the order of a sample, at every level."""
    if not isinstance(schema, Mapping) or not isinstance(sample, Mapping) or "properties" not in schema:
        return schema
    properties = schema["properties"]
    names = [*(name for name in sample if name in properties), *(name for name in properties if name not in sample)]
    return {**schema, "properties": {name: _ordered(properties[name], sample.get(name)) for name in names}}


def _closed(schema: Any) -> bool:
    """Whether unknown keys are refused somewhere: a struct made of a decoded document would not notice them."""
    if not isinstance(schema, Mapping):
        return False
    return schema.get("additionalProperties") is False or any(map(_closed, schema.get("properties", {}).values()))


def _object(
    schema: Mapping[str, Any] | bool, tokens: tuple[str, ...], path: str, fields: dict[tuple[str, ...], str]
) -> Any:
    rules = _rules(schema, {"type", "properties", "required", "additionalProperties"})
    properties = _properties(rules)
    required = rules.get("required", [])
    if not set(required) <= set(properties) or rules.get("additionalProperties", True) not in (True, False):
        raise _TooRich
    members: list[Any] = []
    for number, (name, rule) in enumerate(properties.items()):
        field = f"f{number}"
        fields[(*tokens, name)] = path + field
        kind = _type(rule, (*tokens, name), f"{path}{field}.", fields)
        members.append((field, kind) if name in required else (field, kind | msgspec.UnsetType, msgspec.UNSET))
    # Keys the schema does not name are not refused here: the caller sees that strings are missing and asks jsonschema.
    rename = {f"f{number}": name for number, name in enumerate(properties)}
    return msgspec.defstruct("Event", members, rename=rename, frozen=True, gc=False, kw_only=True)


def _rules(schema: Any, allowed: set[str]) -> Mapping[str, Any]:
    if not isinstance(schema, Mapping) or not set(schema) - _ANNOTATIONS <= allowed:
        raise _TooRich
    return schema


def _properties(rules: Mapping[str, Any]) -> Mapping[str, Any]:
    if rules.get("type") != "object" or not rules.get("properties"):
        raise _TooRich
    return cast("Mapping[str, Any]", rules["properties"])


def _type(schema: Any, tokens: tuple[str, ...], path: str, fields: dict[tuple[str, ...], str]) -> Any:
    if not isinstance(schema, Mapping):
        raise _TooRich
    if "enum" in schema or "const" in schema:
        return _literal(schema)
    kinds = schema.get("type")
    if kinds == "object":
        return _object(schema, tokens, path, fields)
    if kinds == "array":
        return _array(schema)
    return _scalar(schema, [kinds] if isinstance(kinds, str) else kinds or [])


def _literal(schema: Mapping[str, Any]) -> Any:
    rules = _rules(schema, {"enum", "const", "type"})
    values = rules.get("enum", []) if "const" not in rules else [rules["const"]]
    if not values or not all(type(value) is str for value in values) or rules.get("type", "string") != "string":
        raise _TooRich
    return Literal[tuple(values)]


def _array(schema: Mapping[str, Any]) -> Any:
    rules = _rules(schema, {"type", "items", *_ARRAY_RULES})
    items = _type(rules.get("items"), (), "", {})
    return Annotated[list.__class_getitem__(items), msgspec.Meta(**_meta(rules, _ARRAY_RULES))]


def _scalar(schema: Mapping[str, Any], kinds: list[str]) -> Any:
    rules = _rules(schema, {"type", *_NUMBER_RULES, *_STRING_RULES})
    if not kinds or not set(kinds) <= {"string", "integer", "number", "boolean", "null"}:
        raise _TooRich
    parts = [part for kind in kinds for part in _of_kind(kind, rules)]
    return Union[tuple(parts)]  # noqa: UP007 - built from a list


def _of_kind(kind: str, rules: Mapping[str, Any]) -> list[Any]:
    if kind == "string":
        told = _meta(rules, _STRING_RULES)
        return [
            Annotated[str, msgspec.Meta(**told | ({"pattern": portable(told["pattern"])} if "pattern" in told else {}))]
        ]
    if kind in ("integer", "number"):
        whole = Annotated[int, msgspec.Meta(**_whole(_meta(rules, _NUMBER_RULES)))]
        return [whole, Annotated[float, msgspec.Meta(**_meta(rules, _NUMBER_RULES))]] if kind == "number" else [whole]
    return [bool] if kind == "boolean" else [None]


def _meta(rules: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {ours: rules[theirs] for theirs, ours in names.items() if theirs in rules}


def _whole(meta: dict[str, Any]) -> dict[str, Any]:
    """Bounds for integers: never beyond 2^53, so whatever the struct takes is exact and needs no further look."""
    if any(type(bound) is not int or abs(bound) > EXACT_INTEGER for bound in meta.values()):
        raise _TooRich
    low = {} if "gt" in meta else {"ge": max(meta.pop("ge", -EXACT_INTEGER), -EXACT_INTEGER)}
    high = {} if "lt" in meta else {"le": min(meta.pop("le", EXACT_INTEGER), EXACT_INTEGER)}
    return meta | low | high
