"""The contracts of the demo's streams as they lie in the package, and earlier versions of them."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

Change = tuple[bytes, bytes]
"""What a later version says, and what the earlier one said in its place."""


def newest(name: str) -> str:
    """A file of the package: a contract, or a schema beside it."""
    return str(resources.files("trials.demo") / "contracts" / name)


def first_version(folder: Path, contract: str, schema: str, change: Change) -> str:
    """The contract as it was at first, beside its schema, in a folder of the demo; `change` is in one of the two."""
    folder.mkdir(exist_ok=True)
    texts = {name: Path(newest(name)).read_bytes() for name in (contract, schema)}
    later, earlier = change
    assert sum(text.count(later) for text in texts.values()) == 1
    for name, text in texts.items():
        (folder / name).write_bytes(text.replace(later, earlier))
    return str(folder / contract)
