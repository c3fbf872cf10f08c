"""How a cheat is played: in a transaction that is rolled back, with fsck looking at it from inside.

A row of a list says what is done, as whom, and who notices: a rule of the database that refuses it, by the constraint's
name, or a check of fsck that finds it. What nobody notices fails.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

import psycopg
from django.db import connections, transaction

from audit.core.finding import Report
from audit.fsck import examine
from ingest.db import cursor

APP, SUPERUSER = "the application", "a superuser without triggers"


@dataclass(frozen=True)
class Cheat:
    """`does`: statements, separated by ";", that may use the world's values. `of_all`: its check is of all streams.

    The application's role is refused where it may not; whoever may do everything stands in for a stolen server.
    """

    name: str
    does: str
    refused: str = ""
    found: str = ""
    by: str = APP
    of_all: bool = False

    def __post_init__(self) -> None:
        assert bool(self.refused) != bool(self.found), f"{self.name}: either refused or found"

    @property
    def id(self) -> str:
        """A test's name without spaces, so that a list of failed ones can be read by programs."""
        return self.name.replace(" ", "_")


@contextmanager
def playing(cheat: Cheat, values: Mapping[str, object]) -> Iterator[None]:
    """What the cheat did is there for whoever asks through Django's connection, and gone afterwards."""
    with _connection_of(cheat.by), transaction.atomic():
        with cursor() as cur:
            for statement in _statements(cheat):
                cur.execute(statement, dict(values))
            cur.execute("SET CONSTRAINTS ALL IMMEDIATE")
        yield
        transaction.set_rollback(True)


def _statements(cheat: Cheat) -> list[str]:
    return [statement for statement in cheat.does.split(";") if statement.strip()]


@contextmanager
def _connection_of(who: str) -> Iterator[None]:
    """Another connection in the place of Django's, so that fsck sees what was not committed."""
    from tests.conftest import STACK

    before = connections["default"]
    made = before.copy()
    if who == SUPERUSER:
        url = urlsplit(STACK.env()["PASSGATE_ADMIN_URL"])
        made.settings_dict["USER"] = unquote(url.username or "")
        made.settings_dict["PASSWORD"] = unquote(url.password or "")
        made.settings_dict["OPTIONS"] = {"options": "-c session_replication_role=replica"}
    connections["default"] = made
    try:
        yield
    finally:
        made.close()
        connections["default"] = before


def notice(cheat: Cheat, values: Mapping[str, object]) -> None:
    """Fails unless whom the cheat names notices it."""
    try:
        with playing(cheat, values):
            assert not cheat.refused, f"{cheat.name}: {cheat.refused} let it happen"
            report = looked(cheat, values)
    except psycopg.Error as error:
        said = error.diag.constraint_name or type(error).__name__
        assert said == cheat.refused, f"{cheat.name}: refused by {said}: {error.diag.message_primary}"
        return
    named = {finding.check for finding in report.findings}
    assert cheat.found in named, f"{cheat.name}: nothing noticed it; {[str(x) for x in report.unseen]}"
    assert all(finding.subject and finding.found for finding in report.findings)


def looked(cheat: Cheat, values: Mapping[str, Any]) -> Report:
    """What the check that the cheat names says, alone."""
    return examine(None if cheat.of_all else values["name"], names={cheat.found})
