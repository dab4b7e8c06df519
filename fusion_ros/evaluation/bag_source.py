"""Pairs of a recording, matched as the node matches them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from fusion_ros.bags.decoding import header_stamp_ns, read_frame
from fusion_ros.bags.message_types import COMPRESSED_IMAGE, IMAGE
from fusion_ros.bags.reader import BagMessage, open_bag
from fusion_ros.errors import InputError
from fusion_ros.evaluation.config import EvaluationConfig
from fusion_ros.evaluation.sources import SourcePair, range_text, within
from fusion_ros.pairing import PairingConfig, pair_offline
from fusion_ros.types import NANOSECONDS_PER_SECOND, FramePair


class BagSource:
    """A rosbag2 recording, read twice: for the stamps, from which the pairs follow, then for the images.

    Only the images of pairs that are not yet complete are held, so memory does not grow with the recording's length.

    Raises:
        InputError: it cannot be read, a topic is missing or no image topic, no pairs, or none in the range.
    """

    in_time = True

    def __init__(self, path: Path, config: EvaluationConfig) -> None:
        self._bag = open_bag(path)
        self._topics = (config.rgb_topic, config.thermal_topic)
        self.description = f"{path} (recording)"
        self._spoilt = 0
        try:
            self._check_topics()
            rgb, thermal = (self._stamps(topic) for topic in self._topics)
            pairs, dropped = pair_offline(
                [stamp for _, stamp in rgb],
                [stamp for _, stamp in thermal],
                PairingConfig(slop=config.slop, thermal_offset=config.thermal_offset),
            )
            if not pairs:
                raise InputError(_no_pairs(path, [s for _, s in rgb], [s for _, s in thermal], config))
        except InputError:
            self._bag.close()
            raise
        self._begin_ns = min(stamp for _, stamp in rgb)
        in_range = [(rgb[i][0], thermal[j][0], rgb[i][1]) for i, j in pairs if within(self._seconds(rgb[i][1]), config)]
        self._wanted = in_range[:: config.stride]
        self.dropped = dict(dropped)
        self.total: int | None = len(self._wanted)
        self.keys: list[str] | None = [str(stamp_ns) for _, _, stamp_ns in self._wanted]
        if not self._wanted:
            first, last = (self._seconds(rgb[pairs[end][0]][1]) for end in (0, -1))
            self._bag.close()
            raise InputError(
                f"{path}: no pairs in the range {range_text(config)}; its {len(pairs)} pairs lie between "
                f"{first:.2f} and {last:.2f} s"
            )

    @property
    def lost(self) -> list[str]:
        """What could not be read."""
        notes = [f"The recording is damaged: {self._bag.damage}."] if self._bag.damage else []
        return notes + ([f"{self._spoilt} messages are not readable as images."] if self._spoilt else [])

    def pairs(self) -> Iterator[SourcePair]:
        """Yield the pairs by their RGB stamps."""
        partners = [dict.fromkeys(w[side] for w in self._wanted) for side in (0, 1)]
        held: tuple[dict[int, BagMessage], dict[int, BagMessage]] = ({}, {})
        counts = [0, 0]
        following = iter(self._wanted)
        wanted = next(following, None)
        for message in self._bag.messages(list(self._topics)):
            side = self._topics.index(message.topic)
            if counts[side] in partners[side]:
                held[side][counts[side]] = message
            counts[side] += 1
            while wanted is not None and wanted[0] in held[0] and wanted[1] in held[1]:
                rgb, thermal = held[0].pop(wanted[0]), held[1].pop(wanted[1])
                yield SourcePair(str(wanted[2]), self._seconds(wanted[2]), False, partial(self._load, rgb, thermal))
                wanted = next(following, None)

    def close(self) -> None:
        """Close the recording."""
        self._bag.close()

    def _seconds(self, stamp_ns: int) -> float:
        return (stamp_ns - self._begin_ns) / NANOSECONDS_PER_SECOND

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

    def _stamps(self, topic: str) -> list[tuple[int, int]]:
        """Ordinal among the topic's messages and header stamp of each that can be read."""
        stamps = []
        for ordinal, message in enumerate(self._bag.messages([topic])):
            try:
                stamps.append((ordinal, header_stamp_ns(self._bag.decode(message))))
            except InputError:
                self._spoilt += 1
        if not stamps:
            raise InputError(f"{self._bag.path}: no readable image on {topic!r}")
        return stamps


def _no_pairs(path: Path, rgb: list[int], thermal: list[int], config: EvaluationConfig) -> str:
    offset = round(config.thermal_offset * NANOSECONDS_PER_SECOND)
    nearest = min(abs(a - b - offset) for a in (rgb[0], rgb[-1], rgb[len(rgb) // 2]) for b in thermal)
    return (
        f"{path}: no pairs: none of {len(rgb)} RGB and {len(thermal)} thermal images are within slop {config.slop:g} s "
        f"of each other (nearest seen: {nearest / NANOSECONDS_PER_SECOND:.3f} s); set --slop or --thermal-offset"
    )
