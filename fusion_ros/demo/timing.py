"""Puts messages without a header beside the frames they belong to, by their times of publication."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import TypeVar

from fusion_ros.ros.received import Received, Timed

ValueT = TypeVar("ValueT")

# The fusion node publishes what belongs to one frame within a few milliseconds; frames are much further apart.
SAME_FRAME_NS = 20_000_000
# The last frames are still being worked on, and diagnostics come once a second.
SETTLING_NS = 1_000_000_000


def value_in_force(changes: Sequence[tuple[int, ValueT]], published_ns: int) -> ValueT | None:
    """The last value published no later than just after `published_ns`; the first one for anything before it."""
    if not changes:
        return None
    index = bisect_right([time_ns for time_ns, _ in changes], published_ns + SAME_FRAME_NS) - 1
    return changes[max(0, index)][1]


def value_published_with(values: Sequence[tuple[int, ValueT]], published_ns: int) -> ValueT | None:
    """The value published nearest to `published_ns`, None where none was within `SAME_FRAME_NS`."""
    index = bisect_right([time_ns for time_ns, _ in values], published_ns)
    near = [values[i] for i in (index - 1, index) if 0 <= i < len(values)]
    time_ns, value = min(near, key=lambda item: abs(item[0] - published_ns), default=(None, None))
    if time_ns is None or abs(time_ns - published_ns) > SAME_FRAME_NS:
        return None
    return value


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
        index = bisect_right(self._times, published_ns + SAME_FRAME_NS) - 1
        return self._order[index][1] if index >= 0 else self._start_ns


def pairs_of(values: Sequence[Timed]) -> list[tuple[int, float]]:
    """(time of publication, value) of each."""
    return [(value.published_ns, value.value) for value in values]
