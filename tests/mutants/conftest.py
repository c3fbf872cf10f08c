"""A stream per test, checked by `fsck` when the test is over: the streams of tests/flow."""

from tests.flow.conftest import flow, make_flow, quick_slices

__all__ = ["flow", "make_flow", "quick_slices"]
