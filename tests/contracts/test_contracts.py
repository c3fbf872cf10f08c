"""Contract files as people write them: the good ones are read, and each bad one is answered with its exact message."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingest.core.contract import Contract, ContractErrors, parse_contract

HERE = Path(__file__).parent
BAD = sorted((HERE / "bad").glob("*.toml"))
GOOD = sorted((HERE / "good").glob("*.toml"))
ALLOWED = frozenset(["demo.flights:Flights", "ingest.projections.flights:FlightsWithWeather"])


def parse(path: Path, allowed: frozenset[str] | None = ALLOWED) -> Contract:
    return parse_contract(path.read_bytes(), path.name, lambda name: (path.parent / name).read_bytes(), allowed)


def test_there_are_at_least_thirty_bad_ones() -> None:
    assert len(BAD) >= 30


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_bad_contract_is_answered_with_its_message(path: Path) -> None:
    allowed = frozenset(["demo.flights:Flights"])
    with pytest.raises(ContractErrors) as caught:
        parse_contract(path.read_bytes(), path.name, lambda name: (path.parent / name).read_bytes(), allowed)
    assert f"{caught.value}\n" == path.with_suffix(".txt").read_text()


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_bad_contract_names_line_key_found_and_what_to_write(path: Path) -> None:
    with pytest.raises(ContractErrors) as caught:
        parse_contract(path.read_bytes(), path.name, lambda name: (path.parent / name).read_bytes(), ALLOWED)
    lines = path.read_bytes().count(b"\n") + 1
    for error in caught.value.errors:
        assert error.file == path.name
        assert 1 <= error.line <= lines
        assert error.key
        assert error.found
        assert error.write


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_good_contract_is_read(path: Path) -> None:
    contract = parse(path)
    assert len(contract.digest) == 32


def test_errors_come_in_the_order_of_their_lines() -> None:
    (path,) = [path for path in BAD if path.stem.endswith("several-faults")]
    with pytest.raises(ContractErrors) as caught:
        parse(path)
    lines = [error.line for error in caught.value.errors]
    assert len(lines) == 4
    assert lines == sorted(lines)


def test_the_demo_contracts_are_read() -> None:
    folder = HERE.parent.parent / "trials" / "demo" / "contracts"
    assert {parse(path, None).stream for path in folder.glob("*.toml")} == {"airports", "flights", "ticks", "weather"}
