"""A demo's folder: fresh each time, never one in use, never one that holds something else."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from trials.demo import folder as f


@contextmanager
def in_use(folder: Path) -> Iterator[None]:
    handle = os.open(folder / f.LOCK, os.O_RDWR | os.O_CREAT)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(handle)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(f, "state_root", lambda: tmp_path)
    return tmp_path


def test_an_earlier_demo_is_removed_and_said(root: Path) -> None:
    said: list[str] = []
    first = f.fresh_folder(None, said.append)
    (first / "postgres").mkdir()
    (first / "stack.json").write_text("{}")
    assert said == []
    assert f.fresh_folder(None, said.append) == first == root / "demo"
    assert {path.name for path in first.iterdir()} == {f.LOCK, f.MARKER}
    assert said == [f"removing the earlier demo in {first}"]


def test_a_second_demo_takes_the_next_folder(root: Path) -> None:
    first = f.fresh_folder(None, print)
    with in_use(first):
        second = f.fresh_folder(None, print)
        with in_use(second):
            assert [second.name, f.fresh_folder(None, print).name] == ["demo-2", "demo-3"]
    assert f.fresh_folder(None, print) == first


def test_what_no_demo_made_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(f.NotADemo):
        f.fresh_folder(tmp_path, print)
    with pytest.raises(f.NotADemo):
        f.fresh_folder(tmp_path / "thesis.txt", print)
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_a_folder_named_and_in_use_is_refused(tmp_path: Path) -> None:
    folder = f.fresh_folder(tmp_path / "mine", print)
    with in_use(folder), pytest.raises(f.DemoBusy):
        f.fresh_folder(folder, print)
