"""`passgate stream`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stack.place import PROJECT
from tests.cli.typed import Typed
from tests.flow.world import Flow, thing

Passgate = Callable[..., Typed]
CONTRACT = PROJECT / "trials" / "demo" / "contracts" / "flights.toml"
BAD = PROJECT / "tests" / "contracts" / "bad" / "08-no-stream.toml"


@pytest.fixture
def file(flow: Flow, tmp_path: Path) -> Path:
    """The contract of `flow` as a file."""
    text = flow.rows(
        "SELECT c.source_text FROM contract c JOIN stream s ON s.id = c.stream_id WHERE s.name = %(name)s"
    )[0].source_text
    path = tmp_path / "contract.toml"
    path.write_bytes(bytes(text))
    return path


def test_check_needs_no_database(tmp_path: Path) -> None:
    """Not even one that is named and not there."""
    nowhere = "postgresql://nobody@127.0.0.1:1/nothing"
    environment = os.environ | {"DATABASE_URL": nowhere, "PASSGATE_OWNER_URL": nowhere, "PYTHONPATH": str(PROJECT)}
    words = [sys.executable, "-m", "console.cli.main", "stream", "check", str(CONTRACT), "--sample", "-"]
    done = subprocess.run(words, input=b"not json\n", env=environment, cwd=tmp_path, capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"QUARANTINED NOT_JSON" in done.stdout
    assert b"Nothing was stored." in done.stdout


def test_a_broken_contract_is_named_line_by_line(passgate: Passgate) -> None:
    plain = passgate(f"stream check {BAD}")
    assert (plain.code, plain.out) == (1, "")
    assert plain.err.splitlines()[-1] == "passgate: the contract is not valid [contract_invalid]"
    assert f"{BAD}:1: stream: " in plain.err
    found = json.loads(passgate(f"stream check {BAD} --json").err)
    assert (found["code"], found["errors"][0]["line"], found["errors"][0]["key"]) == ("contract_invalid", 1, "stream")
    assert passgate(f"stream load {BAD}").code == 1


def test_a_sample_is_judged_record_by_record(passgate: Passgate, file: Path, tmp_path: Path) -> None:
    sample = tmp_path / "s.ndjson"
    other = thing(4, run="another")
    values = [
        thing(1, run="r9"),
        thing(1, run="r9"),
        thing(1, run="r9", x=2),
        b"",
        b"\x1b[31m",
        b'{"type":"\\u202eno"}',
        other,
    ]
    sample.write_bytes(b"\n".join(values))
    found = passgate(f"stream check {file} --sample {sample} --json").json["sample"]
    assert [(row["line"], row["decision"], row["reason"]) for row in found] == [
        (1, "ADMITTED", None),
        (2, "DUPLICATE", None),
        (3, "QUARANTINED", "PAYLOAD_MISMATCH"),
        (4, "QUARANTINED", "EMPTY"),
        (5, "QUARANTINED", "NOT_JSON"),
        (6, "QUARANTINED", "UNKNOWN_CLASS"),
        (7, "QUARANTINED", "OTHER_RUN"),
    ]
    assert (found[0]["event_class"], found[0]["event_id"], found[0]["run"]) == ("thing", [1], "r9")
    plain = passgate(f"stream check {file} --sample {sample}")
    assert "7 records: 1 ADMITTED, 1 DUPLICATE, 5 QUARANTINED. Nothing was stored." in plain.out
    assert "\u202e" not in plain.out and "\x1b" not in plain.out
    named = passgate(f"stream check {file} --sample {sample} --run another --json").json["sample"]
    assert [row["decision"] for row in named].count("ADMITTED") == 1


def test_headers_of_a_sample(passgate: Passgate, file: Path) -> None:
    said = passgate(f"stream check {file} --sample - --header pg-run=r7 --json", stdin=thing(1) + b"\n")
    assert said.json["sample"][0]["run"] == "r7"
    wrong = passgate(f"stream check {file} --sample - --header pg-run", stdin="")
    assert wrong.code == 2
    assert "NAME=VALUE" in wrong.err


def test_a_sample_is_bounded(passgate: Passgate, file: Path) -> None:
    refused = passgate(f"stream check {file} --sample -", stdin=b"{}\n" * 10_001)
    assert refused.code == 3
    assert "[sample_too_long]" in refused.err


def test_load_diff_and_list(passgate: Passgate, flow: Flow, file: Path) -> None:
    same = passgate(f"stream load {file}")
    assert (same.code, same.out.split(",")[0]) == (0, f"Nothing changed: {flow.name} v1")
    assert passgate(f"stream diff {file}").code == 0
    file.write_text(file.read_text().replace("quarantine_open_max = 0", "quarantine_open_max = 9"))
    differs = passgate(f"stream diff {file}")
    assert (differs.code, differs.out.splitlines()[1:]) == (1, ["  close.quarantine_open_max: 0 -> 9"])
    assert passgate(f"stream diff {file} --json").json["changes"] == ["close.quarantine_open_max: 0 -> 9"]
    loaded = passgate(f"stream load {file} --as ana --json").json
    assert (loaded["version"], loaded["fresh"]) == (2, True)
    row = flow.rows("SELECT c.loaded_by FROM contract c JOIN stream s ON s.id = c.stream_id WHERE s.name = %(name)s")
    assert [r.loaded_by for r in row] == ["test", "ana"]
    listed = {found["stream"]: found for found in passgate("stream list --json").json["items"]}
    assert (listed[flow.name]["contract"]["version"], listed[flow.name]["open_run"]) == (2, None)
    assert flow.name in passgate("stream list").out


def test_a_stream_nobody_loaded(passgate: Passgate, tmp_path: Path, flow: Flow, file: Path) -> None:
    file.write_text(file.read_text().replace(flow.name, "unheard-of"))
    refused = passgate(f"stream diff {file}")
    assert (refused.code, refused.out) == (3, "")
    assert "[not_found]" in refused.err and "next:     passgate stream load FILE" in refused.err


def test_readers_that_nothing_enforces_are_said(passgate: Passgate, file: Path) -> None:
    """By check and by load: whoever named readers must not believe that others are kept away."""
    plain = file.read_text()
    file.write_text(plain + '\n[gate]\nreaders = ["mart"]\n')
    for words in (f"stream check {file}", f"stream load {file} --as engineer"):
        said = passgate(words).out
        assert "not yet in force: gate.readers" in said
        assert "gate.readers names mart, and nothing keeps others away yet" in said
    assert passgate(f"stream check {file} --json").json["not_in_force"] == ["gate.readers"]
    file.write_text(plain)
    assert "gate.readers" not in passgate(f"stream check {file}").out


def test_a_sample_of_cloudevents_is_judged_in_one_form(passgate: Passgate, tmp_path: Path) -> None:
    """In binary mode the attributes come as headers, which every record of the sample has."""
    contract = tmp_path / "c.toml"
    contract.write_text(
        'contract = 1\nstream = "c"\n[inbox.kafka]\ntopic = "c.inbox"\nformat = "cloudevents"\n'
        '[bus]\ntopic = "c.bus"\npartitions = 1\n'
    )
    sample = tmp_path / "s.ndjson"
    sample.write_bytes(b'{"a":1.50}\n{"a": 1.5}\n{"a":2}\n')
    headers = " ".join(f"--header ce_{name}" for name in ("specversion=1.0", "id=7", "source=/s", "type=t"))
    found = passgate(f"stream check {contract} --sample {sample} {headers} --json").json["sample"]
    assert [row["decision"] for row in found] == ["ADMITTED", "DUPLICATE", "QUARANTINED"]
