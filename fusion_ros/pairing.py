"""Nearest-stamp matcher of two streams: which RGB frame and which thermal frame show the same moment.

The rule. Two frames belong together when each is the nearest the other has, no further than `slop` apart (inclusive).
What is left between two such pairs is matched by the same rule again, so no two pairs ever cross, and the outcome does
not depend on which stream's messages arrive first.

When a pair is released. Let `a` be the earlier and `b` the later stamp of two mutually nearest frames. Only a frame of
a's stream could still do better, and only if it is stamped between `a` and `b + (b - a)`. The pair is released as soon
as one of these holds:

1. `a`'s stream has delivered a frame stamped at or after `b` (equal stamps therefore leave at once), or has left this
   stretch of time (time jump);
2. `b - a` is at most `EARLY_SHARE` of the shortest recent gap between frames of a's stream: its next frame would have
   to come in less than 2 * EARLY_SHARE of that gap to be nearer. Streams of the same rate thus pair without waiting;
3. both frames have been here for `patience` (call `expire`), one of the queues is full, or `flush` is called.

Time jumps. A looped recording, or a clock that is set, makes stamps jump. The two streams notice at different moments,
so each is followed separately: the frames between two jumps form a stretch, a stream that jumps opens a new stretch (or
joins the other stream's), and a stretch that both have left is settled and forgotten. Every pass of a looped recording
therefore gives the same pairs, up to its last frame. Stretches and their streams are in `stretches`.

Nothing here knows ROS or images: an item is whatever the caller wants back. Not thread-safe; use from one thread.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from fusion_ros.configuration import setting, validate
from fusion_ros.stretches import (
    BACKWARD_JUMP_NS,
    FORWARD_JUMP_NS,
    Side,
    Stream,
    Stretch,
    Waiting,
    belongs,
    jumps,
    stamp_of,
)
from fusion_ros.types import NANOSECONDS_PER_SECOND

__all__ = [
    "BACKWARD_JUMP_NS",
    "FORWARD_JUMP_NS",
    "Match",
    "NearestStampMatcher",
    "PairingConfig",
    "Stream",
    "pair_offline",
]

RgbT = TypeVar("RgbT")
ThermalT = TypeVar("ThermalT")

EARLY_SHARE = 0.4
_OFFLINE_QUEUE = 1000


@dataclass(frozen=True)
class PairingConfig:
    """How frames of the two cameras are brought together.

    Raises:
        InputError: a value out of range.
    """

    slop: float = setting(
        0.03,
        "largest stamp difference of a pair, inclusive: half the period of the faster camera (0.03 suits 17 Hz and "
        "more; 10 Hz with 9 Hz need 0.05)",
        unit="s",
        minimum=0.0,
        maximum=10.0,
        runtime=False,
    )
    queue_size: int = setting(
        10, "frames of each camera that may wait for a partner", minimum=1, maximum=1000, runtime=False
    )
    thermal_offset: float = setting(
        0.0, "added to thermal stamps: constant clock offset of the camera", unit="s", minimum=-10.0, maximum=10.0
    )
    patience: float = setting(
        0.1,
        "longest time two frames that could be a pair wait for a better partner",
        unit="s",
        minimum=0.0,
        maximum=10.0,
        runtime=False,
    )

    def __post_init__(self) -> None:
        validate(self)


@dataclass(frozen=True)
class Match(Generic[RgbT, ThermalT]):
    """Two items that belong together.

    Attributes:
        rgb: the item given with the RGB stamp.
        thermal: the item given with the thermal stamp.
        rgb_stamp_ns: RGB stamp in nanoseconds.
        thermal_stamp_ns: thermal stamp in nanoseconds, with `thermal_offset` added.
    """

    rgb: RgbT
    thermal: ThermalT
    rgb_stamp_ns: int
    thermal_stamp_ns: int

    @property
    def skew_ns(self) -> int:
        """Thermal stamp (with offset) minus RGB stamp, in nanoseconds."""
        return self.thermal_stamp_ns - self.rgb_stamp_ns


class NearestStampMatcher(Generic[RgbT, ThermalT]):
    """Pairs two streams as described at the top of this module.

    Attributes:
        dropped: frames that will never be in a pair, by `<stream>_<reason>`, for instance `rgb_unpaired`. Reasons:
            `unpaired` (no partner within slop, or a better one took it), `overflow` (queue full), `late` (stamped
            before a pair that has left), `duplicate` (stamp seen before), `reset`.
        out_of_order: frames that came after a newer one of their stream and were still in time, by stream.
        time_jumps: how often the stamps have jumped.
        thermal_offset: seconds added to the stamps of thermal frames from now on.
    """

    def __init__(self, config: PairingConfig | None = None, *, early_release: bool = True) -> None:
        """Start with empty queues.

        Args:
            config: slop, queue size, offset and patience.
            early_release: whether rule 2 applies. Without it the outcome is exact even for streams whose frames come
                at irregular times, at the price of one more frame's wait.
        """
        self.config = PairingConfig() if config is None else config
        self.thermal_offset = self.config.thermal_offset
        self.dropped: Counter[str] = Counter()
        self.out_of_order: Counter[str] = Counter()
        self.time_jumps = 0
        self._slop_ns = round(self.config.slop * NANOSECONDS_PER_SECOND)
        self._patience_ns = round(self.config.patience * NANOSECONDS_PER_SECOND)
        self._early_release = early_release
        self._forget()

    def add_rgb(self, stamp_ns: int, item: RgbT, now_ns: int | None = None) -> list[Match[RgbT, ThermalT]]:
        """Take one RGB frame.

        Args:
            stamp_ns: stamp of the header in nanoseconds.
            item: handed back in the match.
            now_ns: time of arrival on any steady clock, for `expire`.

        Returns:
            The pairs that this frame settles, oldest first.
        """
        return self._add("rgb", stamp_ns, item, now_ns)

    def add_thermal(self, stamp_ns: int, item: ThermalT, now_ns: int | None = None) -> list[Match[RgbT, ThermalT]]:
        """Take one thermal frame; as `add_rgb`. `thermal_offset` is added to the stamp."""
        return self._add("thermal", stamp_ns + round(self.thermal_offset * NANOSECONDS_PER_SECOND), item, now_ns)

    def expire(self, now_ns: int) -> list[Match[RgbT, ThermalT]]:
        """Release pairs whose frames have both waited for `patience`; call it from a timer, with `add`'s clock."""

        def waited(rgb: Waiting, thermal: Waiting) -> bool:
            if rgb.arrival_ns is None or thermal.arrival_ns is None:
                return False
            return now_ns - max(rgb.arrival_ns, thermal.arrival_ns) >= self._patience_ns

        return [match for stretch in self._stretches() for match in self._settle(stretch, waited)]

    def flush(self) -> list[Match[RgbT, ThermalT]]:
        """Settle everything with what is here; what finds no partner is dropped as unpaired."""
        return [match for stretch in self._stretches() for match in self._close(stretch)]

    def reset(self) -> None:
        """Forget all frames that wait, and where in time the streams are; the counters stay."""
        for stretch in self._stretches():
            self._drop("rgb", "reset", len(stretch.rgb.waiting))
            self._drop("thermal", "reset", len(stretch.thermal.waiting))
        self._forget()

    @property
    def pending(self) -> dict[str, int]:
        """Frames that wait, by stream."""
        return {
            "rgb": sum(len(stretch.rgb.waiting) for stretch in self._stretches()),
            "thermal": sum(len(stretch.thermal.waiting) for stretch in self._stretches()),
        }

    def _forget(self) -> None:
        stretch = Stretch(0)
        stretch.rgb.present = stretch.thermal.present = True
        self._where: dict[Stream, Stretch] = {"rgb": stretch, "thermal": stretch}
        self._serial = 0

    def _stretches(self) -> list[Stretch]:
        rgb, thermal = self._where["rgb"], self._where["thermal"]
        return [rgb] if rgb is thermal else sorted((rgb, thermal), key=lambda stretch: stretch.serial)

    def _drop(self, stream: Stream, reason: str, count: int = 1) -> None:
        if count:
            self.dropped[f"{stream}_{reason}"] += count

    def _add(self, stream: Stream, stamp: int, item: object, now_ns: int | None) -> list[Match[RgbT, ThermalT]]:
        matches = self._follow(stream, stamp)
        stretch = self._where[stream]
        side = stretch.side(stream)
        if side.settled_to is not None and stamp <= side.settled_to:
            self._drop(stream, "duplicate" if stamp == side.settled_to else "late")
            side.late_in_a_row += stamp < side.settled_to
            return matches
        place = bisect_left(side.waiting, stamp, key=stamp_of)
        if place < len(side.waiting) and side.waiting[place].stamp == stamp:
            self._drop(stream, "duplicate")
            return matches
        side.late_in_a_row = 0
        self._note(stream, side, stamp)
        insort(side.waiting, Waiting(stamp, item, now_ns))
        matches += self._settle(stretch, self._is_final(stretch))
        if len(side.waiting) > self.config.queue_size:
            matches += self._make_room(stretch, stream)
        return matches

    def _note(self, stream: Stream, side: Side, stamp: int) -> None:
        if side.newest is None:
            side.first = side.newest = stamp
        elif stamp > side.newest:
            side.gaps.append(stamp - side.newest)
            side.newest = stamp
        else:
            self.out_of_order[stream] += 1

    # -- time jumps --------------------------------------------------------------------------------------------------

    def _follow(self, stream: Stream, stamp: int) -> list[Match[RgbT, ThermalT]]:
        """Move `stream` to the stretch that `stamp` belongs to; returns pairs of what is left behind by that."""
        here = self._where[stream]
        there = self._where["thermal" if stream == "rgb" else "rgb"]
        other = there.side("thermal" if stream == "rgb" else "rgb")
        left_at = there.side(stream).settled_to
        is_in_time = left_at is None or stamp > left_at
        if there is not here and is_in_time and belongs(stamp, there, here, other):
            return self._move(stream, there)
        if jumps(stamp, here.side(stream), other if there is here else None):
            self._serial += 1
            self.time_jumps += 1
            return self._move(stream, Stretch(self._serial))
        return []

    def _move(self, stream: Stream, target: Stretch) -> list[Match[RgbT, ThermalT]]:
        left = self._where[stream]
        left.side(stream).present = False
        left.side(stream).late_in_a_row = 0
        target.side(stream).present = True
        self._where[stream] = target
        if left in self._where.values():
            return self._settle(left, self._is_final(left))
        return self._close(left)

    # -- settling ----------------------------------------------------------------------------------------------------

    def _is_final(self, stretch: Stretch) -> Callable[[Waiting, Waiting], bool]:
        """Rules 1 and 2 of the module's text."""

        def final(rgb: Waiting, thermal: Waiting) -> bool:
            earlier_side = stretch.rgb if rgb.stamp <= thermal.stamp else stretch.thermal
            if earlier_side.has_passed(max(rgb.stamp, thermal.stamp)):
                return True
            apart = abs(rgb.stamp - thermal.stamp)
            return self._early_release and apart <= EARLY_SHARE * earlier_side.expects_next_after()

        return final

    def _settle(self, stretch: Stretch, may_leave: Callable[[Waiting, Waiting], bool]) -> list[Match[RgbT, ThermalT]]:
        """Release the mutually nearest pairs, oldest first, up to the first that must wait."""
        matches: list[Match[RgbT, ThermalT]] = []
        while (found := self._first_mutual(stretch.rgb, stretch.thermal)) is not None:
            i, j = found
            if not may_leave(stretch.rgb.waiting[i], stretch.thermal.waiting[j]):
                break
            matches += self._release(stretch, i, j)
        self._prune(stretch, "rgb")
        self._prune(stretch, "thermal")
        return matches

    def _first_mutual(self, rgb: Side, thermal: Side) -> tuple[int, int] | None:
        if not thermal.waiting:
            return None
        for i, frame in enumerate(rgb.waiting):
            j = thermal.nearest(frame.stamp)
            partner = thermal.waiting[j]
            if abs(partner.stamp - frame.stamp) <= self._slop_ns and rgb.nearest(partner.stamp) == i:
                return i, j
        return None

    def _release(self, stretch: Stretch, i: int, j: int) -> list[Match[RgbT, ThermalT]]:
        """Take pair (i, j) out, and before it whatever its older neighbours still give."""
        rgb, thermal = stretch.rgb, stretch.thermal
        older = Stretch(stretch.serial)
        older.rgb.waiting, older.thermal.waiting = rgb.waiting[:i], thermal.waiting[:j]
        first, second = rgb.waiting[i], thermal.waiting[j]
        del rgb.waiting[: i + 1], thermal.waiting[: j + 1]
        rgb.settled_to, thermal.settled_to = first.stamp, second.stamp
        match: Match[RgbT, ThermalT] = Match(first.item, second.item, first.stamp, second.stamp)  # type: ignore[arg-type]
        return [*self._close(older), match]

    def _close(self, stretch: Stretch) -> list[Match[RgbT, ThermalT]]:
        """Settle a stretch to which nothing will be added."""
        matches = self._settle(stretch, lambda _rgb, _thermal: True)
        for stream in ("rgb", "thermal"):
            side = stretch.side(stream)
            self._drop_oldest(stream, side, len(side.waiting), "unpaired")
        return matches

    def _drop_oldest(self, stream: Stream, side: Side, count: int, reason: str) -> None:
        if count:
            side.settled_to = side.waiting[count - 1].stamp
            del side.waiting[:count]
            self._drop(stream, reason, count)

    def _prune(self, stretch: Stretch, stream: Stream) -> None:
        """Drop the oldest frames of `stream` that nothing here or to come is near enough to."""
        side = stretch.side(stream)
        other = stretch.thermal if stream == "rgb" else stretch.rgb
        hopeless = 0
        for frame in side.waiting:
            near = other.waiting and abs(other.waiting[other.nearest(frame.stamp)].stamp - frame.stamp) <= self._slop_ns
            if near or not other.has_passed(frame.stamp + self._slop_ns + 1):
                break
            hopeless += 1
        self._drop_oldest(stream, side, hopeless, "unpaired")

    def _make_room(self, stretch: Stretch, stream: Stream) -> list[Match[RgbT, ThermalT]]:
        side = stretch.side(stream)
        oldest = side.waiting[0]
        found = self._first_mutual(stretch.rgb, stretch.thermal)
        if found is not None:
            pair = stretch.rgb.waiting[found[0]], stretch.thermal.waiting[found[1]]
            if oldest in pair or oldest.stamp < pair[0 if stream == "rgb" else 1].stamp:
                return self._release(stretch, *found)
        self._drop_oldest(stream, side, 1, "overflow")
        return []


def pair_offline(
    rgb_stamps: Sequence[int], thermal_stamps: Sequence[int], config: PairingConfig | None = None
) -> tuple[list[tuple[int, int]], Counter[str]]:
    """Pair a whole recording with the same rule.

    Args:
        rgb_stamps: stamps in nanoseconds, in any order.
        thermal_stamps: stamps in nanoseconds, in any order.
        config: slop and thermal offset; the queue is as long as it needs to be.

    Returns:
        Pairs of indices into the two sequences, in order of time, and the frames dropped by `<stream>_<reason>`.
    """
    config = PairingConfig() if config is None else config
    matcher: NearestStampMatcher[int, int] = NearestStampMatcher(
        replace(config, queue_size=_OFFLINE_QUEUE), early_release=False
    )
    offset = round(config.thermal_offset * NANOSECONDS_PER_SECOND)
    arrivals: list[tuple[int, Stream, int]] = [(stamp, "rgb", i) for i, stamp in enumerate(rgb_stamps)]
    arrivals += [(stamp + offset, "thermal", j) for j, stamp in enumerate(thermal_stamps)]
    matches: list[Match[int, int]] = []
    for _, stream, index in sorted(arrivals):
        if stream == "rgb":
            matches += matcher.add_rgb(rgb_stamps[index], index)
        else:
            matches += matcher.add_thermal(thermal_stamps[index], index)
    matches += matcher.flush()
    # A queue overflows here only while the other camera is silent, so those frames had no partner.
    dropped: Counter[str] = Counter()
    for name, count in matcher.dropped.items():
        dropped[name.replace("overflow", "unpaired")] += count
    return [(match.rgb, match.thermal) for match in matches], dropped
