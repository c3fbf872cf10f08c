"""Where Passgate keeps what it makes: the state root of this clone, its virtual environment, its data folder.

Standard library only: manage.py reads it before anything is installed.
"""

import contextlib
import hashlib
import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
"""The clone, or the folder a `pip install` put the packages in."""


def is_clone() -> bool:
    """Whether this runs from a clone; an installed distribution has no manage.py beside its packages."""
    return (PROJECT / "manage.py").is_file()


def state_root(project: Path = PROJECT) -> Path:
    """`<clone>/.passgate` where that can be written, else a folder of this clone's own under the user's cache."""
    inside = project / ".passgate"
    if (project / "manage.py").is_file() and _writable(inside):
        return inside
    return cache_root() / hashlib.sha256(os.fsencode(project)).hexdigest()[:16]


def cache_root() -> Path:
    """`$HOME/.cache/passgate`, shared by all clones of this user; a private temporary folder where HOME is no help."""
    home = os.environ.get("HOME", "")
    if home and _writable(Path(home) / ".cache" / "passgate"):
        return Path(home) / ".cache" / "passgate"
    return private_temporary_folder()


class UnsafeFolder(PermissionError):
    """Somebody else may have put their files where ours are looked for. Nothing of it is read or run."""


def private_temporary_folder() -> Path:
    """A folder that nobody else can write, below the temporary one, which everybody can.

    Its name can be guessed: whoever made it first would run their code as us, since our Python stands in it.

    Raises:
        UnsafeFolder: it is somebody else's, a link, or open to others.
    """
    base = Path(tempfile.gettempdir())
    folder = base / f"passgate-{os.getuid()}"
    above = base.stat()
    if above.st_mode & 0o002 and not above.st_mode & stat.S_ISVTX:
        raise UnsafeFolder(f"{base}: everybody may rename what is in it; set TMPDIR or HOME to a folder of your own")
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    check_private(folder, folder.lstat(), stat.S_ISDIR)
    return folder


def check_private(path: Path, found: os.stat_result, kind: Callable[[int], bool] = stat.S_ISREG) -> None:
    """Raises UnsafeFolder unless `path` is of its kind and no link, is ours, and is closed to everybody else."""
    if not kind(found.st_mode):
        raise UnsafeFolder(f"{path}: a link, or no such kind of file as is expected there; remove it")
    if found.st_uid != os.geteuid():
        raise UnsafeFolder(f"{path}: belongs to uid {found.st_uid}, not to us ({os.geteuid()}); it cannot be trusted")
    if found.st_mode & 0o077:
        mode = f"mode {found.st_mode & 0o777:o}"
        raise UnsafeFolder(f"{path}: others may read or change it ({mode}); look at what is in it, then chmod go= it")


def data_folder() -> Path:
    """PASSGATE_DATA, else `<state root>/data`."""
    named = os.environ.get("PASSGATE_DATA")
    return Path(named).expanduser().resolve() if named else state_root() / "data"


def _writable(folder: Path) -> bool:
    """Whether `folder` can be written, or made: the nearest existing parent decides."""
    while not folder.exists():
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)
