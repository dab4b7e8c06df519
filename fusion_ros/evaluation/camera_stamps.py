"""Header stamps of both cameras' images in a recording."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fusion_ros.bags.decoding import header_stamp_ns
from fusion_ros.bags.reader import open_bag
from fusion_ros.errors import InputError
from fusion_ros.pairing import BACKWARD_JUMP_NS, FORWARD_JUMP_NS
from fusion_ros.types import NANOSECONDS_PER_SECOND


@dataclass(frozen=True)
class CameraStamps:
    """Stamps in nanoseconds, each camera's in rising order."""

    rgb: Sequence[int]
    thermal: Sequence[int]

    @property
    def duration_s(self) -> float:
        """From the first image to the last, seconds."""
        both = (*self.rgb, *self.thermal)
        return (max(both) - min(both)) / NANOSECONDS_PER_SECOND

    def nearest_thermal(self, stamp_ns: int) -> int:
        """The stamp nearest to one that was rounded on its way."""
        after = bisect_left(self.thermal, stamp_ns)
        return min(self.thermal[max(0, after - 1) : after + 1], key=lambda stamp: abs(stamp - stamp_ns))

    def jumped(self, before_ns: int, now_ns: int) -> bool:
        """Whether the fusion node takes the step between two frames for a jump of the time, and forgets its past."""
        if now_ns < before_ns - BACKWARD_JUMP_NS:
            return True
        if now_ns <= before_ns + FORWARD_JUMP_NS:
            return False
        between = before_ns + BACKWARD_JUMP_NS, now_ns - BACKWARD_JUMP_NS
        return not any(
            bisect_right(stamps, between[0]) < bisect_left(stamps, between[1]) for stamps in (self.rgb, self.thermal)
        )


def camera_stamps(path: Path, rgb_topic: str, thermal_topic: str) -> CameraStamps:
    """Read the stamps of the images that can be read; the images themselves are not kept.

    Raises:
        InputError: the recording cannot be read, lacks a topic, or a topic has no readable image.
    """
    stamps: dict[str, list[int]] = {rgb_topic: [], thermal_topic: []}
    with open_bag(path) as bag:
        bag.require(*stamps)
        for message in bag.messages(list(stamps)):
            try:
                stamps[message.topic].append(header_stamp_ns(bag.decode(message)))
            except InputError:
                continue
    for topic, found in stamps.items():
        if not found:
            raise InputError(f"{path}: no readable image on {topic!r}")
    return CameraStamps(sorted(stamps[rgb_topic]), sorted(stamps[thermal_topic]))
