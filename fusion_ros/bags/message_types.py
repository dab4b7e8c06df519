"""Message definitions for reading and writing bags where no ROS is installed."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from fusion_ros.errors import InputError
from fusion_ros.shared_files import candidate_folders

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
DETECTIONS = "vision_msgs/msg/Detection2DArray"
LABEL_INFO = "vision_msgs/msg/LabelInfo"
STRING = "std_msgs/msg/String"


def interfaces_directory() -> Path:
    """Find the folder with message definitions that are not part of ROS's common interfaces.

    It lies beside the package in the source tree, or under `share/fusion_ros` of the prefix it is installed to.

    Raises:
        InputError: the installation lacks it.
    """
    places = candidate_folders("interfaces")
    for place in places:
        if (place / "vision_msgs" / "msg").is_dir():
            return place
    raise InputError(f"interfaces: no vision_msgs definitions at {places[0]} or {places[-1]}; install fusion_ros again")


@lru_cache(maxsize=1)
def message_types() -> Typestore:
    """Return the message types of ROS 2 Jazzy's common interfaces and of vision_msgs.

    The messages used here (images, camera_info, strings, detections) are byte for byte those of Humble and later.
    """
    store = get_typestore(Stores.ROS2_JAZZY)
    types = {}
    for path in sorted((interfaces_directory() / "vision_msgs" / "msg").glob("*.msg")):
        types.update(get_types_from_msg(path.read_text(encoding="utf-8"), f"vision_msgs/msg/{path.stem}"))
    store.register(types)
    return store
