"""Every setting is documented, and every documented setting is read somewhere."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Set by the program itself for its own processes, not by people
OURS = {
    "PASSGATE_FAILPOINT",  # of a worker that a test starts: docs/failpoints.md
    "PASSGATE_PROXIED_BOOTSTRAP_SERVERS",
    "PASSGATE_URL",
    "PASSGATE_BOOTSTRAP",
    "PASSGATE_ADMIN_URL",
    "PASSGATE_AUDITOR_URL",
    "PASSGATE_READER_URL",
}
# Of the test command
TESTS = {"PASSGATE_FAILED_CHECKS", "PASSGATE_CHROMIUM", "PASSGATE_TEST_PROGRESS"}
_NAME = re.compile(r"\b(?:PASSGATE_[A-Z_]+|DATABASE_URL|KAFKA_BOOTSTRAP_SERVERS|CELERY_BROKER_URL)\b")


def documented() -> set[str]:
    rows = [line for line in (ROOT / "docs/settings.md").read_text().splitlines() if line.startswith("| `")]
    return {name.rstrip("_") for row in rows for name in _NAME.findall(row.split("|")[1])}


def read_somewhere() -> set[str]:
    files = [ROOT / "manage.py", *(ROOT / "console").rglob("*.py"), *(ROOT / "ingest").rglob("*.py")]
    names = {name.rstrip("_") for file in files for name in re.findall(rf'"({_NAME.pattern})', file.read_text())}
    return {name for name in names if not name.startswith("PASSGATE_STACK_")}


def test_every_setting_is_documented() -> None:
    assert read_somewhere() - OURS - TESTS == documented()
