"""Folders whose name anybody can guess: what somebody else made beforehand is neither read nor run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from stack import Stack, account, place
from stack.account import Account
from stack.errors import DataFolderForeign, NoAccount
from stack.secrets import Secrets

SOMEBODY = 65_534
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="wants root: nobody else can make files of somebody else")


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary folder as machines have it, and a HOME that is no help."""
    tmp_path.chmod(0o1777)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("HOME", "")
    return tmp_path


def fallback(temporary: Path) -> Path:
    return temporary / f"passgate-{os.getuid()}"


def test_the_fallback_is_made_for_us_alone(temporary: Path) -> None:
    assert place.cache_root() == fallback(temporary)
    assert fallback(temporary).stat().st_mode & 0o777 == 0o700
    assert place.cache_root() == fallback(temporary)


@AS_ROOT
def test_a_fallback_that_somebody_else_made_is_refused(temporary: Path) -> None:
    fallback(temporary).mkdir(mode=0o700)
    os.chown(fallback(temporary), SOMEBODY, SOMEBODY)
    with pytest.raises(place.UnsafeFolder, match=f"belongs to uid {SOMEBODY}"):
        place.cache_root()


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o705, 0o711])
def test_a_fallback_that_is_open_to_others_is_refused(temporary: Path, mode: int) -> None:
    fallback(temporary).mkdir()
    fallback(temporary).chmod(mode)
    with pytest.raises(place.UnsafeFolder, match="others may read or change"):
        place.cache_root()


def test_a_fallback_that_is_a_link_or_a_file_is_refused(temporary: Path) -> None:
    (temporary / "theirs").mkdir(mode=0o700)
    fallback(temporary).symlink_to(temporary / "theirs")
    with pytest.raises(place.UnsafeFolder, match="a link"):
        place.cache_root()
    fallback(temporary).unlink()
    fallback(temporary).touch(mode=0o600)
    with pytest.raises(place.UnsafeFolder, match="no such kind"):
        place.cache_root()


def test_a_temporary_folder_where_everybody_may_rename_is_refused(temporary: Path) -> None:
    temporary.chmod(0o777)
    with pytest.raises(place.UnsafeFolder, match="everybody may rename"):
        place.cache_root()


def test_nothing_of_an_unsafe_folder_is_run(temporary: Path) -> None:
    """manage.py ends with one line, before it looks for a Python there."""
    project = temporary / "clone"
    (project / "stack").mkdir(parents=True)
    (project / "manage.py").write_text("from stack.bootstrap import main\nmain()\n")
    for name in ("__init__.py", "place.py", "bootstrap.py"):
        (project / "stack" / name).write_text((place.PROJECT / "stack" / name).read_text())
    fallback(temporary).mkdir()
    fallback(temporary).chmod(0o777)
    (project / ".passgate").write_text("in the way, so that the clone cannot be written")
    done = subprocess.run(
        [sys.executable, "manage.py", "status"], cwd=project, capture_output=True, text=True,
        env={"PATH": os.environ["PATH"], "TMPDIR": str(temporary), "HOME": "/nonexistent/home" if os.geteuid() else ""},
    )  # fmt: skip
    assert done.returncode != 0
    assert "others may read or change" in done.stderr
    assert "Traceback" not in done.stderr


def test_secrets_that_others_may_read_are_refused(tmp_path: Path) -> None:
    Secrets(tmp_path).get("postgres")
    file = tmp_path / "secrets.json"
    file.chmod(0o644)
    with pytest.raises(place.UnsafeFolder, match="others may read"):
        Secrets(tmp_path)
    file.unlink()
    (tmp_path / "theirs.json").write_text(json.dumps({"postgres": "known to them, and long enough for us"}))
    file.symlink_to(tmp_path / "theirs.json")
    with pytest.raises(OSError):
        Secrets(tmp_path)


def test_a_data_folder_that_everybody_may_write_is_refused(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    data.chmod(0o777)
    (data / ".lock").touch()
    with pytest.raises(DataFolderForeign, match="writable for everybody"):
        Stack(data, ("valkey",)).reserve()


def test_a_lock_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    (data / ".lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError):
        Stack(data, ("valkey",)).reserve()
    assert not (tmp_path / "elsewhere").exists()


@AS_ROOT
class TestTheFolderOfPostgres:
    """Where the account that runs PostgreSQL cannot reach the clone, programs and data stand below a temporary one."""

    @pytest.fixture
    def base(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        (tmp_path / "data").mkdir()
        base = tmp_path / "tmp"
        base.mkdir(mode=0o1777)
        monkeypatch.setattr(account, "TEMPORARY", (base,))
        return tmp_path / "data"

    nobody = Account("nobody", SOMEBODY, SOMEBODY)

    def test_it_is_made_and_found_again(self, base: Path) -> None:
        folder = account.make_private_folder(base, self.nobody)
        assert (folder.stat().st_uid, folder.stat().st_mode & 0o777) == (SOMEBODY, 0o700)
        assert account.make_private_folder(base, self.nobody) == folder

    def test_one_that_its_account_made_beforehand_is_refused(self, base: Path) -> None:
        folder = account.private_folder(base)
        folder.mkdir(mode=0o700)
        (folder / "origin.json").write_text("{}")
        for path in (folder, folder / "origin.json"):
            os.chown(path, SOMEBODY, SOMEBODY)
        with pytest.raises(NoAccount, match="that we made"):
            account.make_private_folder(base, self.nobody)

    def test_one_that_is_open_to_others_is_refused(self, base: Path) -> None:
        account.make_private_folder(base, self.nobody).chmod(0o777)
        with pytest.raises(NoAccount, match="closed to others"):
            account.make_private_folder(base, self.nobody)

    def test_nothing_is_written_or_given_away_through_a_link(self, base: Path, tmp_path: Path) -> None:
        target = tmp_path / "of-root"
        target.write_text("untouched")
        folder = account.make_private_folder(base, self.nobody)
        (folder / "link").symlink_to(target)
        self.nobody.own(folder / "link")
        assert target.stat().st_uid == 0
        (folder / "origin.json").unlink()
        (folder / "origin.json").symlink_to(target)
        with pytest.raises(NoAccount):
            account.make_private_folder(base, self.nobody)
        assert target.read_text() == "untouched"
