"""Stretches of time: what two streams of frames have delivered between two jumps of their stamps; what a jump is."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from dataclasses import dataclass, field
from typing import Literal

Stream = Literal["rgb", "thermal"]

GAPS_REMEMBERED = 16
GAPS_NEEDED = 4
# A step back by less is frames out of order, not a jump; cameras that publish from several threads swap neighbours.
BACKWARD_JUMP_NS = 300_000_000
FORWARD_JUMP_NS = 2_000_000_000
# A recording shorter than BACKWARD_JUMP_NS loops without a large step back; so many late frames in a row betray it.
LATE_FRAMES_OF_A_JUMP = 5


@dataclass(frozen=True, order=True)
class Waiting:
    stamp: int
    item: object = field(compare=False)
    arrival_ns: int | None = field(compare=False)


@dataclass
class Side:
    """One stream within one stretch of time: frames that wait, in order of stamp, and what is known of the rest."""

    waiting: list[Waiting] = field(default_factory=list)
    first: int | None = None
    newest: int | None = None
    settled_to: int | None = None
    present: bool = False
    late_in_a_row: int = 0
    gaps: deque[int] = field(default_factory=lambda: deque(maxlen=GAPS_REMEMBERED))

    def has_passed(self, stamp: int) -> bool:
        """Whether every frame to come is stamped at or after `stamp`."""
        gone = not self.present and self.first is not None
        return gone or (self.newest is not None and self.newest >= stamp)

    def expects_next_after(self) -> float:
        """Shortest recent gap between two frames; 0 while too few are known."""
        return min(self.gaps) if len(self.gaps) >= GAPS_NEEDED else 0.0

    def nearest(self, stamp: int) -> int:
        """Index of the waiting frame nearest to `stamp` (the earlier of two equally near); there must be one."""
        after = bisect_left(self.waiting, stamp, key=stamp_of)
        if after == 0:
            return 0
        if after == len(self.waiting):
            return after - 1
        before_is_nearer = stamp - self.waiting[after - 1].stamp <= self.waiting[after].stamp - stamp
        return after - 1 if before_is_nearer else after


def stamp_of(frame: Waiting) -> int:
    return frame.stamp


class Stretch:
    """Frames of both streams between two time jumps."""

    def __init__(self, serial: int) -> None:
        self.serial = serial
        self.rgb = Side()
        self.thermal = Side()

    def side(self, stream: Stream) -> Side:
        return self.rgb if stream == "rgb" else self.thermal


def belongs(stamp: int, there: Stretch, here: Stretch, other: Side) -> bool:
    """Whether a frame stamped `stamp` lies where the other stream is, in the stretch `there`.

    In an older stretch only its end counts: the middle of a recording that has been left is not a place to go back to.
    """
    if other.first is None or other.newest is None:
        return False
    start = other.first if there.serial > here.serial else other.newest
    return start - BACKWARD_JUMP_NS <= stamp <= other.newest + BACKWARD_JUMP_NS


def jumps(stamp: int, side: Side, other: Side | None) -> bool:
    """Whether a stream at `side` jumps with `stamp`; `other` is the other stream where it is in the same stretch."""
    if side.newest is None:
        return False
    if stamp < side.newest - BACKWARD_JUMP_NS or side.late_in_a_row >= LATE_FRAMES_OF_A_JUMP:
        return True
    # A camera that was silent while the other went on has not jumped.
    went_on = other is not None and other.newest is not None and stamp <= other.newest + BACKWARD_JUMP_NS
    return stamp > side.newest + FORWARD_JUMP_NS and not went_on
