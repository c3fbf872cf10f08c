"""Applies each patch of tests/mutants/patches to a copy of the tree, and runs the tests that must kill it.

    python -m tests.mutants.run [NAME ...]

A patch's head says what it breaks, which tests kill it, and what their output must show:

    breaks: Kafka is told before PostgreSQL
    killed by: tests/mutants/test_kills.py::test_kafka_is_told_only_what_is_durable
    seen as: all\\(offset <= position

The same tests pass without the patch; a patch that no longer applies is a failure of its own. The parts start once.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.server import OF_A_SESSION, Server

ROOT = Path(__file__).resolve().parents[2]
PATCHES = ROOT / "tests" / "mutants" / "patches"
SECONDS = 240
LETTERS = 20_000
"""How much of what a failed test said is looked through."""


@dataclass(frozen=True)
class Mutant:
    """One patch. `seen_as` is a regular expression."""

    name: str
    patch: Path
    breaks: str
    killed_by: tuple[str, ...]
    seen_as: str


def mutants(names: Iterable[str] = ()) -> list[Mutant]:
    """Those named, or all."""
    every = [_read(path) for path in sorted(PATCHES.glob("*.patch"))]
    wanted = set(names)
    return [mutant for mutant in every if not wanted or mutant.name in wanted]


def _read(path: Path) -> Mutant:
    head = path.read_text(encoding="utf-8").split("\n--- ", 1)[0]
    said: dict[str, list[str]] = {}
    for line in head.splitlines():
        key, _, value = line.partition(": ")
        said.setdefault(key, []).append(value)
    return Mutant(path.stem, path, said["breaks"][0], tuple(said["killed by"]), said["seen as"][0])


@contextmanager
def copied() -> Iterator[Path]:
    """The tracked files as they are now, in a temporary folder; their tests find the running parts."""
    with tempfile.TemporaryDirectory(prefix="passgate-mutants-") as folder:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
        for name in listed.decode().split("\0"):
            if name and (ROOT / name).is_file():
                (Path(folder) / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, Path(folder) / name)
        shutil.copy2(ROOT / "tests/mutants/shared_stack.py", Path(folder) / "tests/conftest.py")
        yield Path(folder)


@dataclass(frozen=True)
class Tried:
    """What became of one mutant; `why` is empty where it was killed as it should be."""

    mutant: Mutant
    why: str
    output: str = ""


class Tries:
    """Mutants tried in one copy of the tree. A pytest that has collected the killing tests forks for each of them, so
    that it starts once, and the function gets other code there (forking.py). What is in no function runs in a pytest
    that is started for it.
    """

    def __init__(self, tree: Path, stack: Mapping[str, str], chosen: Iterable[Mutant]) -> None:
        self._tree, self._stack = tree, stack
        self._tests = killers(chosen)
        self._server: Server | None = None
        self.afresh: list[str] = []

    @property
    def server(self) -> Server:
        if self._server is None:
            self._server = Server(self._tree, self._tests, self._stack, ("--tb=short",))
            assert self._server.ready, "the killing tests cannot be collected"
        return self._server

    def without(self, tests: Sequence[str]) -> str:
        """Why some of these fail without a patch; empty where they pass."""
        answer = self.server.ask(tests, SECONDS * len(tests), all=True, letters=LETTERS)
        return "" if answer == {"failed": {}} else json.dumps(answer, indent=1)

    def of(self, mutant: Mutant) -> Tried:
        """Patches the tree, runs the killing tests, and takes the patch away again."""
        path = patched(mutant)
        self.server  # noqa: B018 - it has imported the file as it is
        before = (self._tree / path).read_text(encoding="utf-8")
        applied = _patch(mutant, self._tree)
        if applied:
            return Tried(mutant, "the patch does not apply any more", applied)
        try:
            text = (self._tree / path).read_text(encoding="utf-8")
            failed, output = self._failed(mutant, path=path, before=before, text=text)
        finally:
            _patch(mutant, self._tree, "--reverse")
        survived = [test for test in mutant.killed_by if test.split("[")[0] not in failed]
        if survived:
            return Tried(mutant, f"it survives {', '.join(survived)}", output)
        if not re.search(mutant.seen_as, output):
            return Tried(mutant, f"it was killed, but not for its reason: no {mutant.seen_as!r}", output)
        return Tried(mutant, "")

    def _failed(self, mutant: Mutant, **change: str) -> tuple[set[str], str]:
        """Which of the killing tests fail, without their parameters, and all that they said."""
        tests = mutant.killed_by
        answer = self.server.ask(tests, SECONDS * len(tests), all=True, letters=LETTERS, **change)
        if "failed" in answer:
            return set(answer["failed"]), "\n".join(answer["failed"].values())
        if "cannot" not in answer:
            return set(), json.dumps(answer)
        self.afresh.append(mutant.name)
        _, output = run_tests(tests, self._tree, self._stack)
        lines = [line.split(" ")[1] for line in output.splitlines() if line.startswith(("FAILED ", "ERROR "))]
        return {name.split("[")[0] for name in lines}, output

    def close(self) -> None:
        if self._server is not None:
            self._server.close()


def patched(mutant: Mutant) -> str:
    """The one file that it changes."""
    (path,) = re.findall(r"^--- a/(\S+)", mutant.patch.read_text(encoding="utf-8"), re.MULTILINE)
    return str(path)


def _patch(mutant: Mutant, tree: Path, *more: str) -> str:
    """Empty, or why it does not apply.

    What Python compiled goes with it: a file of the same size, changed within the same second, counts as the old one.
    """
    for line in mutant.patch.read_text(encoding="utf-8").splitlines():
        if line.startswith("--- a/"):
            source = tree / line.removeprefix("--- a/").split("\t")[0]
            for compiled in (source.parent / "__pycache__").glob(f"{source.stem}.*.pyc"):
                compiled.unlink()
    done = subprocess.run(
        ["git", "apply", *more, str(mutant.patch)], cwd=tree, capture_output=True, text=True,
        env={**os.environ, "GIT_CEILING_DIRECTORIES": str(tree.parent)},
    )  # fmt: skip
    return done.stderr if done.returncode else ""


def run_tests(tests: Sequence[str], tree: Path, stack: Mapping[str, str]) -> tuple[int, str]:
    """(exit code, output) of these tests, in `tree`, against the running parts."""
    environment = {
        **{key: value for key, value in os.environ.items() if key not in OF_A_SESSION},
        "PASSGATE_MUTANTS_STACK": json.dumps(dict(stack)),
    }
    command = [sys.executable, "-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(
        command, cwd=tree, env=environment, capture_output=True, text=True, timeout=SECONDS * len(tests)
    )
    return done.returncode, done.stdout + done.stderr


def killers(chosen: Iterable[Mutant]) -> list[str]:
    return sorted({test for mutant in chosen for test in mutant.killed_by})


def one_of_each_file(chosen: Iterable[Mutant]) -> list[str]:
    first: dict[str, str] = {}
    for test in killers(chosen):
        first.setdefault(test.split("::")[0], test)
    return list(first.values())


def main(names: Sequence[str]) -> int:
    from stack import STORES, Stack

    chosen = mutants(names)
    with tempfile.TemporaryDirectory(prefix="passgate-mutants-") as data, copied() as tree:
        stack = Stack(Path(data) / "data")
        try:
            stack.start(only=STORES)
            stack.migrate()
            told = stack.env()
            tries = Tries(tree, told, chosen)
            failed = tries.without(killers(chosen))
            print("without a patch:", failed or "all pass")
            tried = [tries.of(mutant) for mutant in chosen]
            tries.close()
        finally:
            stack.remove()
    for each in tried:
        print(f"{each.mutant.name}: {each.why or 'killed'} ({each.mutant.breaks})")
        if each.why:
            print(each.output)
    return int(bool(failed) or any(each.why for each in tried))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
