"""Which window an offset belongs to: what opening and cutting a window do to a source's binding. Pure.

Every offset belongs to exactly one window, whether it is read before or after the next one opens.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ingest.core.errors import RunError
from ingest.core.ids import SourceId, WindowId

UNNAMED = SourceId(0)


class CutPending(RunError):
    """The earlier window's cut has not been reached, so this one cannot be cut yet."""

    code = "cut_pending"
    what = "an earlier cut has not been reached"
    retry = True


@dataclass(frozen=True, slots=True)
class SourceBinding:
    """A position's binding: offsets below `cut` (all, where it is None) are `win`'s, from it on `next_win`'s.

    A window of None is nobody's: the lane stands still there.
    """

    next_offset: int
    cut: int | None = None
    win: WindowId | None = None
    next_win: WindowId | None = None

    @property
    def ahead(self) -> int | None:
        """The cut that bounds the next batch; None where there is none, or it has been reached."""
        return self.cut if self.cut is not None and self.next_offset < self.cut else None

    @property
    def current(self) -> int | None:
        """The window that the next offset belongs to."""
        return self.next_win if self.cut is not None and self.ahead is None else self.win


def bind(at: SourceBinding, win: WindowId) -> tuple[SourceBinding, int]:
    """Gives the next offsets to window `win`, and says which is its first: the cut if that lies ahead, else the
    position (S19)."""
    if at.ahead is not None:
        return replace(at, next_win=win), at.ahead
    return SourceBinding(at.next_offset, None, win, None), at.next_offset


def cut(at: SourceBinding, win: WindowId, lso: int, source: SourceId = UNNAMED) -> SourceBinding:
    """Cuts window `win` at max(position, LSO). Raises CutPending where the position is not in that window yet."""
    if at.current != win:
        raise _pending(at, win, source)
    return SourceBinding(at.next_offset, max(at.next_offset, lso), win, None)


def go_on(
    at: SourceBinding, win: WindowId, next_win: WindowId, source: SourceId = UNNAMED
) -> tuple[SourceBinding, int]:
    """Ends window `win` where the position stands and gives what follows to `next_win`; says at which offset that is.

    Nothing lies ahead of the lane then. Behind an earlier cut that is not reached yet window `win` has nothing of the
    source, and `next_win` begins at that cut. Raises CutPending where the position is in neither.
    """
    if at.ahead is not None and at.next_win == win:
        return replace(at, next_win=next_win), at.ahead
    if at.current != win:
        raise _pending(at, win, source)
    return SourceBinding(at.next_offset, None, next_win, None), at.next_offset


def leave(at: SourceBinding, win: WindowId) -> tuple[SourceBinding, int]:
    """Cuts window `win` where the source's log is gone, and says at which offset: nothing more will be read of it.

    Where an earlier cut was not reached, window `win` has none of its offsets; they are nobody's from then on.
    """
    if at.current == win:
        return SourceBinding(at.next_offset, at.next_offset, win, None), at.next_offset
    end = at.next_offset if at.cut is None else at.cut
    return (replace(at, next_win=None) if at.next_win == win else at), end


def _pending(at: SourceBinding, win: WindowId, source: SourceId) -> CutPending:
    return CutPending(
        expected=f"source {source} in window {win}",
        found=f"position {at.next_offset} before cut {at.cut}",
        next_step="wait until admission has reached it",
    )
