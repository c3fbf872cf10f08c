"""A stream per test, checked by `fsck` when the test is over."""

from tests.fixtures import flow, make_flow, quick_slices

__all__ = ["flow", "make_flow", "quick_slices"]
