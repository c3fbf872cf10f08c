"""Every mutant is killed by the tests its patch names, for the reason it names; without it they pass."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stack import Stack
from tests.mutants.run import Mutant, copied, mutants, one_of_each_file, run_tests, try_out

EVERY = mutants()
pytestmark = [pytest.mark.slow, pytest.mark.timeout(2_400)]


@pytest.fixture(scope="module")
def tree() -> Iterator[Path]:
    with copied() as folder:
        yield folder


def test_without_a_patch_they_pass_in_the_copy(stack: Stack, tree: Path) -> None:
    """One of each file: all of them run without a patch as tests of their own, and the copy is what could differ."""
    code, output = run_tests(one_of_each_file(EVERY), tree, stack.env())
    assert code == 0, output


@pytest.mark.parametrize("mutant", EVERY, ids=[mutant.name for mutant in EVERY])
def test_the_mutant_is_killed(stack: Stack, tree: Path, mutant: Mutant) -> None:
    tried = try_out(mutant, tree, stack.env())
    assert not tried.why, f"{mutant.breaks}: {tried.why}\n{tried.output}"
