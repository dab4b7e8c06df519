"""Pairs of a recording, matched as the node matches them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fusion_ros.bags.decoding import header_stamp_ns, read_frame
from fusion_ros.bags.message_types import COMPRESSED_IMAGE, IMAGE
from fusion_ros.bags.reader import BagMessage, open_bag
from fusion_ros.errors import InputError
from fusion_ros.evaluation.camera_stamps import CameraStamps
from fusion_ros.evaluation.config import EvaluationConfig
from fusion_ros.evaluation.sources import SourcePair, range_text, within
from fusion_ros.pairing import PairingConfig, pair_offline
from fusion_ros.types import NANOSECONDS_PER_SECOND, FramePair


@dataclass(frozen=True)
class BagPlan:
    """What a look at all stamps of a recording has shown; with it, any stretch of the recording is read alone.

    Attributes:
        begin_ns: first RGB stamp, where the recording's seconds begin.
        in_range: all pairs in the range: ordinal among the messages of the RGB topic, of the thermal topic, and RGB
            stamp.
        received: receive time in nanoseconds of every message on the RGB topic, and on the thermal topic, (N,) int64.
        dropped: images that are in no pair, by reason.
        lost: what could not be read, in sentences.
        begins: positions in `in_range` before which both cameras paused so long that the fusion node forgets its past.
    """

    begin_ns: int
    in_range: list[tuple[int, int, int]]
    received: tuple[NDArray[np.int64], NDArray[np.int64]]
    dropped: dict[str, int]
    lost: list[str]
    begins: frozenset[int] = frozenset()


class BagSource:
    """A rosbag2 recording, read twice: for the stamps, from which the pairs follow, then for the images.

    Only the images of pairs that are not yet complete are held, so memory does not grow with the recording's length.

    Args:
        path: the recording.
        config: range, stride, topics, pairing.
        plan: `plan` of an earlier source of the same recording and config, which saves the first reading.

    Raises:
        InputError: it cannot be read, a topic is missing or no image topic, no pairs, or none in the range.
    """

    in_time = True

    def __init__(self, path: Path, config: EvaluationConfig, plan: BagPlan | None = None) -> None:
        self._bag = open_bag(path)
        self._topics = (config.rgb_topic, config.thermal_topic)
        self.description = f"{path} (recording)"
        self._spoilt = 0
        self._stride = config.stride
        self._is_planned = plan is not None
        try:
            self.plan = plan or self._look_at_stamps(path, config)
        except InputError:
            self._bag.close()
            raise
        self.dropped = dict(self.plan.dropped)
        self.keys: list[str] | None = [str(stamp_ns) for _, _, stamp_ns in self.plan.in_range[:: self._stride]]
        self.total: int | None = len(self.keys)

    def _look_at_stamps(self, path: Path, config: EvaluationConfig) -> BagPlan:
        self._check_topics()
        (rgb, rgb_received), (thermal, thermal_received) = (self._stamps(topic) for topic in self._topics)
        pairs, dropped = pair_offline(
            [stamp for _, stamp in rgb],
            [stamp for _, stamp in thermal],
            PairingConfig(slop=config.slop, thermal_offset=config.thermal_offset),
        )
        if not pairs:
            raise InputError(_no_pairs(path, [s for _, s in rgb], [s for _, s in thermal], config))
        begin_ns = min(stamp for _, stamp in rgb)
        in_range = [
            (rgb[i][0], thermal[j][0], rgb[i][1]) for i, j in pairs if within(_seconds(rgb[i][1], begin_ns), config)
        ]
        if not in_range:
            first, last = (_seconds(rgb[pairs[end][0]][1], begin_ns) for end in (0, -1))
            raise InputError(
                f"{path}: no pairs in the range {range_text(config)}; its {len(pairs)} pairs lie between "
                f"{first:.2f} and {last:.2f} s"
            )
        received = rgb_received, thermal_received
        stamps = CameraStamps(sorted(stamp for _, stamp in rgb), sorted(stamp for _, stamp in thermal))
        begins = frozenset(
            position
            for position, (before, now) in enumerate(pairwise(in_range), start=1)
            if stamps.jumped(before[2], now[2])
        )
        return BagPlan(begin_ns, in_range, received, dict(dropped), self._losses(), begins)

    @property
    def lost(self) -> list[str]:
        """What could not be read."""
        return self.plan.lost if self._is_planned else self._losses()

    def _losses(self) -> list[str]:
        notes = [f"The recording is damaged: {self._bag.damage}."] if self._bag.damage else []
        return notes + ([f"{self._spoilt} messages are not readable as images."] if self._spoilt else [])

    def pairs(self, first: int = 0, stop: int | None = None) -> Iterator[SourcePair]:
        """Yield the pairs by their RGB stamps.

        Args:
            first: position among `keys` to begin at; the pairs that are passed on the way to it come before it, what
                lies before them in the recording is not read.
            stop: position to stop before, None for the end.
        """
        asked = range(len(self.plan.in_range))[:: self._stride]
        positions = asked[first:stop]
        if not positions:
            return
        begin = asked[first - 1] + 1 if first else 0
        stretch = self.plan.in_range[begin : positions[-1] + 1]
        is_whole = len(positions) == len(asked)
        begin_ns, end_ns = (None, None) if is_whole else self._received_within(stretch)
        following = tuple(_ordinals(received, begin_ns, end_ns) for received in self.plan.received)
        partners = [{pair[side] for pair in stretch} for side in (0, 1)]
        held: tuple[dict[int, BagMessage], dict[int, BagMessage]] = ({}, {})
        remaining = iter(stretch)
        position, wanted = begin, next(remaining, None)
        for message in self._bag.messages(list(self._topics), begin_ns, end_ns):
            side = self._topics.index(message.topic)
            ordinal = next(following[side], None)
            if ordinal in partners[side]:
                held[side][ordinal] = message
            while wanted is not None and wanted[0] in held[0] and wanted[1] in held[1]:
                rgb, thermal = held[0].pop(wanted[0]), held[1].pop(wanted[1])
                seconds = _seconds(wanted[2], self.plan.begin_ns)
                begins = position in self.plan.begins
                load = partial(self._load, rgb, thermal)
                yield SourcePair(str(wanted[2]), seconds, begins, load, passed=position not in asked)
                position, wanted = position + 1, next(remaining, None)

    def close(self) -> None:
        """Close the recording."""
        self._bag.close()

    def _received_within(self, stretch: list[tuple[int, int, int]]) -> tuple[int, int]:
        """First receive time of the stretch's messages, and the one to stop before."""
        times = [received[[pair[side] for pair in stretch]] for side, received in enumerate(self.plan.received)]
        return min(int(some.min()) for some in times), max(int(some.max()) for some in times) + 1

    def _load(self, rgb: BagMessage, thermal: BagMessage) -> FramePair:
        return FramePair(read_frame(self._bag, rgb, "rgb"), read_frame(self._bag, thermal, "thermal"))

    def _check_topics(self) -> None:
        for topic, option in zip(self._topics, ("--rgb-topic", "--thermal-topic"), strict=True):
            try:
                self._bag.require(topic)
            except InputError as error:
                raise InputError(f"{error}; name the right one with {option}") from None
            msgtype = self._bag.topics[topic].msgtype
            if msgtype not in (IMAGE, COMPRESSED_IMAGE):
                raise InputError(f"{option} {topic}: {msgtype} is not an image ({IMAGE}, {COMPRESSED_IMAGE})")

    def _stamps(self, topic: str) -> tuple[list[tuple[int, int]], NDArray[np.int64]]:
        """Ordinal among the topic's messages and header stamp of each that can be read; receive times of all."""
        stamps, received = [], []
        for ordinal, message in enumerate(self._bag.messages([topic])):
            received.append(message.stamp_ns)
            try:
                stamps.append((ordinal, header_stamp_ns(self._bag.decode(message))))
            except InputError:
                self._spoilt += 1
        if not stamps:
            raise InputError(f"{self._bag.path}: no readable image on {topic!r}")
        return stamps, np.array(received, np.int64)


def _ordinals(received: NDArray[np.int64], begin_ns: int | None, end_ns: int | None) -> Iterator[int]:
    """Ordinals of the messages that reading within these receive times yields, in its order."""
    if begin_ns is None or end_ns is None:
        return iter(range(len(received)))
    return iter(np.flatnonzero((received >= begin_ns) & (received < end_ns)).tolist())


def _seconds(stamp_ns: int, begin_ns: int) -> float:
    return (stamp_ns - begin_ns) / NANOSECONDS_PER_SECOND


def _no_pairs(path: Path, rgb: list[int], thermal: list[int], config: EvaluationConfig) -> str:
    offset = round(config.thermal_offset * NANOSECONDS_PER_SECOND)
    nearest = min(abs(a - b - offset) for a in (rgb[0], rgb[-1], rgb[len(rgb) // 2]) for b in thermal)
    return (
        f"{path}: no pairs: none of {len(rgb)} RGB and {len(thermal)} thermal images are within slop {config.slop:g} s "
        f"of each other (nearest seen: {nearest / NANOSECONDS_PER_SECOND:.3f} s); set --slop or --thermal-offset"
    )
