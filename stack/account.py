"""Which account runs PostgreSQL, and where that account can reach what it needs.

PostgreSQL refuses to run as root. Where we are root, an existing unprivileged account runs it; where that account can
reach neither the installation nor the data folder (a clone in a folder of mode 700), both live in a private folder
below a temporary one. Modes of folders that are not ours are never changed.
"""

import hashlib
import json
import os
import pwd
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

from stack.errors import NoAccount
from stack.secrets import write_private

CANDIDATES = ("postgres", "nobody", "daemon")
ORIGIN = "origin.json"
TEMPORARY = (Path("/var/tmp"), Path("/tmp"))


@dataclass(frozen=True)
class Account:
    """An existing account of this machine."""

    name: str
    uid: int
    gid: int

    def can(self, flag: str, path: Path) -> bool:
        """Whether this account passes the shell's test `flag` (-r, -w, -x) on `path`: asked as that account, so ACLs
        count.
        """
        asked = subprocess.run(
            ["/bin/sh", "-c", f'test {flag} "$0"', str(path)], user=self.uid, group=self.gid, extra_groups=[], cwd="/"
        )
        return asked.returncode == 0

    def own(self, path: Path) -> None:
        """Give `path` to this account; a link that somebody put there is given, and not what it leads to."""
        os.chown(path, self.uid, self.gid, follow_symlinks=False)


def unprivileged() -> Account | None:
    """The account to run PostgreSQL as; None where we are not root and need none.

    Raises:
        NoAccount: we are root and the machine has none of the usual unprivileged accounts.
    """
    if os.geteuid() != 0:
        return None
    for name in CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(name, entry.pw_uid, entry.pw_gid)
    raise NoAccount(
        expected=f"one of the accounts {', '.join(CANDIDATES)}",
        found="none of them",
        next_step="run as another user, or set DATABASE_URL to an existing PostgreSQL",
    )


def private_folder(data: Path) -> Path:
    """The folder that stands in for what `account` cannot reach in `data`; its name is a digest of the data folder's
    path.
    """
    name = f"passgate-{hashlib.sha256(os.fsencode(data.resolve())).hexdigest()[:16]}"
    base = next((folder for folder in TEMPORARY if os.access(folder, os.W_OK | os.X_OK)), data)
    return base / name


def make_private_folder(data: Path, account: Account) -> Path:
    """Make the private folder, owned by `account` and open to it alone; refuses one that somebody else made.

    Raises:
        NoAccount: the folder exists and is not ours, so what lies in it cannot be trusted.
    """
    folder = private_folder(data)
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        _check_ours(folder, account)
    # Before the folder is the account's, and never through a link that the account may have put there
    write_private(folder / ORIGIN, json.dumps({"data": str(data), "device": data.stat().st_dev}))
    account.own(folder)
    return folder


def _check_ours(folder: Path, account: Account) -> None:
    """A folder that is there is ours where we own it, or where the account does and our file is in it: the account's
    own processes could have made the folder beforehand, with programs in it, but no file that belongs to us.
    """
    found, origin = folder.lstat(), folder / ORIGIN
    ours = found.st_uid == os.geteuid() or (found.st_uid == account.uid and _is_ours(origin))
    if not (stat.S_ISDIR(found.st_mode) and ours and not found.st_mode & 0o077):
        raise NoAccount(
            expected=f"{folder} to be a folder that we made, closed to others",
            found=f"uid {found.st_uid}, mode {found.st_mode & 0o777:o}",
            next_step=f"see whose it is, then remove {folder}",
        )


def _is_ours(file: Path) -> bool:
    try:
        found = file.lstat()
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid()


def sweep_abandoned() -> list[Path]:
    """Remove private folders whose data folder was deleted by hand, for example with its clone.

    A data folder on a disk that is merely not mounted keeps its private folder: the nearest folder that exists must be
    on the device the data folder was on.
    """
    swept = []
    for origin in (path for base in TEMPORARY for path in base.glob("passgate-*/origin.json")):
        try:
            found = json.loads(origin.read_text())
            gone, device = _is_gone(Path(found["data"])), found.get("device")
            if gone and gone.stat().st_dev == device and origin.stat().st_uid == os.geteuid():
                shutil.rmtree(origin.parent)
                swept.append(origin.parent)
        except (OSError, ValueError, KeyError):
            continue  # Not ours to read or to remove.
    return swept


def _is_gone(data: Path) -> Path | None:
    """The nearest parent that exists, of a folder that does not; None where it exists."""
    if data.exists():
        return None
    return next(parent for parent in data.parents if parent.exists())


def remove_private_folder(data: Path) -> None:
    """Remove the private folder of a data folder that is being removed."""
    folder = private_folder(data)
    if folder.is_dir() and not folder.is_symlink() and (folder / "origin.json").is_file():
        shutil.rmtree(folder, ignore_errors=True)
