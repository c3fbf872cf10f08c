"""One command line and what came of it."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import Any

from click.testing import CliRunner

from console.cli.main import passgate


@dataclass(frozen=True)
class Typed:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def typed(line: str, *more: str, stdin: str | bytes | None = None) -> Typed:
    """Runs it; an error that nobody named is the test's error."""
    answer = CliRunner().invoke(passgate, [*shlex.split(line), *more], input=stdin, prog_name="passgate")
    if answer.exception is not None and not isinstance(answer.exception, SystemExit):
        raise answer.exception
    return Typed(answer.exit_code, answer.stdout, answer.stderr)
