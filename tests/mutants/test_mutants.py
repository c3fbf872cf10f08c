"""Every mutant is killed by the tests its patch names, for the reason it names; without it they pass."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stack import Stack
from tests.mutants.run import Mutant, Tries, copied, mutants, one_of_each_file

EVERY = mutants()
pytestmark = [pytest.mark.slow, pytest.mark.timeout(2_400)]


@pytest.fixture(scope="module")
def tries(stack: Stack) -> Iterator[Tries]:
    with copied() as tree:
        made = Tries(tree, stack.env(), EVERY)
        yield made
        made.close()


def test_without_a_patch_they_pass_in_the_copy(tries: Tries) -> None:
    """One of each file: all of them run without a patch as tests of their own, and the copy is what could differ."""
    assert tries.without(one_of_each_file(EVERY)) == ""


@pytest.mark.parametrize("mutant", EVERY, ids=[mutant.name for mutant in EVERY])
def test_the_mutant_is_killed(tries: Tries, mutant: Mutant) -> None:
    tried = tries.of(mutant)
    assert not tried.why, f"{mutant.breaks}: {tried.why}\n{tried.output}"
