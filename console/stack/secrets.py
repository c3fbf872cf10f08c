"""Generated passwords of one data folder, in one file that only its owner reads."""

import json
import os
import secrets
from pathlib import Path


class Secrets:
    """Passwords by name, made on first use. URL-safe characters only, so that they can stand in a URL as they are."""

    def __init__(self, data: Path) -> None:
        self._path = data / "secrets.json"
        self._known: dict[str, str] = json.loads(self._path.read_text()) if self._path.exists() else {}

    def get(self, name: str) -> str:
        """The password called `name`."""
        if name not in self._known:
            self._known[name] = secrets.token_urlsafe(24)
            write_private(self._path, json.dumps(self._known, indent=1))
        return self._known[name]


def write_private(path: Path, text: str) -> None:
    """Replace `path` atomically by a file of mode 600."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.unlink(missing_ok=True)
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:  # noqa: PTH123 - a descriptor
        file.write(text)
    os.replace(part, path)
