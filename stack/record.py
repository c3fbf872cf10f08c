"""stack.json: what runs on a data folder, and the pointer in the state root by which other commands find it.

Both hold passwords and have mode 600. A record is believed only while the process that wrote it lives: pid and start
time agree.
"""

import json
import os
from pathlib import Path
from typing import Any

import psutil

from stack.place import state_root
from stack.secrets import write_private

Record = dict[str, Any]


def record_file(data: Path) -> Path:
    """The record of one data folder; it stays after a stop, for the ports to be the same again."""
    return data / "stack.json"


def pointer_file() -> Path:
    """Where other commands look: the same record, there only while the stack runs."""
    return state_root() / "stack.json"


def read(path: Path) -> Record:
    """A record, or an empty one where there is none."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write(path: Path, record: Record) -> None:
    """Replace a record atomically."""
    write_private(path, json.dumps(record, indent=1))


def signature(pid: int) -> float | None:
    """When process `pid` started; None where there is no such process, or only its remains."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.NoSuchProcess:
        return None


def has_process(record: Record) -> bool:
    """Whether the process that wrote the record is still that process."""
    started = signature(int(record["pid"])) if record.get("pid") else None
    return started is not None and abs(started - float(record["started"])) < 1.0


def is_live(record: Record) -> bool:
    """Whether that process lives and has not written that it stopped."""
    return has_process(record) and record.get("state") != "stopped"


def running(data: Path | None = None) -> Record | None:
    """The stack that is up: that of `data`, else of PASSGATE_DATA, else the one the state root points to."""
    record = live(data)
    return record if record and record["state"] == "running" else None


def live(data: Path | None = None) -> Record | None:
    """Like `running`, and a stack that is still starting too."""
    named = data or (Path(os.environ["PASSGATE_DATA"]) if os.environ.get("PASSGATE_DATA") else None)
    record = read(record_file(named)) if named else read(pointer_file())
    return record if record and is_live(record) else None


def last_failure(data: Path) -> str | None:
    """Why the stack of a data folder stopped by itself; None where it did not."""
    found = read(record_file(data)).get("failure")
    return str(found) if found else None


def point_to(record: Record) -> None:
    """Let other commands find this stack, unless they already find another one that runs."""
    there = read(pointer_file())
    if not is_live(there) or there.get("pid") == record["pid"] and there.get("data") == record["data"]:
        pointer_file().parent.mkdir(parents=True, exist_ok=True)
        write(pointer_file(), record)


def unpoint(data: Path) -> None:
    """Remove the pointer if it is ours."""
    if read(pointer_file()).get("data") == str(data):
        pointer_file().unlink(missing_ok=True)
