"""Python's collector of reference cycles, held back while a lane works on thousands of objects at once.

A step makes tens of thousands of tuples and drops them again by their reference counts. The collector counts what is
made, so it walks through all that the process holds, over and over, and finds nothing: that took half of a step's time.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def paused_gc() -> Iterator[None]:
    """No collection begins within. What cycles were made there are found by the next one after it."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
