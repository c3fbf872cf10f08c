"""How many examples a property is tried with: fewer where somebody waits for the answer (`passgate test --fast`)."""

from __future__ import annotations

import hypothesis

FAST, OF_FAST = "fast", 20


def examples(count: int) -> int:
    """`count`, and no more than a few in the fast profile. For decorators: profiles are loaded before."""
    return min(count, OF_FAST) if hypothesis.settings.get_current_profile_name() == FAST else count
