"""Makes a rosbag2 recording of a folder of pairs, as if two cameras had seen them one after the other."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fusion_ros.bags.pairs_folder import Pair, PairsFolder, find_pairs, read_pairs
from fusion_ros.bags.writer import BagWriter, CameraIntrinsics
from fusion_ros.configuration import setting, validate
from fusion_ros.errors import InputError
from fusion_ros.types import NANOSECONDS_PER_SECOND, Detections, Frame

RGB_TOPIC, RGB_INFO_TOPIC, RGB_FRAME_ID = "/rgb/image", "/rgb/camera_info", "rgb_camera"
THERMAL_TOPIC, THERMAL_INFO_TOPIC, THERMAL_FRAME_ID = "/thermal/image", "/thermal/camera_info", "thermal_camera"
BOXES_TOPIC, BOX_LABELS_TOPIC = "/ground_truth/detections", "/ground_truth/detections/label_info"

# Nothing is known of the cameras of a folder of pictures; most road cameras see about this much.
_FIELD_OF_VIEW_DEGREES = 50.0


@dataclass(frozen=True)
class PairsBagConfig:
    """How to make a recording of pairs."""

    storage: str = setting("mcap", "file format of the recording", choices=("mcap", "sqlite3"))
    rate: float = setting(10.0, "pairs per second; the frames of a clip keep their own times", unit="Hz", minimum=0.01)
    frames: int = setting(0, "pairs to record at most; 0 for all", minimum=0)
    width: int = setting(0, "width of the RGB images; 0 keeps each as it is", unit="px", minimum=0, maximum=16384)
    start: float = setting(1_760_000_000.0, "time of the first pair since the epoch", unit="s", minimum=0.0)

    def __post_init__(self) -> None:
        validate(self)


@dataclass(frozen=True)
class PairsBagSummary:
    """What was written.

    Attributes:
        path: the bag.
        pairs: how many pairs.
        duration: from the first to the last pair in seconds.
        counts: messages by topic.
        boxes: how many labelled boxes.
    """

    path: Path
    pairs: int
    duration: float
    counts: dict[str, int]
    boxes: int


def make_bag(
    directory: str | os.PathLike[str],
    out: str | os.PathLike[str],
    config: PairsBagConfig | None = None,
    progress: Callable[[int], None] | None = None,
) -> PairsBagSummary:
    """Write the pairs of a folder as a rosbag2 recording with camera_info and, where there are labels, true boxes.

    Args:
        directory: folder with `vi/` and `ir/`, and perhaps `labels.coco.json`.
        out: folder to make; it must not exist.
        config: how.
        progress: called with the number of pairs that are written.

    Raises:
        InputError: the pairs cannot be read, or `out` exists.
    """
    config = config or PairsBagConfig()
    folder = find_pairs(directory)
    start_ns = int(config.start) * NANOSECONDS_PER_SECOND
    stamps = _Stamps(config.rate)
    written = boxes = last_ns = 0
    with BagWriter(out, config.storage) as bag:
        if folder.labels:
            bag.write_label_info(BOX_LABELS_TOPIC, next(iter(folder.labels.values())).class_names, start_ns)
        for pair in read_pairs(folder, config.frames or None):
            last_ns = stamps.next_ns(pair)
            boxes += _write_pair(bag, folder, pair, start_ns + last_ns, config)
            written += 1
            if progress is not None:
                progress(written)
        if written == 0:
            raise InputError(f"{directory}: no frame could be read from its clips")
        return PairsBagSummary(Path(out), written, last_ns / NANOSECONDS_PER_SECOND, bag.counts, boxes)


class _Stamps:
    """Gives each pair its time: still pictures at a rate, frames of clips at their own, one clip after another."""

    def __init__(self, rate: float) -> None:
        self._period_ns = round(NANOSECONDS_PER_SECOND / rate)
        self._next_ns = 0
        self._clip_begun_ns = 0
        self._clip_seconds = 0.0

    def next_ns(self, pair: Pair) -> int:
        if pair.seconds is None:
            stamp = self._next_ns
        else:
            if pair.seconds <= self._clip_seconds:
                self._clip_begun_ns = self._next_ns - round(pair.seconds * NANOSECONDS_PER_SECOND)
            self._clip_seconds = pair.seconds
            stamp = self._clip_begun_ns + round(pair.seconds * NANOSECONDS_PER_SECOND)
        self._next_ns = stamp + self._period_ns
        return stamp


def _write_pair(bag: BagWriter, folder: PairsFolder, pair: Pair, stamp_ns: int, config: PairsBagConfig) -> int:
    """Write one pair and return how many boxes are labelled in it."""
    rgb = _scaled(pair.rgb, config.width)
    for topic, info_topic, image, frame_id in (
        (RGB_TOPIC, RGB_INFO_TOPIC, rgb, RGB_FRAME_ID),
        (THERMAL_TOPIC, THERMAL_INFO_TOPIC, pair.thermal, THERMAL_FRAME_ID),
    ):
        height, width = image.shape[:2]
        camera = CameraIntrinsics.from_field_of_view(width, height, _FIELD_OF_VIEW_DEGREES)
        bag.write_image(topic, Frame(image, stamp_ns, frame_id))
        bag.write_camera_info(info_topic, camera, stamp_ns, frame_id)
    labels = folder.labels.get(pair.name)
    if labels is None:
        return 0
    # Labels are in pixels of the thermal picture, the truth belongs on the RGB image.
    scale_x, scale_y = rgb.shape[1] / pair.thermal.shape[1], rgb.shape[0] / pair.thermal.shape[0]
    scale = np.array([scale_x, scale_y, scale_x, scale_y], np.float32)
    scaled = Detections(labels.xyxy * scale, labels.confidence, labels.class_id, labels.class_names)
    bag.write_detections(BOXES_TOPIC, scaled, stamp_ns, RGB_FRAME_ID)
    return len(scaled)


def _scaled(image: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    if width in (0, image.shape[1]):
        return image
    height = max(1, round(image.shape[0] * width / image.shape[1]))
    shrink = width < image.shape[1]
    scaled = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrink else cv2.INTER_LINEAR)
    return np.asarray(scaled, np.uint8)
