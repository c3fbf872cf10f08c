"""What code, SQL, tests, templates and docs refer to is there: every reference, link, path and test is looked up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs import library

PAGES = [file for file in library.tracked() if file.suffix == ".md"]
#: What is true now. A changelog and a decision speak of their own day.
TODAY = [file for file in PAGES if file.parent.name != "decisions" and file.name != "CHANGELOG.md"]


def name_of(file: Path) -> str:
    return str(file.relative_to(library.ROOT))


def test_every_reference_is_found() -> None:
    wrong = [f"{name_of(file)}: {why}" for file in library.tracked() for why in library.astray(library.read(file))]
    assert wrong == []


@pytest.mark.parametrize("file", PAGES, ids=name_of)
def test_every_link_leads_somewhere(file: Path) -> None:
    assert list(library.dead_links(file, library.read(file))) == []


@pytest.mark.parametrize("file", TODAY, ids=name_of)
def test_every_module_and_test_that_a_page_names_is_there(file: Path) -> None:
    assert list(library.not_there(library.read(file))) == []


@pytest.mark.parametrize(("letter", "count"), [("I", 14), ("K", 12), ("S", 29)])
def test_numbers_have_no_hole(letter: str, count: int) -> None:
    named = [name for name in library.sections(library.PAGES[letter]) if name[0] == letter and name[1:].isdigit()]
    assert named == [f"{letter}{number}" for number in range(1, count + 1)]


def test_every_scenario_names_its_tests() -> None:
    told = library.sections("scenarios.md").items()
    assert [name for name, text in told if name.startswith("S") and not list(named_in(text))] == []


def named_in(text: str) -> Iterator[str]:
    yield from (line.strip("- `") for line in text.splitlines() if line.startswith("- `tests/") and "::test_" in line)


def test_every_page_is_in_the_index() -> None:
    index = library.read(library.DOCS / "README.md")
    assert [
        page.name for page in library.DOCS.glob("*.md") if page.name != "README.md" and page.name not in index
    ] == []


# ---- what is wrong is found -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "(I15)", "K13: no such fact", "as S30 says", "I0", "docs/nowhere.md", "docs/design.md#nowhere", "decision 99",
        "(DESIGN 4)", "DESIGN §4", "KAFKA.md", "as SPEED.md says", "(CONSOLE)", "(SPEED: 637 µs)", "SCENARIOS",
        "HOSTILE_INPUT.md", "FAULTS.md", "FAULTS B21", "§ 4",
    ],
)  # fmt: skip
def test_a_reference_to_nothing_is_found(text: str) -> None:
    assert list(library.astray(text))


@pytest.mark.parametrize(
    "text",
    [
        "(I10)", "I1 to I14", "K5", "S27", "docs/design.md#publishing", "docs/decisions/README.md", "decision 17",
        "FAULTS: dict[str, int]", "i4_samples", "KEYS", "SI1", "S1x",
    ],
)  # fmt: skip
def test_what_refers_to_something_or_to_nothing_at_all_is_let_be(text: str) -> None:
    assert list(library.astray(text)) == []


@pytest.mark.parametrize("link", ["nowhere.md", "design.md#nowhere", "#nowhere", "../nowhere/", "decisions/0099-no.md"])
def test_a_link_to_nothing_is_found(link: str) -> None:
    assert list(library.dead_links(library.DOCS / "design.md", f"see [this]({link})."))


@pytest.mark.parametrize("link", ["design.md", "design.md#publishing", "#drift", "../README.md", "https://example.com"])
def test_a_link_that_leads_somewhere_is_let_be(link: str) -> None:
    assert list(library.dead_links(library.DOCS / "design.md", f"see [this]({link}).")) == []


@pytest.mark.parametrize(
    "place", ["ingest/nowhere.py", "tests/docs/test_references.py::test_nothing", "audit/nowhere/"]
)
def test_a_place_that_is_not_there_is_found(place: str) -> None:
    assert list(library.not_there(f"in `{place}`"))
