"""A pytest that has collected tests and forks a process for each question: tests/mutants/forking.py."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

OF_A_SESSION = {"PYTEST_ADDOPTS", "PYTEST_CURRENT_TEST", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE"}


class Server:
    """Asked about tests of a copy of the tree, against parts that run already."""

    def __init__(
        self, tree: Path, tests: Sequence[str], told: Mapping[str, str], options: Sequence[str] = (),
        settings: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        asks, self._asked = os.pipe()
        self._answered, answers = os.pipe()
        environment = {
            **{key: value for key, value in os.environ.items() if key not in OF_A_SESSION}, **(settings or {}),
            "PASSGATE_MUTANTS_STACK": json.dumps(dict(told)), "PASSGATE_SURVEY_PIPES": f"{asks},{answers}",
        }  # fmt: skip
        plugins = ["-p", "no:cacheprovider", *options, "-p", "tests.mutants.forking"]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "pytest", "-q", *plugins, *tests],
            cwd=tree, env=environment, pass_fds=(asks, answers), stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT,
        )  # fmt: skip
        os.close(asks)
        os.close(answers)
        self._questions, self._answers = os.fdopen(self._asked, "w"), os.fdopen(self._answered)
        self.ready = bool(self._answers.readline())

    def ask(self, tests: Sequence[str], seconds: float, **more: object) -> dict[str, Any]:
        """What became of the tests; `more` says on which change they run."""
        self._questions.write(json.dumps({"tests": list(tests), "seconds": seconds, **more}) + "\n")
        self._questions.flush()
        answer: dict[str, Any] = json.loads(self._answers.readline())
        return answer

    def close(self) -> None:
        with suppress(BrokenPipeError):
            self._questions.close()
        self._process.wait()
        self._answers.close()
