"""SQL that migrations run, one file a concern."""

from pathlib import Path


def sql_text(name: str) -> str:
    return (Path(__file__).parent / f"{name}.sql").read_text(encoding="utf-8")
