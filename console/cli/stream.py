"""`passgate stream`: checking, loading, comparing and listing contracts."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

import console.cli.ready  # noqa: F401 - sets Django up before the modules below need it

# isort: split
from console.cli.base import DONE, NO, Command, Group, acting, as_json, counted, emit, moment, said, table
from console.documents.streams import stream_documents
from console.reads.streams import newest_contracts
from ingest.core.cloudevents import event_digest, structured_form
from ingest.core.contract import Contract, contract_digest, diff, not_in_force, who_reads
from ingest.core.decide import Outcome, arrive, as_it_is, decide
from ingest.core.errors import PassgateError
from ingest.core.ids import SourceId
from ingest.core.record import Decision, Headers, Parser, Reason, Understood
from ingest.streams import load, newest_contract, parse, schema_files

MOST_SAMPLES = 10_000
SAMPLE_RUN = "sample"

FILE = click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))


class SampleTooLong(PassgateError):
    """A sample is for looking at, line by line."""

    code = "sample_too_long"
    what = "the sample is too long"


class FilesBesideContract(Mapping[str, bytes]):
    """The files beside a contract, read when they are asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __getitem__(self, name: str) -> bytes:
        try:
            return (self._folder / name).read_bytes()
        except OSError:
            raise KeyError(name) from None

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(path.name for path in self._folder.iterdir() if path.is_file()))

    def __len__(self) -> int:
        return len(list(iter(self)))


def read_contract(file: Path) -> tuple[bytes, Contract]:
    """The file's text and the contract it holds. Raises ContractErrors with every fault."""
    text = file.read_bytes()
    return text, parse(text, str(file), FilesBesideContract(file.parent))


@click.group(cls=Group)
def stream() -> None:
    """Check, load and compare contracts."""


@stream.command(cls=Command)
@FILE
@click.option("--sample", type=click.File("rb"), help="Lines, each a record's value; - reads stdin.")
@click.option("--run", "run_name", help="The run that is open. [default: the first one a record names]")
@click.option("--header", "headers", multiple=True, metavar="NAME=VALUE", help="A header that every record has.")
@as_json
def check(file: Path, sample: Any, run_name: str | None, headers: tuple[str, ...], as_json: bool) -> None:
    """Check a contract, and say what each record of a sample would become. Stores nothing and needs no database.

    Exit code 0: the contract is valid; 1: it is not, and every fault is named with its line.
    """
    _, contract = read_contract(file)
    rows = list(judge(contract, lines(sample), pairs(headers), run_name)) if sample else []
    if as_json:
        emit(contract_line(contract) | ({"sample": rows} if sample else {}))
        return
    _say_contract(file, contract)
    if sample:
        _say_sample(rows)


def lines(sample: Any) -> list[bytes]:
    """The sample's lines without their ends; the last may lack one. An empty line is a record, too."""
    found: list[bytes] = []
    for line in sample:
        if len(found) == MOST_SAMPLES:
            raise SampleTooLong(expected=f"at most {MOST_SAMPLES:,} lines", next_step="take a shorter piece of it")
        found.append(line.removesuffix(b"\n").removesuffix(b"\r"))
    return found


def pairs(headers: Sequence[str]) -> Headers | None:
    """NAME=VALUE options as record headers."""
    named = [header.partition("=") for header in headers]
    for name, equals, _ in named:
        if not (name and equals):
            raise click.BadParameter("NAME=VALUE is expected", param_hint="--header")
    return [(name, value.encode()) for name, _, value in named] or None


def judge(
    contract: Contract, values: Sequence[bytes], headers: Headers | None, run_name: str | None
) -> Iterator[dict[str, Any]]:
    """What admission would decide about the records, in an empty run. Pure."""
    parser = Parser(contract)
    parsed = [parser.parse(value, None, headers) for value in values]
    run = run_name or next((parsed_record.run for parsed_record in parsed if parsed_record.run), SAMPLE_RUN)
    offsets = range(1, len(values) + 1)
    digests = [event_digest(value, headers) for value in values] if parser.is_cloudevents else None
    arrivals = arrive(contract.stream, run, offsets, values, parsed, digests)

    def structured(_: int, value: bytes) -> bytes:
        return structured_form(value, headers)

    form = structured if parser.is_cloudevents else as_it_is
    decisions = decide(arrivals, {}, run, SourceId(0), lambda _: False, form)
    details = {item.offset: item.detail for item in decisions.items}
    for outcome, parsed_record in zip(decisions.outcomes, parsed, strict=True):
        event = parsed_record if isinstance(parsed_record, Understood) else None
        yield {
            "line": outcome.offset,
            "decision": outcome.decision.name,
            "reason": outcome.reason.name if outcome.reason else None,
            "detail": details.get(outcome.offset) or _same_as(outcome, run),
            "event_class": event.class_name if event else None,
            "event_id": list(event.parts) if event else None,
            "run": parsed_record.run or run,
        }


def _same_as(outcome: Outcome, run: str) -> str | None:
    if outcome.first_offset is None:
        return None
    what = "the first payload stands" if outcome.reason is Reason.PAYLOAD_MISMATCH else "the same event"
    return f"{what}: line {outcome.first_offset}"


def contract_line(contract: Contract) -> dict[str, Any]:
    """A valid contract, in short."""
    return {
        "stream": contract.stream,
        "digest": contract_digest(contract).hex(),
        "event_classes": [event.name for event in contract.events],
        "not_in_force": not_in_force(contract),
    }


def _say_contract(file: Path, contract: Contract) -> None:
    classes = ", ".join(event.name for event in contract.events) or "any CloudEvents type"
    said(f"{file} is valid: stream {contract.stream}, classes {classes}, digest {contract_digest(contract).hex()[:12]}")
    _say_not_in_force(contract)


def _say_not_in_force(contract: Contract) -> None:
    waiting = not_in_force(contract)
    if waiting:
        click.echo(f"Read and kept, but not yet in force: {', '.join(waiting)}")
    if who := who_reads(contract):
        click.echo(who)


def _say_sample(rows: Sequence[dict[str, Any]]) -> None:
    click.echo()
    heads = ("line", "would become", "class", "id", "why")
    table(heads, [(r["line"], _becomes(r), r["event_class"], _id(r["event_id"]), r["detail"]) for r in rows], right=[0])
    counts = [f"{sum(row['decision'] == decision.name for row in rows):,} {decision.name}" for decision in Decision]
    click.echo(f"\n{counted(len(rows), 'record')}: {', '.join(counts)}. Nothing was stored.")


def _becomes(row: Mapping[str, Any]) -> str:
    return f"{row['decision']} {row['reason']}" if row["reason"] else str(row["decision"])


def _id(parts: list[Any] | None) -> str:
    return json.dumps(parts, ensure_ascii=False) if parts else ""


@stream.command("load", cls=Command)
@FILE
@acting
@as_json
def load_file(file: Path, actor: str, as_json: bool) -> None:
    """Store a contract as its stream's newest version; it holds from the next window.

    Exit code 0: stored, or the newest one already; 1: not valid.
    """
    text, contract = read_contract(file)
    beside = FilesBesideContract(file.parent)
    done = load(text, str(file), {name: beside[name] for name in schema_files(contract)}, actor)
    if as_json:
        emit(contract_line(contract) | {"version": done.version, "fresh": done.fresh})
        return
    word = "Loaded" if done.fresh else "Nothing changed:"
    said(f"{word} {contract.stream} v{done.version}, digest {done.digest.hex()[:12]}. It holds from the next window.")
    _say_not_in_force(contract)


@stream.command("diff", cls=Command)
@FILE
@as_json
def diff_file(file: Path, as_json: bool) -> None:
    """Compare a file with the newest stored contract of its stream. Exit code 0: the same; 1: they differ."""
    _, contract = read_contract(file)
    stored = newest_contract(contract.stream)
    changes = diff(stored.contract, contract)
    if as_json:
        emit({"stream": contract.stream, "stored_version": stored.version, "changes": changes})
    elif changes:
        said(f"{contract.stream} v{stored.version} -> {file}")
        for change in changes:
            said(change, indent=2)
    else:
        said(f"{file} says the same as {contract.stream} v{stored.version}")
    sys.exit(NO if changes else DONE)


@stream.command("list", cls=Command)
@as_json
def list_streams(as_json: bool) -> None:
    """Every stream with its newest contract and its open run."""
    documents = stream_documents(list(newest_contracts()))
    if as_json:
        emit({"items": documents})
    elif not documents:
        click.echo("No streams yet. Load a contract: passgate stream load FILE")
    else:
        heads = ("stream", "contract", "digest", "open run", "inbox", "bus", "loaded")
        table(heads, map(_stream_row, documents))


def _stream_row(found: Mapping[str, Any]) -> tuple[object, ...]:
    contract, topics = found["contract"], (found["inbox"]["topic"], found["bus"]["topic"])
    version, digest, loaded = f"v{contract['version']}", contract["digest"][:12], moment(contract["loaded_at"])
    return found["stream"], version, digest, found["open_run"], *topics, loaded
