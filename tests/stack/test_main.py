"""The `passgate` group: its table, its help, and what is passed on to Django."""

import subprocess
import sys
import textwrap
from pathlib import Path

import click
import pytest

from console.cli import main
from console.cli.main import COMMANDS, passgate
from ingest.core.errors import PassgateError
from stack.place import PROJECT, cache_root, state_root


@pytest.mark.parametrize("name", COMMANDS)
def test_every_row_of_the_table_is_a_command(name: str) -> None:
    command = passgate.get_command(click.Context(passgate), name)
    assert command is not None
    assert command.name == name


def test_help_loads_no_command() -> None:
    code = """
        import sys
        from console.cli.main import main
        try:
            main(["--help"])
        except SystemExit:
            pass
        assert "django" not in sys.modules and "psycopg" not in sys.modules, "help must be quick"
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in COMMANDS)


def test_other_words_are_djangos(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[list[str]] = []
    monkeypatch.setattr(main, "run_django", given.append)
    main.main(["migrate", "--plan"])
    assert given == [["migrate", "--plan"]]


def test_an_error_of_ours_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(*args: object, **more: object) -> None:
        raise PassgateError(found="this", next_step="that")

    monkeypatch.setattr(passgate, "main", fail)
    with pytest.raises(SystemExit) as caught:
        main.main(["status"])
    assert caught.value.code == 3
    assert capsys.readouterr().err == "passgate: Passgate refused: found this; next: that [passgate_error]\n"


def test_state_is_kept_in_the_clone_or_in_the_users_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    clone = tmp_path / "clone"
    clone.mkdir()
    assert state_root(clone).parent == cache_root() == tmp_path / ".cache" / "passgate", "no clone without manage.py"
    (clone / "manage.py").touch()
    assert state_root(clone) == clone / ".passgate"


def test_a_home_that_is_no_folder_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    assert str(tmp_path) not in str(cache_root())
