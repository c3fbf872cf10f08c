"""Where a demo lives: a folder of its own, fresh each time, never one that is in use or that is not a demo's."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain, count
from pathlib import Path
from typing import ClassVar

from ingest.core.errors import PassgateError
from stack.account import remove_private_folder
from stack.place import state_root

MARKER = "demo.json"
"""Stands in a folder that a demo made, so that nothing else is ever removed."""
LOCK = ".lock"
"""The stack's own lock on its data folder."""


class NotADemo(PassgateError):
    """The folder named holds something else; a demo begins by removing what is there."""

    code: ClassVar[str] = "demo_folder_not_ours"
    what: ClassVar[str] = "the folder was not made by a demo"


class DemoBusy(PassgateError):
    """A demo, or `passgate up`, runs on the folder named."""

    code: ClassVar[str] = "demo_folder_busy"
    what: ClassVar[str] = "the demo's folder is in use"


def fresh_folder(named: Path | None, say: Callable[[str], None]) -> Path:
    """A folder for this demo, with nothing of an earlier one: `named`, or the first of demo, demo-2, ... that is free.

    It is not held: whoever takes it next holds it. Raises NotADemo, DemoBusy (only where a folder was named).
    """
    if named is not None:
        folder = named.expanduser().resolve()
        if not _renew(folder, say):
            raise DemoBusy(
                expected=f"{folder} to be free", found="a stack that runs on it", next_step="name another folder"
            )
        return folder
    return next(folder for folder in _default_folders() if _renew(folder, say))


def _default_folders() -> Iterator[Path]:
    root = state_root()
    return chain([root / "demo"], (root / f"demo-{number}" for number in count(2)))


def _renew(folder: Path, say: Callable[[str], None]) -> bool:
    """Empty the folder and mark it; False where somebody uses it."""
    _check_ours(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with _held(folder / LOCK) as free:
        if free:
            _empty(folder, say)
            (folder / MARKER).write_text(json.dumps({"made_by": "passgate demo"}))
    return free


def _check_ours(folder: Path) -> None:
    if not folder.is_dir():
        if folder.exists():
            raise NotADemo(expected=f"{folder} to be a folder", found="a file", next_step="name another one")
        return
    inside = {path.name for path in folder.iterdir()}
    if inside - {LOCK} and MARKER not in inside:
        raise NotADemo(
            expected=f"{folder} to be empty, or a demo's",
            found=f"{len(inside)} other entries",
            next_step="name another one",
        )


def _empty(folder: Path, say: Callable[[str], None]) -> None:
    earlier = [path for path in folder.iterdir() if path.name not in (LOCK, MARKER)]
    if earlier:
        say(f"removing the earlier demo in {folder}")
    remove_private_folder(folder)
    for path in earlier:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


@contextmanager
def _held(path: Path) -> Iterator[bool]:
    """Whether the lock was free; it is held inside."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)
