"""The acts of people and producers, as commands: run in this process, shown as they would be typed."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import ClassVar

import click

from console.cli.main import passgate
from ingest.core.errors import PassgateError
from trials.demo.telling import Teller

DONE, FOUND, NOT_LOOKED_AT, NOT_YET = 0, 1, 3, 4
PAUSES = (2.0, 5.0, 10.0)
CAN_SUCCEED_LATER = "the same command can succeed later"
"""As a command says it: the demo knows no more of them than whoever types them."""


class ActFailed(PassgateError):
    """A command ended otherwise than the story tells."""

    code: ClassVar[str] = "demo_act_failed"
    what: ClassVar[str] = "a command of the demo did not do what it should"


@dataclass(frozen=True)
class Answer:
    """What a command said, and its exit code."""

    code: int
    text: str


class Commands:
    """Runs commands of the CLI against the stack that the environment names."""

    def __init__(self, teller: Teller) -> None:
        self._teller = teller

    def run(self, *words: str, codes: Collection[int] = (DONE,), quiet: bool = False, stdin: str = "") -> Answer:
        """Run one command, shown with its answer unless `quiet`. Raises ActFailed for an exit code not in `codes`.

        Where the answer says that the same command can succeed later it is run again, as a person would: the demo
        freezes the broker, and a busy machine is slow to answer afterwards.
        """
        if not quiet:
            self._teller.command(words)
        for pause in (*PAUSES, None):
            answer = run(words, stdin)
            if not quiet or answer.code not in codes:
                self._teller.answer(answer.text)
            if answer.code in codes or pause is None or CAN_SUCCEED_LATER not in answer.text:
                break
            self._teller.say(f"again, in {pause:g} s")
            time.sleep(pause)
        if answer.code not in codes:
            raise ActFailed(
                expected=f"exit code {' or '.join(map(str, sorted(codes)))} of {' '.join(words)}",
                found=f"{answer.code}: {answer.text.strip()[-400:]}",
            )
        return answer


def run(words: Collection[str], stdin: str = "") -> Answer:
    """One command in this process, both outputs together."""
    output = io.StringIO()
    code = DONE
    with redirect_stdout(output), redirect_stderr(output), _typing(stdin):
        try:
            left = passgate.main(list(words), prog_name="passgate", standalone_mode=False)
            code = left if isinstance(left, int) else DONE
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
        except click.ClickException as error:
            error.show()
            code = error.exit_code
    return Answer(code, output.getvalue())


@contextmanager
def _typing(text: str) -> Iterator[None]:
    kept, sys.stdin = sys.stdin, io.StringIO(text)
    try:
        yield
    finally:
        sys.stdin = kept
