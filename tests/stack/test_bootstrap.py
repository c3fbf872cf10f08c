"""manage.py in small clones of its own: one package, made here and installed without a network."""

import base64
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.place import PROJECT

NOBODY = 65534


class Clone:
    """A clone with manage.py, the bootstrap, and a `passgate` command that says what it was given."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "clone"
        self.wheels = folder / "wheels"
        self.home = folder / "home"
        for path in (self.folder / "console" / "cli", self.folder / "stack", self.wheels, self.home):
            path.mkdir(parents=True)
        for name in ("manage.py", "stack/__init__.py", "stack/place.py", "stack/bootstrap.py"):
            shutil.copy(PROJECT / name, self.folder / name)
        main = "import payload\ndef main(argv): print('ran', argv, payload.WORD)\n"
        (self.folder / "console" / "cli" / "main.py").write_text(main)
        self.lock("requirements.lock", make_wheel(self.wheels, "payload", "WORD = 'one'\n"))

    def lock(self, name: str, wheel: Path) -> None:
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        package, version = wheel.name.split("-")[:2]
        (self.folder / name).write_text(f"{package}=={version} \\\n    --hash=sha256:{digest}\n")

    def environment(self, **more: str) -> dict[str, str]:
        isolated = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.wheels), "PATH": os.defpath, "HOME": str(self.home)}
        return isolated | more

    def start(self, *words: str, **more: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, str(self.folder / "manage.py"), *words],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self.environment(**more),
            cwd=self.folder.parent,
        )  # fmt: skip

    def run(self, *words: str, **more: str) -> tuple[int, str, str]:
        process = self.start(*words, **more)
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err


def make_wheel(folder: Path, name: str, code: str, version: str = "1.0") -> Path:
    files = {
        f"{name}.py": code,
        f"{name}-{version}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{name}-{version}.dist-info/WHEEL": (
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        ),
    }
    rows = [f"{path},sha256={_digest(text)},{len(text)}" for path, text in files.items()]
    record = f"{name}-{version}.dist-info/RECORD"
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for inside, text in files.items():
            archive.writestr(inside, text)
        archive.writestr(record, "\n".join([*rows, f"{record},,"]) + "\n")
    return path


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path)


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """One that is set up, for several tests: making a virtual environment takes seconds."""
    clone = Clone(tmp_path_factory.mktemp("warm"))
    code, out, err = clone.run("status")
    assert (code, out) == (0, "ran ['status'] one\n"), err
    return clone


def venv(clone: Clone) -> Path:
    return clone.folder / ".passgate" / "venv"


@pytest.mark.slow
def test_sets_itself_up_once(clone: Clone) -> None:
    code, out, err = clone.run("status", "--json")
    assert (code, out) == (0, "ran ['status', '--json'] one\n")
    assert "[setup] installing 1 packages from requirements.lock" in err
    assert clone.run("status") == (0, "ran ['status'] one\n", "")


@pytest.mark.slow
def test_a_changed_lock_is_installed_without_starting_over(warm: Clone) -> None:
    (venv(warm) / "kept").touch()
    warm.lock("requirements.lock", make_wheel(warm.wheels, "payload", "WORD = 'two'\n", "2.0"))
    code, out, _ = warm.run("status")
    assert (code, out) == (0, "ran ['status'] two\n")
    assert (venv(warm) / "kept").exists()


@pytest.mark.slow
def test_half_an_installation_is_made_anew(warm: Clone) -> None:
    (venv(warm) / "passgate-stamp.json").unlink()
    installed = next(venv(warm).glob("lib/*/site-packages/payload.py"))
    installed.write_text("half of a fi")
    code, out, _ = warm.run("status")
    assert code == 0
    assert out.startswith("ran ['status']")


@pytest.mark.slow
def test_a_replaced_interpreter_is_noticed(warm: Clone) -> None:
    stamp = venv(warm) / "passgate-stamp.json"
    stamp.write_text(json.dumps(json.loads(stamp.read_text()) | {"interpreter": "/usr/bin/python3.10 1 2"}))
    code, _, err = warm.run("status")
    assert code == 0
    assert "making a virtual environment" in err


@pytest.mark.slow
def test_ctrl_c_while_installing_heals_itself(clone: Clone) -> None:
    process = clone.start("status")
    assert process.stderr is not None
    for line in process.stderr:
        if "installing" in line:
            process.send_signal(signal.SIGINT)
            break
    _, err = process.communicate(timeout=60)
    if process.returncode:  # else it was done before the signal came
        assert "Traceback" not in err
    assert clone.run("status")[:2] == (0, "ran ['status'] one\n")


@pytest.mark.slow
def test_two_at_once(clone: Clone) -> None:
    both = [clone.start("status"), clone.start("status")]
    said = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert [out for out, _ in said] == ["ran ['status'] one\n"] * 2
    assert sum("making a virtual environment" in err for _, err in said) == 1


@pytest.mark.slow
def test_a_package_with_another_digest_is_refused_in_one_line(clone: Clone) -> None:
    make_wheel(clone.wheels, "payload", "WORD = 'evil'\n")
    code, out, err = clone.run("status")
    assert (code, out) == (1, "")
    last = err.strip().splitlines()[-1]
    assert last.startswith("passgate: ERROR: THESE PACKAGES DO NOT MATCH THE HASHES")
    assert "Traceback" not in err


@pytest.mark.parametrize("missing", ["venv", "ensurepip,pip"])
def test_says_what_to_install_in_one_line(clone: Clone, missing: str) -> None:
    blocked = clone.home / "blocked"
    blocked.mkdir()
    (blocked / "sitecustomize.py").write_text(
        f"import sys\nfor name in {missing.split(',')}: sys.modules[name] = None\n"
    )
    code, out, err = clone.run("status", PYTHONPATH=str(blocked))
    assert (code, out) == (1, "")
    assert len(err.strip().splitlines()) == 1
    assert "python3-venv" in err


def test_an_old_python_gets_one_line(clone: Clone) -> None:
    script = f"import sys, runpy; sys.version_info = (3, 10, 13); runpy.run_path({str(clone.folder / 'manage.py')!r})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == "Passgate needs Python 3.11 or newer, and this is 3.10: run python3.11 manage.py\n"


def test_manage_py_is_readable_by_old_pythons() -> None:
    """No f-string,
    annotation or other syntax that a Python 3.5 would stumble over before it reads the version check."""
    text = (PROJECT / "manage.py").read_text()
    assert 'f"' not in text
    assert "->" not in text


@pytest.fixture
def open_clone() -> Iterator[Clone]:
    """A clone that every account can read and none but its owner can write."""
    folder = Path("/var/tmp") / f"passgate-test-{os.getpid()}"
    folder.mkdir(mode=0o755)
    clone = Clone(folder)
    clone.home.chmod(0o777)
    yield clone
    shutil.rmtree(folder)


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="wants root: only root becomes another user")
def test_another_user_of_a_clone_that_is_read_only_for_them(open_clone: Clone) -> None:
    python = reachable_python()
    done = subprocess.run(
        [python, str(open_clone.folder / "manage.py"), "status"],
        capture_output=True, text=True, user=NOBODY, group=NOBODY, extra_groups=[],
        env=open_clone.environment(), cwd="/",
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "ran ['status'] one\n"), done.stderr
    assert not (open_clone.folder / ".passgate").exists()
    made = list((open_clone.home / ".cache" / "passgate").glob("*/venv/passgate-stamp.json"))
    assert len(made) == 1
    assert made[0].stat().st_uid == NOBODY


def reachable_python() -> str:
    """A Python of 3.11 or newer that user nobody can execute, with venv and pip."""
    for name in (sys.executable, *(f"/usr/bin/python3.{minor}" for minor in (13, 12, 11)), "/usr/bin/python3"):
        asked = subprocess.run(
            ["/bin/sh", "-c", f"{name} -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))'"],
            user=NOBODY, group=NOBODY, extra_groups=[], capture_output=True, cwd="/",
        )  # fmt: skip
        if asked.returncode == 0:
            return name
    pytest.skip("wants a Python that user nobody can run and make an environment with: apt-get install python3-venv")
