"""Where Passgate keeps what it makes: the state root of this clone, its virtual environment, its data folder.

Standard library only: manage.py reads it before anything is installed.
"""

import hashlib
import os
import tempfile
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
    return Path(tempfile.gettempdir()) / f"passgate-{os.getuid()}"


def data_folder() -> Path:
    """PASSGATE_DATA, else `<state root>/data`."""
    named = os.environ.get("PASSGATE_DATA")
    return Path(named).expanduser().resolve() if named else state_root() / "data"


def _writable(folder: Path) -> bool:
    """Whether `folder` can be written, or made: the nearest existing parent decides."""
    while not folder.exists():
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)
