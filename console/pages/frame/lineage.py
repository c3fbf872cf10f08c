"""Geometry of the picture of a run's lineage: a line down the page, windows on it, reruns beside them. Pure.

It is as wide as a telephone and as long as it has rows, so that no word in it is ever scaled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, ROW = 340, 26
#: Where the line of windows is, where reruns are, and where the marks of what was joined with stand.
CHAIN, BESIDE, MARKS = 12, 46, WIDTH - 4


@dataclass(frozen=True, slots=True)
class DrawnRow:
    """A row of the picture. `kind`: run, window, rerun or more; `state` as pages know it; `marks`: letters of what it
    was joined with."""

    kind: str
    words: str
    state: str = ""
    marks: str = ""


@dataclass(frozen=True, slots=True)
class DrawnNode:
    """A row with its place: the node's middle is (x, y), its words begin at `at`. `look` is the node's CSS class."""

    row: DrawnRow
    x: int
    y: int
    at: int
    look: str

    @property
    def base(self) -> int:
        """Where the words stand."""
        return self.y + 4

    @property
    def diamond(self) -> str:
        """A diamond's points: what is BLOCKED, for who sees no colour."""
        return f"{self.x},{self.y - 7} {self.x + 7},{self.y} {self.x},{self.y + 7} {self.x - 7},{self.y}"

    @property
    def marks_at(self) -> int:
        return MARKS


@dataclass(frozen=True, slots=True)
class LineagePicture:
    """`chain`: the line of windows, a path; `branches`: from a window to a rerun, a path each."""

    width: int
    height: int
    nodes: tuple[DrawnNode, ...]
    chain: str
    branches: tuple[str, ...]


#: The state of a run that stands apart: in the place of another one's window, and not in the line.
APART = "APART"
LOOKS = {"PASS": "pass", "PASS (waived)": "pass", "BLOCKED": "blocked", "FAIL": "fail"}


def picture(rows: Sequence[DrawnRow]) -> LineagePicture:
    """One below the other, in the order given."""
    nodes = tuple(_node(row, at) for at, row in enumerate(rows))
    return LineagePicture(WIDTH, ROW * len(rows), nodes, _chain(nodes), tuple(_branches(nodes)))


def _chain(nodes: Sequence[DrawnNode]) -> str:
    """From window to window; the name of a run interrupts it, and one that stands apart ends it."""
    lines, above, apart = [], None, False
    for node in nodes:
        if node.row.kind == "run":
            apart, before = node.row.state == APART, apart
            above = None if apart or before else above
        if node.row.kind == "window":
            if above is not None:
                lines.append(f"M{CHAIN} {above}V{node.y}")
            above = node.y
        if node.row.kind == "run" and above is not None:
            lines.append(f"M{CHAIN} {above}V{node.y - 10}")
            above = node.y + 8
    return "".join(lines)


def _node(row: DrawnRow, at: int) -> DrawnNode:
    x = BESIDE if row.kind == "rerun" else CHAIN
    begins = {"run": 0, "more": CHAIN + 22, "window": CHAIN + 22, "rerun": BESIDE + 14}[row.kind]
    return DrawnNode(row, x, at * ROW + ROW // 2, begins, LOOKS.get(row.state, "none"))


def _branches(nodes: Sequence[DrawnNode]) -> list[str]:
    """Down from the window and across to its rerun."""
    paths, above = [], 0
    for node in nodes:
        if node.row.kind == "window":
            above = node.y
        if node.row.kind == "rerun":
            middle = CHAIN + 14
            paths.append(f"M{CHAIN} {above}H{middle}V{node.y}H{BESIDE - 7}")
    return paths
