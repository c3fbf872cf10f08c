"""Generated passwords of one data folder, in one file that only its owner reads."""

import json
import os
import secrets
from pathlib import Path

from stack.place import check_private


class Secrets:
    """Passwords by name, made on first use. URL-safe characters only, so that they can stand in a URL as they are."""

    def __init__(self, data: Path) -> None:
        self._path = data / "secrets.json"
        self._known: dict[str, str] = _read(self._path)

    def get(self, name: str, random: int = 24) -> str:
        """The password called `name`, of so many random bytes and a third more characters; a shorter one is replaced
        only where it is asked for with more (the key of sessions: who is signed in then signs in again).
        """
        if len(self._known.get(name, "")) < random:
            self._known[name] = secrets.token_urlsafe(random)
            write_private(self._path, json.dumps(self._known, indent=1))
        return self._known[name]


def _read(path: Path) -> dict[str, str]:
    """Nothing where there is no file. Raises UnsafeFolder for one that others may have written, or may read."""
    try:
        opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return {}
    with open(opened) as file:  # noqa: PTH123 - a descriptor
        check_private(path, os.fstat(opened))
        found = json.load(file)
    return found if isinstance(found, dict) else {}


def write_private(path: Path, text: str) -> None:
    """Replace `path` atomically by a file of mode 600."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.unlink(missing_ok=True)
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:  # noqa: PTH123 - a descriptor
        file.write(text)
    os.replace(part, path)
