"""Streams and their contracts: loading a version, and having it at hand compiled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache

from django.conf import settings
from psycopg.types.json import Jsonb

from ingest.auditlog import record_act
from ingest.core.contract import Contract, contract_digest, parse_contract
from ingest.core.contract.shape import PinTime, Republish
from ingest.core.errors import NotFound, PassgateError
from ingest.core.ids import StreamId
from ingest.core.lease import LONGEST_ATTEMPT, RECHECKS_A_LEASE
from ingest.core.pinning import waiting_circle
from ingest.core.record import Parser
from ingest.db import Cursor, NeverThere, fetch_one, find_or_insert, read, retry_transaction, statements, write
from ingest.projections.base import check_guarded, check_projection

sql = statements("ingest", "streams")

MOST_CLASSES = 1_000
OTHER_CLASSES = "(other)"


@dataclass(frozen=True)
class CompiledContract:
    """A stored version of a contract, parsed; `class_ids` are the classes known when it was."""

    id: StreamId
    stream_id: StreamId
    version: int
    digest: bytes
    contract: Contract
    parser: Parser
    class_ids: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class LoadResult:
    """`fresh` is False where exactly this contract was the newest already."""

    contract_id: int
    version: int
    digest: bytes
    fresh: bool


def parse(text: bytes, file: str, files: Mapping[str, bytes]) -> Contract:
    """The contract, its projection checked against the allow-list of the settings. Raises ContractErrors."""

    def read_file(name: str) -> bytes:
        try:
            return files[name]
        except KeyError:
            raise FileNotFoundError(name) from None

    return parse_contract(text, file, read_file, frozenset(settings.PASSGATE_PROJECTIONS))


def load(text: bytes, file: str, files: Mapping[str, bytes], actor: str) -> LoadResult:
    """Stores a new version of the stream's contract; it holds from the next window. Raises ContractErrors,
    ContractUnusable, and TruthUnguarded or SettingsError for a projection that readers must not be shown, or that
    cannot be used."""
    contract = parse(text, file, files)
    check_usable(contract)
    check_waits(contract)
    with read() as cur:
        check_guarded(cur, contract)
    used = {name: files[name].decode() for name in sorted(files) if name in schema_files(contract)}
    return retry_transaction(lambda: _store(contract, text, used, actor))


class ContractUnusable(PassgateError):
    """Valid, and no lane could work by it: refused before a run stands still for it."""

    code = "contract_unusable"
    what = "no lane could work by this contract"


def check_usable(contract: Contract) -> None:
    """Raises ContractUnusable, or SettingsError for its projection."""
    for name, given, least, most, why in _bounds(contract):
        if not least <= given <= most:
            raise ContractUnusable(
                expected=f"{name} from {least / _SECOND:g} s to {most / _SECOND:g} s: {why}",
                found=f"{given / _SECOND:g} s",
                next_step="correct it",
            )
    if contract.projection is not None:
        check_projection(contract.projection.class_path, contract.projection.tables)


def check_waits(contract: Contract) -> None:
    """Raises ContractUnusable where windows of this stream and of its contexts would wait for each other for ever."""
    if contract.pin is not PinTime.CUT:
        return
    with read() as cur:
        rows = cur.execute(sql.waiting_streams, {"but": contract.stream}).fetchall()
    contracts = [compiled_contract(row.id).contract for row in rows]
    waits_for = {each.stream: [context.stream for context in each.contexts] for each in (contract, *contracts)}
    circle = waiting_circle(contract.stream, waits_for)
    if circle:
        raise ContractUnusable(
            expected='[context] pin = "cut" of streams of which none waits for itself',
            found=" waits for ".join(circle),
            next_step='let one of them pin as it opens: pin = "open"',
        )


_SECOND = timedelta(seconds=1)
_LONG = timedelta(days=1)
Bound = tuple[str, timedelta, timedelta, timedelta, str]


def _bounds(contract: Contract) -> Iterable[Bound]:
    """What has to fit this installation's own times: (key, given, least, most, why). A stored contract is not asked."""
    beat = {name: entry["schedule"] * _SECOND for name, entry in settings.CELERY["beat_schedule"].items()}
    yield (
        "bus.delivery_timeout", contract.bus.delivery_timeout, _SECOND, LONGEST_ATTEMPT * _SECOND,
        "an attempt ends well inside its lane's lease",
    )  # fmt: skip
    yield (
        "gate.recheck", contract.gate.recheck, beat["enforce"] / RECHECKS_A_LEASE, _LONG,
        f"a gate's lease is {RECHECKS_A_LEASE} of these, and the enforcer looks every {beat['enforce'] / _SECOND:g} s",
    )  # fmt: skip


def schema_files(contract: Contract) -> set[str]:
    """Names of the schema files the contract refers to."""
    return {event.schema.file for event in contract.events if event.schema is not None}


def _store(contract: Contract, text: bytes, files: Mapping[str, str], actor: str) -> LoadResult:
    digest = contract_digest(contract)
    with write() as cur:
        stream = ensure_stream(cur, contract.stream)
        newest = cur.execute(sql.newest, {"stream": stream}).fetchone()
        if newest is not None and bytes(newest.digest) == digest:
            return LoadResult(newest.id, newest.version, digest, fresh=False)
        keys = {
            "stream": stream, "digest": digest, "text": text, "files": Jsonb(dict(files)), "actor": actor,
            "by_plan": contract.reconcile.republish is Republish.PLAN, "free": contract.plans.free_records,
            "pins_at_cut": contract.pin is PinTime.CUT, "approvals": contract.plans.approvals,
        }  # fmt: skip
        stored = fetch_one(cur.execute(sql.insert_contract, keys))
        ensure_classes(cur, stream, [event.name for event in contract.events])
        detail = {"version": stored.version, "digest": digest.hex()}
        record_act(cur, actor, "contract.load", contract.stream, detail=detail)
        return LoadResult(stored.id, stored.version, digest, fresh=True)


def newest_contract(stream: str) -> CompiledContract:
    """The version that holds from the next window. Raises NotFound."""
    with read() as cur:
        row = cur.execute(sql.newest_of_stream, {"name": stream}).fetchone()
    if row is None:
        raise NotFound(expected=f"a contract of stream {stream}", found="none", next_step="passgate stream load FILE")
    return compiled_contract(row.id)


#: Versions a process keeps parsed, some 50 KB each: fewer than there are streams would be parsed again at every look.
COMPILED = 2_048


@lru_cache(maxsize=COMPILED)
def compiled_contract(contract_id: int) -> CompiledContract:
    """A stored contract never changes, so a process parses it once."""
    with read() as cur:
        row = cur.execute(sql.contract, {"id": contract_id}).fetchone()
        if row is None:
            raise NotFound(expected=f"contract {contract_id}", found="none")
        classes = known_classes(cur, row.stream_id)
    files = {name: text.encode() for name, text in row.files.items()}
    contract = parse_contract(bytes(row.source_text), f"{row.name}.toml", files.__getitem__)
    return CompiledContract(
        row.id,
        row.stream_id,
        row.version,
        bytes(row.digest),
        contract,
        Parser(contract),
        classes,
    )


def ensure_classes(cur: Cursor, stream: StreamId, names: Iterable[str]) -> dict[str, int]:
    """The numbers of these class names, made where they are new.

    A CloudEvents stream that lists no classes takes whatever type a producer names; beyond MOST_CLASSES of them the
    rest are filed under OTHER_CLASSES. Identity does not depend on it: that digests the name itself.

    Raises NeverThere where a class is neither made nor found: nothing is ever filed under a class that is not there.
    """
    wanted = sorted(set(names))
    known = known_classes(cur, stream)
    new = [name for name in wanted if name not in known]
    room = max(0, MOST_CLASSES - len(known))
    made = new[:room] + ([OTHER_CLASSES] if len(new) > room else [])
    if made:
        cur.execute(sql.add_classes, {"stream": stream, "names": sorted(made)})
        known = known_classes(cur, stream)  # in a statement of its own, which sees what others committed meanwhile
    missing = [name for name in made if name not in known]
    if missing:
        raise NeverThere(
            expected=f"{len(made)} event classes", found=f"{len(missing)} not there", next_step="try again"
        )
    return {name: known[name] if name in known else known[OTHER_CLASSES] for name in wanted}


def known_classes(cur: Cursor, stream: StreamId) -> dict[str, int]:
    """The stream's classes by name: at most MOST_CLASSES and a few that were added at once."""
    return {row.name: int(row.id) for row in cur.execute(sql.classes, {"stream": stream}).fetchall()}


def ensure_stream(cur: Cursor, name: str) -> StreamId:
    """The stream's number, made where it is new."""
    return StreamId(find_or_insert(cur, sql.stream, sql.add_stream, {"name": name}).id)
