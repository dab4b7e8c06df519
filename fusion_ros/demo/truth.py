"""What the replayed bag itself knows: its images, and the simulation's ground truth where there is any."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from fusion_ros.bags.decoding import header_stamp_ns, read_detections, read_frame, read_label_info
from fusion_ros.bags.reader import BagReader, open_bag
from fusion_ros.pairing import PairingConfig, pair_offline
from fusion_ros.replay.pace import frame_period_s
from fusion_ros.types import Detections, Frame

RGB_TOPIC = "/rgb/image"
THERMAL_TOPIC = "/thermal/image"
TRUE_BOXES_TOPIC = "/ground_truth/detections"
TRUE_LABELS_TOPIC = "/ground_truth/detections/label_info"
CONDITION_TOPIC = "/ground_truth/condition"

# Thermal frames further away than this are not shown beside an RGB frame.
_SHOWN_WITHIN_NS = 150_000_000


@dataclass(frozen=True)
class BagContent:
    """Stamps and ground truth of a bag.

    Attributes:
        start_ns: first header stamp of a camera image.
        end_ns: last one.
        rgb_stamps: header stamps of the RGB images in order of recording.
        thermal_stamps: likewise of the thermal images.
        pair_count: pairs that the nodes' matcher makes of them.
        conditions: (from stamp, scene condition) at each change.
        truth: true boxes by header stamp.
        slop: largest stamp difference of a pair with which the recording is best paired, seconds.
        damage: what of the bag could not be read, or None.
    """

    start_ns: int
    end_ns: int
    rgb_stamps: Sequence[int]
    thermal_stamps: Sequence[int]
    pair_count: int
    conditions: Sequence[tuple[int, str]] = ()
    truth: dict[int, Detections] = field(default_factory=dict)
    slop: float = PairingConfig.slop
    damage: str | None = None

    def condition_at(self, stamp_ns: int) -> str | None:
        """Condition of the scene at a stamp, None where unknown."""
        index = bisect_right([stamp for stamp, _ in self.conditions], stamp_ns) - 1
        return self.conditions[index][1] if index >= 0 else None


def read_content(path: Path) -> BagContent:
    """Read stamps and ground truth; images are looked at one by one and not kept.

    Raises:
        InputError: the bag cannot be read or lacks a camera's topic.
    """
    with open_bag(path) as bag:
        bag.require(RGB_TOPIC, THERMAL_TOPIC)
        names = read_label_info(bag, TRUE_LABELS_TOPIC) if TRUE_LABELS_TOPIC in bag.topics else {}
        stamps: dict[str, list[int]] = {RGB_TOPIC: [], THERMAL_TOPIC: []}
        conditions: list[tuple[int, str]] = []
        truth: dict[int, Detections] = {}
        known = [RGB_TOPIC, THERMAL_TOPIC, TRUE_BOXES_TOPIC, CONDITION_TOPIC]
        delays: list[int] = []
        for message in bag.messages([topic for topic in known if topic in bag.topics]):
            if message.topic in stamps:
                stamp_ns = header_stamp_ns(bag.decode(message))
                stamps[message.topic].append(stamp_ns)
                if message.topic == RGB_TOPIC:
                    delays.append(message.stamp_ns - stamp_ns)
            elif message.topic == TRUE_BOXES_TOPIC:
                stamp_ns, boxes = read_detections(bag, message, names)
                truth[stamp_ns] = boxes
            else:
                label = str(bag.decode(message).data)
                if not conditions or conditions[-1][1] != label:
                    conditions.append((message.stamp_ns, label))
        damage = bag.damage
    # The condition has no header: it is recorded when the RGB image is, which is a little after its exposure.
    delay = round(median(delays)) if delays else 0
    conditions = [(stamp_ns - delay, label) for stamp_ns, label in conditions]
    rgb, thermal = stamps[RGB_TOPIC], stamps[THERMAL_TOPIC]
    slop = suitable_slop(rgb)
    pairs, _ = pair_offline(rgb, thermal, PairingConfig(slop=slop))
    all_stamps = rgb + thermal
    start, end = min(all_stamps, default=0), max(all_stamps, default=0)
    return BagContent(start, end, rgb, thermal, len(pairs), conditions, truth, slop, damage)


def suitable_slop(rgb_stamps: Sequence[int]) -> float:
    """Half the RGB camera's period, between the default and 0.1 s: every thermal frame then finds a partner.

    A larger slop gives worse pairs, not more of them; the default suits cameras of 17 Hz and more.
    """
    return round(min(0.1, max(PairingConfig.slop, frame_period_s(rgb_stamps) / 2)), 3)


def frames_at(bag: BagReader, stamps: Sequence[int]) -> Iterator[tuple[int, Frame | None, Frame | None]]:
    """For each stamp, in rising order, the RGB frame with it and the nearest thermal frame; few are held at a time."""
    messages = bag.messages([RGB_TOPIC, THERMAL_TOPIC])
    rgb: deque[Frame] = deque()
    thermal: deque[Frame] = deque()
    last = {RGB_TOPIC: -1, THERMAL_TOPIC: -1}
    for stamp_ns in stamps:
        while min(last.values()) < stamp_ns + _SHOWN_WITHIN_NS:
            message = next(messages, None)
            if message is None:
                break
            is_rgb = message.topic == RGB_TOPIC
            frame = read_frame(bag, message, "rgb" if is_rgb else "thermal")
            (rgb if is_rgb else thermal).append(frame)
            last[message.topic] = max(last[message.topic], frame.stamp_ns)
            # A camera that has stopped must not make the other one pile up.
            for frames in (rgb, thermal):
                while len(frames) > 1 and frames[0].stamp_ns < stamp_ns - _SHOWN_WITHIN_NS:
                    frames.popleft()
            if max(last.values()) > stamp_ns + 10 * _SHOWN_WITHIN_NS:
                break
        nearest = min(thermal, key=lambda frame: abs(frame.stamp_ns - stamp_ns), default=None)
        if nearest is not None and abs(nearest.stamp_ns - stamp_ns) > _SHOWN_WITHIN_NS:
            nearest = None
        yield stamp_ns, next((frame for frame in rgb if frame.stamp_ns == stamp_ns), None), nearest
