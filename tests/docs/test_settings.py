"""docs/settings.md says of each setting what the code has, and the code reads no setting that is not in its table.

The page's tables are written anew by `python -m tests.docs.test_settings`.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from console.environment.table import ALL, CONSOLE, KAFKA_MEANING, KAFKA_PREFIX, KEEPING, PARTS, SETTINGS, TOLD

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "settings.md"
CODE = [
    ROOT / "manage.py",
    *(
        file
        for name in ("stack", "console", "plans", "audit", "ingest", "trials")
        for file in (ROOT / name).rglob("*.py")
    ),
]
_NAME = r"PASSGATE_[A-Z_]+|DATABASE_URL|KAFKA_BOOTSTRAP_SERVERS|CELERY_BROKER_URL"
_HELD = re.compile(r"<!-- settings: (\w+) -->\n.*?<!-- end -->", re.DOTALL)
BY_KAFKA = f"| `{KAFKA_PREFIX}…` | | librdkafka's form | {KAFKA_MEANING} |"


def rows(section: str) -> str:
    lines = ["| name | default | write | meaning |", "|---|---|---|---|"]
    for each in ALL:
        if each.section == section:
            lines.append(f"| `{each.name}` | {each.documented_default()} | {each.form.write} | {each.meaning} |")
        if each.section == section and each.name == "KAFKA_BOOTSTRAP_SERVERS":
            lines.append(BY_KAFKA)
    return "\n".join(lines)


def page(text: str) -> str:
    """The text with its tables as the code has them."""
    return _HELD.sub(lambda found: f"<!-- settings: {found[1]} -->\n{rows(found[1])}\n<!-- end -->", text)


def test_the_page_says_what_the_code_says() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert [found[1] for found in _HELD.finditer(text)] == [PARTS, KEEPING, CONSOLE]
    assert text == page(text)


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_every_setting_is_read(name: str) -> None:
    """By its name, or in Django's settings by its row of the table."""
    row = name.removeprefix("PASSGATE_")
    read = re.compile(rf'environ(?:\.get\(|\[)"{name}"|reading(?:\.given)?\(table\.{row}\)')
    assert [file.name for file in CODE if read.search(file.read_text(encoding="utf-8"))]


def test_nothing_is_read_that_is_no_setting() -> None:
    read = re.compile(rf'environ(?:\.get\(|\[|\.pop\(|\.setdefault\()"({_NAME})"')
    names = {name for file in CODE for name in read.findall(file.read_text(encoding="utf-8"))}
    assert names - set(SETTINGS) - TOLD == set()
    assert names & set(SETTINGS)


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
