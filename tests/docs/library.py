"""What the docs hold: pages, their headings and anchors; and what leads from a text into them, or nowhere."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

#: Short names of references, and the page whose headings they are: `I10` is "## I10: …" of invariants.md.
PAGES = {"I": "invariants.md", "K": "kafka-facts.md", "S": "scenarios.md"}

#: Bytes that nobody reads: locks hold digests, and these tables hold what was sent.
_NO_TEXT = (".lock", ".png", ".svg", ".min.js", "fates.txt", "htmx-2.0.11.min.js")
#: Names of texts that were never in this repository.
_LEFTOVERS = re.compile(
    r"\b(?:DESIGN|SCENARIOS|HOSTILE_INPUT|RERUNS|HOUSE)\b|\b(?:KAFKA|SPEED|CONSOLE|STYLE|FAULTS)\.md"
    r"|\((?:SPEED|CONSOLE)\b|\bFAULTS [A-E]\d|§"
)
_SHORT = re.compile(r"\b([IKS])(\d{1,2})\b")
_PAGE = re.compile(r"\bdocs/((?:[\w.-]+/)*[\w.-]+\.md)(?:#([\w-]+))?")
_DECISION = re.compile(r"\b[Dd]ecision (\d+)\b")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_PLACE = re.compile(r"`((?:ingest|audit|console|stack|tests|trials|templates|deploy)/[^`\s]*)`")
_HEADING = re.compile(r"^#{1,6} +(.+?)\s*$", re.MULTILINE)
_FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def tracked() -> list[Path]:
    """Every file of the repository that is text, this one's own tests excepted: they name what must not be."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    names = [name for name in listed.decode().split("\0") if name and not name.endswith(_NO_TEXT)]
    ours = {"tests/docs/library.py", "tests/docs/test_references.py"}
    return [ROOT / name for name in names if name not in ours and (ROOT / name).is_file()]


def read(file: Path) -> str:
    """Some files of tests are meant to be no UTF-8."""
    return file.read_text(encoding="utf-8", errors="replace")


def headings(file: Path) -> list[str]:
    return _HEADING.findall(_FENCED.sub("", read(file)))


@cache
def anchors(file: Path) -> frozenset[str]:
    """As links name headings: lower case, without punctuation, spaces as hyphens."""
    return frozenset(re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings(file))


@cache
def short_names() -> frozenset[str]:
    """I1, K5, S24 …: the headings of their pages that begin so."""
    found = (title.partition(":")[0] for page in PAGES.values() for title in headings(DOCS / page))
    return frozenset(name for name in found if _SHORT.fullmatch(name))


@cache
def decisions() -> frozenset[int]:
    return frozenset(int(file.name[:4]) for file in (DOCS / "decisions").glob("[0-9]*.md"))


def sections(page: str) -> dict[str, str]:
    """The text under each heading of the second or third level, by the heading's first word without its colon."""
    parts = re.split(r"^#{2,3} +(.+)$", read(DOCS / page), flags=re.MULTILINE)[1:]
    return {title.partition(":")[0]: text for title, text in zip(parts[::2], parts[1::2], strict=True)}


def is_there(place: str) -> bool:
    """A folder or file of the repository, or a test in it: `tests/a/test_b.py::test_c`."""
    path, _, function = place.partition("::")
    if not function:
        return (ROOT / path).exists()
    return function in functions(ROOT / path)


@cache
def functions(file: Path) -> frozenset[str]:
    if not file.is_file():
        return frozenset()
    return frozenset(n.name for n in ast.walk(ast.parse(read(file))) if isinstance(n, ast.FunctionDef))


# ---- what leads nowhere ---------------------------------------------------------------------------------------------


def astray(text: str) -> Iterator[str]:
    """References of any text that nothing stands behind."""
    for letter, number in _SHORT.findall(text):
        if f"{letter}{number}" not in short_names():
            yield f"{letter}{number} is no heading of {PAGES[letter]}"
    for page, anchor in _PAGE.findall(text):
        if not (DOCS / page).is_file():
            yield f"docs/{page} is not there"
        elif anchor and anchor not in anchors(DOCS / page):
            yield f"docs/{page} has no heading #{anchor}"
    for number in _DECISION.findall(text):
        if int(number) not in decisions():
            yield f"decision {number} is not there"
    for leftover in _LEFTOVERS.findall(text):
        yield f"{leftover} names a text that is not in this repository"


def dead_links(file: Path, text: str) -> Iterator[str]:
    """Of a page: links to files and headings that are not there."""
    for target in _LINK.findall(_FENCED.sub("", text)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (file.parent / path).resolve() if path else file
        if not there.exists():
            yield f"{target} leads nowhere"
        elif anchor and anchor not in anchors(there):
            yield f"{target}: no such heading"


def not_there(text: str) -> Iterator[str]:
    """Of a page: modules, folders and tests that it names and nobody finds."""
    yield from (f"{place} is not there" for place in _PLACE.findall(text) if not is_there(place))
