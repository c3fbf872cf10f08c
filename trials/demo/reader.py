"""A reader downstream: a program that asks the gate over HTTP, and a database login that sees `truth` alone."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

import psycopg

TIMEOUT = 30.0


@dataclass(frozen=True)
class GateAnswer:
    """The gate's answer over HTTP: its status, and what its document says."""

    status: int
    code: str
    verdict: str
    detail: str


@dataclass(frozen=True)
class Reader:
    """`url`: the console's; `token` may do nothing but ask the gate; `database`: the login of role passgate_reader."""

    url: str
    token: str
    database: str

    def ask(self, stream: str, run_name: str, window: int = 0, rerun: int = 0) -> GateAnswer:
        """What the gate says now of a run, a window or a rerun. Whoever looks at nothing but the status never reads
        on doubt."""
        path = f"{stream}/{run_name}" + (f"/windows/{window}" if window else "") + (f"/reruns/{rerun}" if rerun else "")
        asked = urllib.request.Request(
            f"{self.url}/api/v1/gate/{path}", headers={"Authorization": f"Token {self.token}"}
        )
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(asked, timeout=TIMEOUT) as found:
                return _answer(found.status, json.load(found))
        except urllib.error.HTTPError as refused:
            return _answer(refused.code, json.load(refused))

    def rows(self) -> int:
        """How many joined flights this login can see."""
        with psycopg.connect(self.database, autocommit=True) as connection:
            (count,) = connection.execute("SELECT count(*) FROM truth.flights_weather").fetchone() or (0,)
        return int(count)


def _answer(status: int, document: dict[str, Any]) -> GateAnswer:
    code, verdict = str(document.get("code", "")), str(document.get("verdict") or "no verdict")
    return GateAnswer(status, code, verdict, str(document.get("detail") or ""))
