"""A simulated drive as a rosbag2 recording with ground truth."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from fusion_ros.bags.writer import BagWriter, CameraIntrinsics
from fusion_ros.simulation.drive import RGB_FRAME_ID, THERMAL_FRAME_ID, DriveConfig, DriveEvent, SimulatedDrive
from fusion_ros.simulation.layers import MASK_NAMES
from fusion_ros.simulation.road_users import CLASS_NAMES
from fusion_ros.simulation.viewpoint import HORIZONTAL_FIELD_OF_VIEW_DEGREES
from fusion_ros.types import NANOSECONDS_PER_SECOND

RGB_TOPIC, RGB_INFO_TOPIC = "/rgb/image", "/rgb/camera_info"
THERMAL_TOPIC, THERMAL_INFO_TOPIC = "/thermal/image", "/thermal/camera_info"
BOXES_TOPIC, BOX_LABELS_TOPIC = "/ground_truth/detections", "/ground_truth/detections/label_info"
MASK_TOPIC, MASK_LABELS_TOPIC = "/ground_truth/mask", "/ground_truth/mask/label_info"
CONDITION_TOPIC = "/ground_truth/condition"


@dataclass(frozen=True)
class DriveSummary:
    """What was written.

    Attributes:
        path: the bag.
        duration: length of the drive in seconds.
        counts: messages by topic.
        conditions: RGB frames by condition; a silent camera sends none.
        boxes: ground truth boxes of all frames by class name.
    """

    path: Path
    duration: float
    counts: dict[str, int]
    conditions: dict[str, int] = field(default_factory=dict)
    boxes: dict[str, int] = field(default_factory=dict)


def write_simulated_drive(
    path: str | os.PathLike[str],
    config: DriveConfig | None = None,
    storage: str = "mcap",
    progress: Callable[[float], None] | None = None,
) -> DriveSummary:
    """Simulate a drive and write it as a rosbag2 folder.

    Args:
        path: folder to make; it must not exist.
        config: what to simulate, None for the default drive.
        storage: `mcap` or `sqlite3`.
        progress: called with the share that is done, 0 to 1.

    Raises:
        InputError: `path` exists, or the storage is unknown.
    """
    drive = SimulatedDrive(config)
    config = drive.config
    camera = CameraIntrinsics.from_field_of_view(config.width, config.height, HORIZONTAL_FIELD_OF_VIEW_DEGREES)
    conditions: Counter[str] = Counter()
    boxes: Counter[str] = Counter()
    with BagWriter(path, storage) as bag:
        start_ns = int(config.start) * NANOSECONDS_PER_SECOND
        bag.write_label_info(BOX_LABELS_TOPIC, CLASS_NAMES, start_ns)
        bag.write_label_info(MASK_LABELS_TOPIC, MASK_NAMES, start_ns)
        for event in drive:
            _write_event(bag, event, camera)
            if event.truth is not None:
                conditions[event.condition] += 1
                boxes.update(CLASS_NAMES[int(class_id)] for class_id in event.truth.boxes.class_id)
            if progress is not None:
                progress(min(1.0, (event.stamp_ns - start_ns) / NANOSECONDS_PER_SECOND / config.duration))
        return DriveSummary(Path(path), config.duration, bag.counts, dict(conditions), dict(boxes))


def _write_event(bag: BagWriter, event: DriveEvent, camera: CameraIntrinsics) -> None:
    stamp_ns, received_ns = event.stamp_ns, event.received_ns
    if event.sensor == "thermal":
        if event.frame is not None:
            bag.write_image(THERMAL_TOPIC, event.frame, received_ns)
            bag.write_camera_info(THERMAL_INFO_TOPIC, camera, stamp_ns, THERMAL_FRAME_ID, received_ns)
        return
    bag.write_string(CONDITION_TOPIC, event.condition, received_ns)
    if event.frame is None:
        return
    bag.write_image(RGB_TOPIC, event.frame, received_ns)
    bag.write_camera_info(RGB_INFO_TOPIC, camera, stamp_ns, RGB_FRAME_ID, received_ns)
    if event.truth is not None:
        identities = list(event.truth.identities)
        bag.write_detections(BOXES_TOPIC, event.truth.boxes, stamp_ns, RGB_FRAME_ID, identities, received_ns)
        bag.write_mask(MASK_TOPIC, event.truth.mask, stamp_ns, RGB_FRAME_ID, received_ns)
