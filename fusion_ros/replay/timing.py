"""Puts messages without a header beside the frames they belong to, by their times of publication."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import TypeVar

from fusion_ros.ros.received import Received, Timed

ValueT = TypeVar("ValueT")

# The last frames are still being worked on, and diagnostics come once a second.
SETTLING_NS = 1_000_000_000


def value_in_force(changes: Sequence[tuple[int, ValueT]], published_ns: int) -> ValueT | None:
    """The last value published before `published_ns`; the first one for anything before that."""
    if not changes:
        return None
    index = bisect_right([time_ns for time_ns, _ in changes], published_ns) - 1
    return changes[max(0, index)][1]


def value_after(values: Sequence[tuple[int, ValueT]], published_ns: int, next_ns: int | None) -> ValueT | None:
    """The first value published from `published_ns` on and before `next_ns`, None where there is none.

    One thread of the fusion node publishes a frame's mode, its image, then its figures, before it turns to the next.
    """
    index = bisect_left([time_ns for time_ns, _ in values], published_ns)
    if index == len(values) or (next_ns is not None and values[index][0] >= next_ns):
        return None
    return values[index][1]


def phase_of(received: Received, time_ns: int) -> str:
    """Empty while camera images were published, else `before the replay` or `after the replay`.

    Nodes rightly complain of silent cameras then; whoever reads it should know that this was no fault of the cameras.
    """
    times = [*received.rgb.values(), *received.thermal.values()]
    if not times or time_ns < min(times):
        return "before the replay"
    return "after the replay" if time_ns > max(times) + SETTLING_NS else ""


class FrameClock:
    """Tells which fused frame was the newest at a time of publication."""

    def __init__(self, received: Received, start_ns: int) -> None:
        self._order = sorted((published_ns, stamp_ns) for stamp_ns, published_ns in received.fused.items())
        self._times = [published_ns for published_ns, _ in self._order]
        self._start_ns = start_ns

    def stamp_at(self, published_ns: int) -> int:
        """Stamp of the newest fused frame; the recording's start before the first."""
        index = bisect_right(self._times, published_ns) - 1
        return self._order[index][1] if index >= 0 else self._start_ns


def pairs_of(values: Sequence[Timed]) -> list[tuple[int, float]]:
    """(time of publication, value) of each."""
    return [(value.published_ns, value.value) for value in values]
