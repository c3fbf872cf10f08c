"""The schema file of an event class: valid JSON Schema 2020-12, complete in itself, and safe to run on anything."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any

import rfc8785
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from referencing import Registry
from referencing.exceptions import Unresolvable

from ingest.core.contract.shape import Schema
from ingest.core.errors import RecordError
from ingest.core.pattern import portable
from ingest.core.pointer import MISSING, resolve, unescape
from ingest.core.reason import Reason
from ingest.core.strictjson import Fault, read, shown

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_DEPTH = 64
_BYTES = 1_048_576
_REFERENCES = ("$ref", "$dynamicRef")
_ANCHORS = ("$anchor", "$dynamicAnchor")
_FILE = re.compile(r"[A-Za-z0-9._-]{1,100}(/[A-Za-z0-9._-]{1,100}){0,4}")


def read_schema(file: str, read_file: Callable[[str], bytes]) -> Schema:
    """The schema in `file`. Raises RecordError: `found` says what is wrong with it, `expected` what to write."""
    if not _FILE.fullmatch(file) or ".." in file.split("/"):
        raise RecordError(expected="the name of a file beside the contract", found=shown(file))
    try:
        text = read_file(file)
    except OSError as error:
        raise RecordError(expected="the name of a file that is there", found=f"no readable file {file}") from error
    document = _document(file, text)
    _check(file, document)
    try:
        canonical = rfc8785.dumps(document)
    except rfc8785.CanonicalizationError as error:
        raise RecordError(expected="integers below 2^53", found=f"{file}: one that is not") from error
    return Schema(file, text, hashlib.sha256(canonical).digest(), document)


def _document(file: str, text: bytes) -> dict[str, Any]:
    got = read(text, _DEPTH) if len(text) <= _BYTES else Fault(Reason.TOO_LARGE, f"more than {_BYTES} bytes")
    if isinstance(got, Fault):
        where = "" if got.at is None else f" (byte {got.at})"
        raise RecordError(expected="a schema file that is a JSON object", found=f"{file}: {got.detail}{where}")
    document, inexact = got
    if inexact:
        raise RecordError(expected="numbers that a double holds exactly", found=f"{file}: one that it does not")
    return document


def _check(file: str, document: dict[str, Any]) -> None:
    dialect = document.get("$schema", DIALECT)
    if dialect != DIALECT:
        raise RecordError(expected=f'"$schema": "{DIALECT}"', found=f'{file}: "$schema" is {shown(str(dialect))}')
    _check_references(file, document)
    _check_patterns(file, document)
    try:
        Draft202012Validator.check_schema(document)
    except SchemaError as error:
        where = "".join(f"/{token}" for token in error.absolute_path) or "the schema"
        raise RecordError(
            expected="what JSON Schema 2020-12 allows there", found=f"{file}: {where}, which is not valid"
        ) from error
    _check_ends(file, document)


def _check_references(file: str, document: dict[str, Any]) -> None:
    anchors = {node[name] for node in _nodes(document) for name in _ANCHORS if name in node}
    for node in _nodes(document):
        for name in _REFERENCES:
            target = node.get(name)
            if isinstance(target, str) and not _resolves(document, target, anchors):
                raise RecordError(
                    expected='a reference inside the file, such as "#/$defs/name"',
                    found=f"{file}: {name} {shown(target)}",
                )


def _resolves(document: dict[str, Any], target: str, anchors: set[Any]) -> bool:
    if target == "#" or target.removeprefix("#") in anchors:
        return target.startswith("#")
    if not target.startswith("#/"):
        return False
    tokens = tuple(unescape(token) for token in target[2:].split("/"))
    return resolve(document, tokens) is not MISSING


def _check_patterns(file: str, document: dict[str, Any]) -> None:
    for node in _nodes(document):
        named = node.get("patternProperties")
        for pattern in [node.get("pattern"), *(named if isinstance(named, Mapping) else [])]:
            try:
                portable(pattern if isinstance(pattern, str) else "")
            except RecordError as error:
                raise RecordError(
                    expected=error.expected, found=f"{file}: the pattern {shown(str(pattern))}"
                ) from error


def _check_ends(file: str, document: dict[str, Any]) -> None:
    """A schema that refers to itself without going deeper never ends, whatever the event.

    Found by following the references, not by letting it run until an interpreter has had enough: how soon that is, and
    whether it survives it, differs between them.
    """
    if _circles(document):
        raise RecordError(
            expected="references that go deeper into the event", found=f"{file}: a reference that leads to itself"
        )
    try:
        list(Draft202012Validator(document, registry=Registry()).iter_errors({}))
    except Unresolvable as error:
        raise RecordError(expected="references inside the file", found=f"{file}: one that leads nowhere") from error


def _circles(document: dict[str, Any]) -> bool:
    """Whether a way from one schema to the next, all of them about the same value, comes back to where it was."""
    anchors = {node[name]: node for node in _nodes(document) for name in _ANCHORS if isinstance(node.get(name), str)}
    ways = {id(node): [id(each) for each in _in_place(node, document, anchors)] for node in _nodes(document)}
    try:
        TopologicalSorter(ways).prepare()
    except CycleError:
        return True
    return False


def _in_place(
    node: Mapping[str, Any], document: dict[str, Any], anchors: Mapping[str, Any]
) -> Iterator[Mapping[str, Any]]:
    """Schemas that are asked about the very value that `node` is asked about."""
    targets = [node.get(name) for name in _REFERENCES]
    schemas: list[Any] = [_target(document, target, anchors) for target in targets if isinstance(target, str)]
    for name in ("allOf", "anyOf", "oneOf"):
        rules = node.get(name)
        schemas += rules if isinstance(rules, list) else []
    schemas += [node.get(name) for name in ("not", "if", "then", "else")]
    dependent = node.get("dependentSchemas")
    schemas += dependent.values() if isinstance(dependent, Mapping) else []
    yield from (each for each in schemas if isinstance(each, Mapping))


def _target(document: dict[str, Any], target: str, anchors: Mapping[str, Any]) -> Any:
    if target == "#":
        return document
    if not target.startswith("#/"):
        return anchors.get(target.removeprefix("#"))
    return resolve(document, tuple(unescape(token) for token in target[2:].split("/")))


def _nodes(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, Mapping):
        yield value
    children = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    for child in children:
        yield from _nodes(child)
