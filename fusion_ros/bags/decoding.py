"""Recorded messages as the package's own types: frames, detections, masks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import cv2
import numpy as np

from fusion_ros.bags.message_types import COMPRESSED_IMAGE, IMAGE
from fusion_ros.bags.reader import BagMessage, BagReader
from fusion_ros.errors import InputError
from fusion_ros.image_encoding import decode_rgb, decode_thermal
from fusion_ros.types import NANOSECONDS_PER_SECOND, Detections, Frame

Sensor = Literal["rgb", "thermal"]


def header_stamp_ns(message: Any) -> int:
    """Return the time in a deserialized message's header, in nanoseconds."""
    return int(message.header.stamp.sec) * NANOSECONDS_PER_SECOND + int(message.header.stamp.nanosec)


def read_frame(reader: BagReader, message: BagMessage, sensor: Sensor) -> Frame:
    """Turn a recorded sensor_msgs/Image or CompressedImage into a frame.

    Args:
        reader: where the message comes from.
        message: the recorded message.
        sensor: `rgb` for (H, W, 3) uint8 BGR, `thermal` for (H, W) uint8, uint16 or float32.

    Raises:
        InputError: not an image type, unsupported encoding, wrong size or step, or bytes that are no image.
    """
    decoded = reader.decode(message)
    if message.msgtype == IMAGE:
        decode = decode_rgb if sensor == "rgb" else decode_thermal
        image = decode(
            decoded.height,
            decoded.width,
            decoded.encoding,
            decoded.step,
            decoded.is_bigendian,
            decoded.data,
            message.topic,
        )
    elif message.msgtype == COMPRESSED_IMAGE:
        flags = cv2.IMREAD_COLOR if sensor == "rgb" else cv2.IMREAD_ANYDEPTH
        unpacked = cv2.imdecode(np.frombuffer(decoded.data, np.uint8), flags) if len(decoded.data) else None
        if unpacked is None:
            raise InputError(
                f"{message.topic}: {len(decoded.data)} bytes in format {decoded.format!r} are no image (jpeg, png)"
            )
        image = unpacked
    else:
        raise InputError(f"{message.topic}: type {message.msgtype} is not an image ({IMAGE}, {COMPRESSED_IMAGE})")
    return Frame(image, header_stamp_ns(decoded), decoded.header.frame_id)


def read_detections(reader: BagReader, message: BagMessage, class_names: Mapping[int, str]) -> tuple[int, Detections]:
    """Turn a recorded vision_msgs/Detection2DArray into (header stamp in nanoseconds, detections).

    A box without a hypothesis is left out; of several hypotheses the most likely one counts.

    Raises:
        InputError: the message cannot be read, or a class id is not a number.
    """
    decoded = reader.decode(message)
    boxes, scores, classes = [], [], []
    for detection in decoded.detections:
        if not detection.results:
            continue
        best = max((result.hypothesis for result in detection.results), key=lambda hypothesis: hypothesis.score)
        if not best.class_id.isdigit():
            raise InputError(f"{message.topic}: class id {best.class_id!r} is not a number")
        x, y = detection.bbox.center.position.x, detection.bbox.center.position.y
        half_width, half_height = detection.bbox.size_x / 2, detection.bbox.size_y / 2
        boxes.append((x - half_width, y - half_height, x + half_width, y + half_height))
        scores.append(best.score)
        classes.append(int(best.class_id))
    return header_stamp_ns(decoded), Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(scores, np.float32),
        np.array(classes, np.int64),
        class_names,
    )


def read_label_info(reader: BagReader, topic: str) -> dict[int, str]:
    """Return class names by id from the first vision_msgs/LabelInfo on `topic`.

    Raises:
        InputError: the topic is missing or empty.
    """
    for message in reader.messages([topic]):
        return {int(entry.class_id): str(entry.class_name) for entry in reader.decode(message).class_map}
    raise InputError(f"{reader.path}: no message on {topic!r}, so the class ids have no names")
