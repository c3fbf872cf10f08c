"""Which tests need no services is said by their fixtures, through whatever others, and no test can say it itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stack.place import PROJECT
from tests.unit_mark import SERVICES, UNIT

CONFTEST = """
import pytest

@pytest.fixture(scope="session")
def stack():
    return "the stack"

@pytest.fixture(scope="session")
def own_services():
    pass

@pytest.fixture
def run(stack):
    return stack

@pytest.fixture
def broker(own_services):
    pass

@pytest.fixture
def nothing_of_it():
    pass
"""
TESTS = """
import pytest

def test_plain(nothing_of_it, tmp_path): pass
@pytest.mark.parametrize("number", [1, 2])
def test_plain_twice(number): pass

def test_asks(stack): pass
def test_asks_through_another(run): pass
def test_has_its_own(broker): pass
@pytest.mark.usefixtures("run")
def test_uses(): pass
@pytest.mark.django_db
def test_marked(): pass

class TestAll:
    @pytest.fixture(autouse=True)
    def of_all(self, run): pass
    def test_of_a_class(self): pass
"""
WITHOUT = ["test_plain", "test_plain_twice[1]", "test_plain_twice[2]"]
STARTS = """
from pathlib import Path
from stack import Stack

def test_starts(tmp_path):
    with Stack(tmp_path / "data", ("valkey",)):
        pass
"""


def pytest_on(folder: Path, tests: str, *words: str) -> subprocess.CompletedProcess[str]:
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n  unit: x\n  slow: x\n")
    (folder / "test_it.py").write_text(tests)
    options = ("-p", "tests.unit_mark", "-p", "no:cacheprovider", "-q", *words)
    environment = os.environ | {"PYTHONPATH": str(PROJECT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options], cwd=folder, env=environment, capture_output=True, text=True
    )


def collected(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [line.split("::")[-1] for line in done.stdout.splitlines() if "::" in line]


def test_a_test_has_the_mark_when_no_fixture_of_it_needs_services(tmp_path: Path) -> None:
    assert collected(pytest_on(tmp_path, TESTS, "--collect-only", "-m", "unit")) == WITHOUT
    others = collected(pytest_on(tmp_path, TESTS, "--collect-only", "-m", "not unit"))
    assert len(others) == 6 and not set(others) & set(WITHOUT)


def test_the_fast_lane_is_those_and_not_what_is_slow(tmp_path: Path) -> None:
    slow = TESTS.replace("def test_plain(", "@pytest.mark.slow\ndef test_plain(")
    chosen = ("-p", "tests.lanes", "--lane", "unit")
    assert collected(pytest_on(tmp_path, slow, "--collect-only", *chosen)) == WITHOUT[1:]


@pytest.mark.parametrize("mark", ["@pytest.mark.unit\n", "pytestmark = pytest.mark.unit\n"])
def test_nobody_gives_the_mark_by_hand(tmp_path: Path, mark: str) -> None:
    done = pytest_on(tmp_path, f"import pytest\n{mark}def test_asks(stack): pass\n")
    assert done.returncode == 4, done.stdout
    assert "not by hand" in done.stderr


def test_a_test_with_the_mark_that_starts_a_service_fails(tmp_path: Path) -> None:
    done = pytest_on(tmp_path, STARTS)
    assert done.returncode == 1
    assert "starts a service: it must use the fixture `stack` or `own_services`" in done.stdout
    good = pytest_on(
        tmp_path, STARTS.replace("(tmp_path)", "(tmp_path, nothing_of_it, own_services)"), "--collect-only"
    )
    assert good.returncode == 0


def test_every_test_of_this_session_is_marked_by_its_fixtures(request: pytest.FixtureRequest) -> None:
    for item in request.session.items:
        asks = SERVICES.intersection(getattr(item, "fixturenames", ()))
        assert not (asks and item.get_closest_marker(UNIT)), item.nodeid
        assert asks or item.get_closest_marker(UNIT) or item.get_closest_marker("django_db"), item.nodeid
