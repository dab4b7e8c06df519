"""Writing rosbag2 recordings without ROS, as `.mcap` or sqlite3."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from rosbags.interfaces import (
    Connection,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import StoragePlugin, Writer, WriterError
from rosbags.rosbag2.enums import CompressionFormat, CompressionMode

from fusion_ros.bags.message_types import (
    CAMERA_INFO,
    COMPRESSED_IMAGE,
    DETECTIONS,
    IMAGE,
    LABEL_INFO,
    STRING,
    message_types,
)
from fusion_ros.errors import InputError
from fusion_ros.image_encoding import encode_image
from fusion_ros.types import NANOSECONDS_PER_SECOND, Detections, Frame, SegmentationMask

STORAGES: Mapping[str, StoragePlugin] = {"mcap": StoragePlugin.MCAP, "sqlite3": StoragePlugin.SQLITE3}

# Humble reads this version of metadata.yaml, and so does every later distribution.
_METADATA_VERSION: Literal[8] = 8
# A history deep enough for a recorder that is behind for a moment.
_HISTORY_DEPTH = 10
_NO_LIMIT = QosTime(0x7FFFFFFF, 0xFFFFFFFF)


@dataclass(frozen=True)
class CameraIntrinsics:
    """A pinhole camera without distortion.

    Attributes:
        width: image width in pixels.
        height: image height in pixels.
        focal_px: focal length in pixels, the same for both axes.
        center_x: column of the optical axis in pixels.
        center_y: row of the optical axis in pixels.
    """

    width: int
    height: int
    focal_px: float
    center_x: float
    center_y: float

    @classmethod
    def from_field_of_view(cls, width: int, height: int, horizontal_degrees: float) -> CameraIntrinsics:
        """Make the camera whose image of `width` pixels spans `horizontal_degrees`, its axis in the middle."""
        focal = width / 2.0 / float(np.tan(np.radians(horizontal_degrees) / 2.0))
        return cls(width, height, focal, (width - 1) / 2.0, (height - 1) / 2.0)


class BagWriter:
    """A new recording; use it in a `with` block, after which it is complete. An error in the block removes it."""

    def __init__(self, path: str | os.PathLike[str], storage: str = "mcap", compress: bool = False) -> None:
        """Prepare a recording at `path`.

        Args:
            path: folder to make; it must not exist.
            storage: `mcap` or `sqlite3`.
            compress: zstd compression of chunks (mcap) or messages (sqlite3); slower, for archives.

        Raises:
            InputError: unknown storage, or `path` exists.
        """
        self.path = Path(path)
        if storage not in STORAGES:
            raise InputError(f"storage: {storage!r} is not supported ({', '.join(STORAGES)})")
        if self.path.exists():
            raise InputError(f"{self.path}: exists already; name a new folder or remove this one")
        self.counts: dict[str, int] = {}
        self._writer = Writer(self.path, version=_METADATA_VERSION, storage_plugin=STORAGES[storage])
        if compress:
            mode = CompressionMode.STORAGE if storage == "mcap" else CompressionMode.MESSAGE
            self._writer.set_compression(mode, CompressionFormat.ZSTD)
        self._connections: dict[str, Connection] = {}
        self._types = message_types()

    def __enter__(self) -> BagWriter:
        try:
            self._writer.open()
        except (OSError, WriterError) as error:
            raise InputError(f"{self.path}: no recording can be written here: {error}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._writer.close()
        else:
            self._writer.abort()
            shutil.rmtree(self.path, ignore_errors=True)

    def write_image(self, topic: str, frame: Frame, received_ns: int | None = None) -> None:
        """Write a sensor_msgs/Image in the encoding that fits the frame's element type and channels.

        Args:
            topic: topic name with its leading slash.
            frame: the image; `stamp_ns` and `frame_id` go into the header.
            received_ns: when a recorder would have received it; None for the stamp itself.
        """
        encoding, step, data = encode_image(frame.image)
        message = self._types.types[IMAGE](
            header=self._header(frame.stamp_ns, frame.frame_id),
            height=frame.image.shape[0],
            width=frame.image.shape[1],
            encoding=encoding,
            is_bigendian=0,
            step=step,
            data=data,
        )
        self._write(topic, IMAGE, message, frame.stamp_ns if received_ns is None else received_ns)

    def write_compressed_image(
        self, topic: str, frame: Frame, image_format: str = "jpeg", received_ns: int | None = None
    ) -> None:
        """Write a sensor_msgs/CompressedImage (`jpeg` or `png`, which also keeps 16 bit); else as `write_image`."""
        image: NDArray[Any] = frame.image
        done, data = cv2.imencode(f".{image_format}", image)
        if not done:
            raise InputError(f"{topic}: {frame.image.dtype} {frame.image.shape} cannot be written as {image_format}")
        message = self._types.types[COMPRESSED_IMAGE](
            header=self._header(frame.stamp_ns, frame.frame_id), format=image_format, data=data.reshape(-1)
        )
        self._write(topic, COMPRESSED_IMAGE, message, frame.stamp_ns if received_ns is None else received_ns)

    def write_camera_info(
        self, topic: str, camera: CameraIntrinsics, stamp_ns: int, frame_id: str, received_ns: int | None = None
    ) -> None:
        """Write a sensor_msgs/CameraInfo of a camera without distortion."""
        focal, x, y = camera.focal_px, camera.center_x, camera.center_y
        types = self._types.types
        message = types[CAMERA_INFO](
            header=self._header(stamp_ns, frame_id),
            height=camera.height,
            width=camera.width,
            distortion_model="plumb_bob",
            d=np.zeros(5),
            k=np.array([focal, 0, x, 0, focal, y, 0, 0, 1], dtype=np.float64),
            r=np.eye(3).reshape(-1),
            p=np.array([focal, 0, x, 0, 0, focal, y, 0, 0, 0, 1, 0], dtype=np.float64),
            binning_x=0,
            binning_y=0,
            roi=types["sensor_msgs/msg/RegionOfInterest"](x_offset=0, y_offset=0, height=0, width=0, do_rectify=False),
        )
        self._write(topic, CAMERA_INFO, message, stamp_ns if received_ns is None else received_ns)

    def write_detections(
        self,
        topic: str,
        detections: Detections,
        stamp_ns: int,
        frame_id: str,
        identities: list[str] | None = None,
        received_ns: int | None = None,
    ) -> None:
        """Write a vision_msgs/Detection2DArray; `identities` name the objects across frames."""
        header = self._header(stamp_ns, frame_id)
        names = identities or [""] * len(detections)
        message = self._types.types[DETECTIONS](
            header=header,
            detections=[
                self._detection(header, box, float(score), str(int(class_id)), name)
                for box, score, class_id, name in zip(
                    detections.xyxy, detections.confidence, detections.class_id, names, strict=True
                )
            ],
        )
        self._write(topic, DETECTIONS, message, stamp_ns if received_ns is None else received_ns)

    def write_mask(
        self, topic: str, mask: SegmentationMask, stamp_ns: int, frame_id: str, received_ns: int | None = None
    ) -> None:
        """Write a segmentation mask as a mono8 image of class ids."""
        self.write_image(topic, Frame(mask.class_id, stamp_ns, frame_id), received_ns)

    def write_label_info(self, topic: str, class_names: Mapping[int, str], stamp_ns: int) -> None:
        """Write a vision_msgs/LabelInfo, which gives class ids their names."""
        types = self._types.types
        message = types[LABEL_INFO](
            header=self._header(stamp_ns, ""),
            class_map=[
                types["vision_msgs/msg/VisionClass"](class_id=number, class_name=name)
                for number, name in sorted(class_names.items())
            ],
            threshold=0.0,
        )
        self._write(topic, LABEL_INFO, message, stamp_ns, latched=True)

    def write_string(self, topic: str, text: str, stamp_ns: int) -> None:
        """Write a std_msgs/String."""
        self._write(topic, STRING, self._types.types[STRING](data=text), stamp_ns)

    def write_raw(self, topic: str, msgtype: str, data: bytes | memoryview, stamp_ns: int) -> None:
        """Write a message that is serialized already, such as one from `BagReader.messages`.

        Raises:
            InputError: there is no definition of `msgtype` to store with it.
        """
        if msgtype not in self._types.types:
            raise InputError(f"{topic}: type {msgtype} has no definition here, so it cannot be recorded")
        self._writer.write(self._connection(topic, msgtype, False), stamp_ns, data)
        self.counts[topic] += 1

    def _write(self, topic: str, msgtype: str, message: Any, stamp_ns: int, latched: bool = False) -> None:
        connection = self._connection(topic, msgtype, latched)
        self._writer.write(connection, stamp_ns, self._types.serialize_cdr(message, msgtype))
        self.counts[topic] += 1

    def _connection(self, topic: str, msgtype: str, latched: bool) -> Connection:
        if topic not in self._connections:
            self._connections[topic] = self._writer.add_connection(
                topic, msgtype, typestore=self._types, offered_qos_profiles=[_offered_qos(latched)]
            )
            self.counts[topic] = 0
        return self._connections[topic]

    def _header(self, stamp_ns: int, frame_id: str) -> Any:
        seconds, nanoseconds = divmod(stamp_ns, NANOSECONDS_PER_SECOND)
        stamp = self._types.types["builtin_interfaces/msg/Time"](sec=seconds, nanosec=nanoseconds)
        return self._types.types["std_msgs/msg/Header"](stamp=stamp, frame_id=frame_id)

    def _detection(self, header: Any, box: NDArray[np.float32], score: float, class_id: str, identity: str) -> Any:
        types = self._types.types
        x_min, y_min, x_max, y_max = (float(edge) for edge in box)
        pose = types["geometry_msgs/msg/PoseWithCovariance"](
            pose=types["geometry_msgs/msg/Pose"](
                position=types["geometry_msgs/msg/Point"](x=0.0, y=0.0, z=0.0),
                orientation=types["geometry_msgs/msg/Quaternion"](x=0.0, y=0.0, z=0.0, w=1.0),
            ),
            covariance=np.zeros(36),
        )
        hypothesis = types["vision_msgs/msg/ObjectHypothesis"](class_id=class_id, score=score)
        center = types["vision_msgs/msg/Pose2D"](
            position=types["vision_msgs/msg/Point2D"](x=(x_min + x_max) / 2, y=(y_min + y_max) / 2), theta=0.0
        )
        return types["vision_msgs/msg/Detection2D"](
            header=header,
            results=[types["vision_msgs/msg/ObjectHypothesisWithPose"](hypothesis=hypothesis, pose=pose)],
            bbox=types["vision_msgs/msg/BoundingBox2D"](center=center, size_x=x_max - x_min, size_y=y_max - y_min),
            id=identity,
        )


def _offered_qos(latched: bool) -> Qos:
    return Qos(
        history=QosHistory.KEEP_LAST,
        depth=1 if latched else _HISTORY_DEPTH,
        reliability=QosReliability.RELIABLE,
        durability=QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
        deadline=_NO_LIMIT,
        lifespan=_NO_LIMIT,
        liveliness=QosLiveliness.AUTOMATIC,
        liveliness_lease_duration=_NO_LIMIT,
        avoid_ros_namespace_conventions=False,
    )
