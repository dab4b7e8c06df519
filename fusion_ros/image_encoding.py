"""Image messages as arrays and back, for whatever carries the bytes: a live message or one read from a bag.

The layout is that of sensor_msgs/Image: `height` rows of `step` bytes, of which the first `width` pixels count.
Nothing here knows ROS.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fusion_ros.errors import InputError

# Encoding -> (element type, elements per pixel). The names are those of sensor_msgs/image_encodings.hpp.
_LAYOUTS: dict[str, tuple[str, int]] = {
    "mono8": ("u1", 1),
    "mono16": ("u2", 1),
    "16UC1": ("u2", 1),
    "32FC1": ("f4", 1),
    "bgr8": ("u1", 3),
    "rgb8": ("u1", 3),
    "bgra8": ("u1", 4),
    "rgba8": ("u1", 4),
    "yuv422": ("u1", 2),
    "yuv422_yuy2": ("u1", 2),
    "bayer_rggb8": ("u1", 1),
    "bayer_bggr8": ("u1", 1),
    "bayer_gbrg8": ("u1", 1),
    "bayer_grbg8": ("u1", 1),
}

# Other names for the same bytes.
_ALIASES = {
    "8UC1": "mono8",
    "8UC3": "bgr8",
    "8UC4": "bgra8",
    "yuv422_uyvy": "yuv422",
    "uyvy": "yuv422",
    "yuyv": "yuv422_yuy2",
}

# OpenCV names a Bayer pattern by the second row's second and third pixel, sensor_msgs by the first two of each row.
_TO_BGR = {
    "mono8": cv2.COLOR_GRAY2BGR,
    "rgb8": cv2.COLOR_RGB2BGR,
    "bgra8": cv2.COLOR_BGRA2BGR,
    "rgba8": cv2.COLOR_RGBA2BGR,
    "yuv422": cv2.COLOR_YUV2BGR_UYVY,
    "yuv422_yuy2": cv2.COLOR_YUV2BGR_YUY2,
    "bayer_rggb8": cv2.COLOR_BayerBG2BGR,
    "bayer_bggr8": cv2.COLOR_BayerRG2BGR,
    "bayer_gbrg8": cv2.COLOR_BayerGR2BGR,
    "bayer_grbg8": cv2.COLOR_BayerGB2BGR,
}

# What an RGB camera may send, as an image of three channels or one that can be made so.
RGB_ENCODINGS = (
    "bgr8",
    "rgb8",
    "bgra8",
    "rgba8",
    "mono8",
    "yuv422",
    "yuv422_yuy2",
    "bayer_rggb8",
    "bayer_bggr8",
    "bayer_gbrg8",
    "bayer_grbg8",
)
# What a thermal camera may send: 8 bit after its own gain control, raw counts, or degrees.
THERMAL_ENCODINGS = ("mono8", "mono16", "16UC1", "32FC1")
ENCODINGS = tuple(_LAYOUTS)


def canonical_encoding(encoding: str) -> str:
    """Return the name used here for the bytes that `encoding` describes; `encoding` itself where it is unknown."""
    return _ALIASES.get(encoding, encoding)


def view_image(
    height: int,
    width: int,
    encoding: str,
    step: int,
    is_bigendian: bool | int,
    data: Any,
    topic: str,
    accepted: Sequence[str] = ENCODINGS,
) -> NDArray[Any]:
    """Look at the bytes of an image message as an array, without copying them.

    Args:
        height: rows.
        width: pixels of a row.
        encoding: name as in sensor_msgs/image_encodings.hpp; `8UC1`, `8UC3` and `8UC4` stand for `mono8`, `bgr8` and
            `bgra8`.
        step: bytes from one row to the next, padding included.
        is_bigendian: byte order of elements wider than a byte.
        data: anything with the buffer protocol (bytes, `array.array`, uint8 array).
        topic: where the message came from, for the error text.
        accepted: encodings that the caller can use.

    Returns:
        (H, W) or (H, W, C) view with the channels and the byte order of the message; read-only where `data` is.

    Raises:
        InputError: unsupported encoding, size of zero, rows longer than `step`, or fewer bytes than the size needs.
    """
    name = canonical_encoding(encoding)
    if name not in accepted or name not in _LAYOUTS:
        raise InputError(f"{topic}: encoding {encoding!r} is not supported ({', '.join(accepted)})")
    if height <= 0 or width <= 0:
        raise InputError(f"{topic}: size {width}x{height} is not an image; the camera must send at least one pixel")
    code, channels = _LAYOUTS[name]
    dtype = np.dtype((">" if is_bigendian else "<") + code)
    row_bytes = width * channels * dtype.itemsize
    if step < row_bytes:
        raise InputError(
            f"{topic}: step {step} is not enough for a row of {width} {encoding} pixels; it must be {row_bytes} or more"
        )
    buffer = memoryview(data).cast("B")
    # The padding of the last row may be missing: no pixel is in it.
    needed = (height - 1) * step + row_bytes
    if len(buffer) < needed:
        raise InputError(
            f"{topic}: {len(buffer)} bytes of data are not enough for {width}x{height} {encoding} with step {step}; "
            f"it takes {needed}"
        )
    pixel = channels * dtype.itemsize
    shape, strides = (height, width, channels), (step, pixel, dtype.itemsize)
    layers = 2 if channels == 1 else 3
    view: NDArray[Any] = np.ndarray(shape[:layers], dtype, buffer, strides=strides[:layers])
    return view


def decode_image(
    height: int,
    width: int,
    encoding: str,
    step: int,
    is_bigendian: bool | int,
    data: Any,
    topic: str,
    accepted: Sequence[str] = ENCODINGS,
) -> NDArray[Any]:
    """Turn the bytes of an image message into an array that OpenCV and numpy take as it is.

    Arguments and errors are those of `view_image`.

    Returns:
        Colour encodings: (H, W, 3) uint8 in BGR order. Single-channel encodings: (H, W) uint8, uint16 or float32 in
        native byte order. `bgr8` and single-channel data in native byte order are views, not copies, and read-only
        where `data` is.
    """
    image = view_image(height, width, encoding, step, is_bigendian, data, topic, accepted)
    name = canonical_encoding(encoding)
    if name in ("yuv422", "yuv422_yuy2"):
        return _decode_yuv422(image, name)
    if name in _TO_BGR and name != "mono8":
        return _to_bgr(image, _TO_BGR[name])
    if not image.dtype.isnative:
        return image.astype(image.dtype.newbyteorder("="))
    # OpenCV wants the distance of rows in whole elements.
    return image if image.flags.aligned else image.copy()


def decode_rgb(
    height: int, width: int, encoding: str, step: int, is_bigendian: bool | int, data: Any, topic: str
) -> NDArray[np.uint8]:
    """Turn the bytes of an RGB camera's message into (H, W, 3) uint8 in BGR order; gray becomes three equal channels.

    Arguments and errors are those of `view_image`; the encodings are `RGB_ENCODINGS`.
    """
    image = decode_image(height, width, encoding, step, is_bigendian, data, topic, RGB_ENCODINGS)
    return image if image.ndim == 3 else _to_bgr(image, _TO_BGR["mono8"])


def decode_thermal(
    height: int, width: int, encoding: str, step: int, is_bigendian: bool | int, data: Any, topic: str
) -> NDArray[Any]:
    """Turn the bytes of a thermal camera's message into (H, W) uint8, uint16 (raw counts) or float32 (degrees).

    Arguments and errors are those of `view_image`; the encodings are `THERMAL_ENCODINGS`.
    """
    return decode_image(height, width, encoding, step, is_bigendian, data, topic, THERMAL_ENCODINGS)


def encode_image(image: NDArray[Any]) -> tuple[str, int, NDArray[np.uint8]]:
    """Find encoding, step and bytes of the message that carries `image`.

    Args:
        image: (H, W) uint8, uint16 or float32; (H, W, 3) uint8 BGR or (H, W, 4) uint8 BGRA.

    Returns:
        encoding (`mono8`, `mono16`, `32FC1`, `bgr8`, `bgra8`), bytes per row without padding, and the little-endian
        bytes as a flat uint8 array: a view of `image` where that is contiguous.

    Raises:
        InputError: the shape or the element type has no encoding.
    """
    kinds = {("u1", 1): "mono8", ("u2", 1): "mono16", ("f4", 1): "32FC1", ("u1", 3): "bgr8", ("u1", 4): "bgra8"}
    channels = 1 if image.ndim == 2 else image.shape[2] if image.ndim == 3 else 0
    encoding = kinds.get((image.dtype.str[1:], channels))
    if encoding is None or image.size == 0:
        raise InputError(
            f"image: shape {image.shape} of {image.dtype} cannot be sent; expected (H, W) uint8, uint16 or float32, "
            "(H, W, 3) or (H, W, 4) uint8"
        )
    rows = np.ascontiguousarray(image, dtype=image.dtype.newbyteorder("<"))
    return encoding, rows.strides[0], rows.reshape(-1).view(np.uint8)


def _to_bgr(image: NDArray[Any], conversion: int) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(image, conversion), dtype=np.uint8)


def _decode_yuv422(image: NDArray[np.uint8], name: str) -> NDArray[np.uint8]:
    """Convert (H, W, 2) of packed 4:2:2 to BGR. Two pixels share U and V, so an odd row lacks its last V."""
    width = image.shape[1]
    if width % 2 == 0:
        return _to_bgr(image, _TO_BGR[name])
    luma = 1 if name == "yuv422" else 0
    padded = np.empty((image.shape[0], width + 1, 2), np.uint8)
    padded[:, :width] = image
    padded[:, width, luma] = image[:, width - 1, luma]
    padded[:, width, 1 - luma] = image[:, width - 2, 1 - luma] if width > 1 else 128
    return np.ascontiguousarray(_to_bgr(padded, _TO_BGR[name])[:, :width])
