"""Each patch applies to the tree as it is, and the tests that kill it are there: said before anything is run."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.mutants.run import ROOT, Mutant, mutants


@pytest.mark.parametrize("mutant", mutants(), ids=lambda mutant: mutant.name)
def test_the_patch_applies_and_who_kills_it_is_there(mutant: Mutant) -> None:
    done = subprocess.run(["git", "apply", "--check", str(mutant.patch)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for test in mutant.killed_by:
        path, _, name = test.split("[")[0].partition("::")
        assert re.search(rf"^ *def {name}\(", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE), test
