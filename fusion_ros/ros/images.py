"""Image messages to arrays at the door, and arrays to image messages."""

from __future__ import annotations

import array
import importlib.util
from functools import cache
from typing import Any

import cv2
import numpy as np
from builtin_interfaces.msg import Time
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from fusion_ros.errors import InputError
from fusion_ros.image_encoding import (
    RGB_ENCODINGS,
    THERMAL_ENCODINGS,
    canonical_encoding,
    decode_rgb,
    decode_thermal,
    encode_image,
    view_image,
)
from fusion_ros.types import NANOSECONDS_PER_SECOND


def check_rgb(message: Image, topic: str) -> None:
    """Look at the header of an RGB image, without touching its pixels.

    Raises:
        InputError: unsupported encoding, size of zero, wrong step, or too few bytes.
    """
    if _left_to_cv_bridge(message.encoding):
        return
    _view(message, topic, RGB_ENCODINGS)


def check_thermal(message: Image, topic: str) -> None:
    """Look at the header of a thermal image, without touching its pixels. Errors as for `check_rgb`."""
    _view(message, topic, THERMAL_ENCODINGS)


def rgb_array(message: Image, topic: str) -> NDArray[np.uint8]:
    """Return an RGB camera's image as (H, W, 3) uint8 in BGR order; a view of the message where its layout allows.

    cv_bridge, where it is installed, converts what `RGB_ENCODINGS` does not hold.

    Raises:
        InputError: as `check_rgb`.
    """
    if _left_to_cv_bridge(message.encoding):
        return _through_cv_bridge(message, topic)
    return decode_rgb(
        message.height, message.width, message.encoding, message.step, message.is_bigendian, message.data, topic
    )


def thermal_array(message: Image, topic: str) -> NDArray[Any]:
    """Return a thermal image as (H, W) uint8, uint16 (raw counts) or float32 (degrees), native byte order.

    cv_bridge is never asked: its conversions scale counts to 8 bit, which leaves a handful of grey levels of a scene.

    Raises:
        InputError: as `check_thermal`.
    """
    return decode_thermal(
        message.height, message.width, message.encoding, message.step, message.is_bigendian, message.data, topic
    )


def compressed_rgb_array(message: CompressedImage, topic: str) -> NDArray[np.uint8]:
    """Decode a JPEG or PNG of an RGB camera to (H, W, 3) uint8 in BGR order.

    Raises:
        InputError: the data are no image that OpenCV can read.
    """
    # The pixel grid is the sensor's: an orientation tag must not turn it.
    return np.asarray(_decompress(message, topic, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION), np.uint8)


def compressed_thermal_array(message: CompressedImage, topic: str) -> NDArray[Any]:
    """Decode a compressed thermal image to (H, W) uint8 or uint16; a 16-bit PNG keeps its counts.

    Raises:
        InputError: the data are no image that OpenCV can read, or one of another element type.
    """
    image = _decompress(message, topic, cv2.IMREAD_UNCHANGED)
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_BGRA2GRAY if image.shape[2] == 4 else cv2.COLOR_BGR2GRAY)
    if image.dtype not in (np.uint8, np.uint16):
        raise InputError(f"{topic}: compressed image of {image.dtype} is not supported (8 or 16 bit)")
    return image


def image_message(image: NDArray[Any], header: Header) -> Image:
    """Return the message that carries `image`: (H, W) uint8, uint16 or float32, or (H, W, 3) uint8 BGR."""
    encoding, step, data = encode_image(image)
    message = Image()
    message.header = header
    message.height, message.width = image.shape[:2]
    message.encoding = encoding
    message.step = step
    # rclpy takes an array('B') as it is and checks anything else element by element, 0.1 s for a VGA image.
    pixels = array.array("B")
    pixels.frombytes(data.data)
    message.data = pixels
    return message


def header_of(stamp_ns: int, frame_id: str) -> Header:
    """Return a message header with a stamp in nanoseconds."""
    seconds, nanoseconds = divmod(stamp_ns, NANOSECONDS_PER_SECOND)
    return Header(stamp=Time(sec=seconds, nanosec=nanoseconds), frame_id=frame_id)


def stamp_of(header: Header) -> int:
    """Return the stamp of a message header in nanoseconds."""
    return int(header.stamp.sec) * NANOSECONDS_PER_SECOND + int(header.stamp.nanosec)


def _view(message: Image, topic: str, accepted: tuple[str, ...]) -> NDArray[Any]:
    return view_image(
        message.height,
        message.width,
        message.encoding,
        message.step,
        message.is_bigendian,
        message.data,
        topic,
        accepted,
    )


def _decompress(message: CompressedImage, topic: str, flags: int) -> NDArray[Any]:
    data = np.frombuffer(message.data, np.uint8)
    try:
        image = cv2.imdecode(data, flags) if data.size else None
    except cv2.error:
        image = None
    if image is None:
        raise InputError(
            f"{topic}: {data.size} bytes of format {message.format!r} are not an image that can be read (jpeg, png)"
        )
    return np.asarray(image)


@cache
def _cv_bridge_installed() -> bool:
    return importlib.util.find_spec("cv_bridge") is not None


def _left_to_cv_bridge(encoding: str) -> bool:
    return canonical_encoding(encoding) not in RGB_ENCODINGS and _cv_bridge_installed()


def _through_cv_bridge(message: Image, topic: str) -> NDArray[np.uint8]:
    from cv_bridge import CvBridge, CvBridgeError

    try:
        return np.asarray(CvBridge().imgmsg_to_cv2(message, "bgr8"), np.uint8)
    except (CvBridgeError, cv2.error, ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"{topic}: encoding {message.encoding!r} is not supported ({', '.join(RGB_ENCODINGS)}), "
            f"nor can cv_bridge convert it: {error}"
        ) from None
