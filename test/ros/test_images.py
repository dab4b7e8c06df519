"""Image messages and arrays."""

from __future__ import annotations

import array
import importlib.util

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage, Image

from fusion_ros.errors import InputError
from fusion_ros.ros import images


def message(encoding, rows, height, width, big=0, padding=0):
    """An image message from (height, bytes of a row) uint8, with `padding` bytes of rubbish after each row."""
    padded = np.hstack([rows, np.full((height, padding), 0xAB, np.uint8)])
    built = Image(encoding=encoding, height=height, width=width, step=padded.shape[1], is_bigendian=big)
    built.data = array.array("B", padded.tobytes())
    return built


def test_rgb8_with_padded_rows_and_odd_width():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    found = images.rgb_array(message("rgb8", pixels.reshape(5, 21), 5, 7, padding=3), "t")
    assert np.array_equal(found, pixels[:, :, ::-1])


def test_bgr8_is_a_view_of_the_message():
    built = message("bgr8", np.zeros((4, 12), np.uint8), 4, 4)
    found = images.rgb_array(built, "t")
    built.data[0] = 77
    assert found[0, 0, 0] == 77


@pytest.mark.parametrize("big", [0, 1])
@pytest.mark.parametrize(("encoding", "kind"), [("mono16", "u2"), ("16UC1", "u2"), ("32FC1", "f4")])
def test_thermal_keeps_its_values_in_either_byte_order(encoding, kind, big):
    values = (np.arange(15).reshape(3, 5) * 1234.0).astype((">" if big else "<") + kind)
    rows = values.view(np.uint8).reshape(3, -1)
    found = images.thermal_array(message(encoding, rows, 3, 5, big, padding=1), "t")
    assert found.dtype.isnative
    assert np.array_equal(found, values)


def test_array_comes_back_from_its_message():
    for image in (
        np.random.default_rng(1).integers(0, 256, (5, 7, 3), np.uint8),
        np.random.default_rng(2).integers(0, 65536, (5, 7), np.uint16),
        np.random.default_rng(3).random((5, 7), np.float32),
        np.random.default_rng(4).integers(0, 256, (10, 14), np.uint8)[::2, ::2],
    ):
        built = images.image_message(image, images.header_of(1, "camera"))
        back = images.rgb_array(built, "t") if image.ndim == 3 else images.thermal_array(built, "t")
        assert np.array_equal(back, image)
        assert isinstance(built.data, array.array)


def test_stamp_comes_back_from_its_header():
    stamp = 1_700_000_000_123_456_789
    header = images.header_of(stamp, "camera")
    assert (header.stamp.sec, header.stamp.nanosec, header.frame_id) == (1_700_000_000, 123_456_789, "camera")
    assert images.stamp_of(header) == stamp


def test_16_bit_png_keeps_its_counts():
    counts = np.random.default_rng(5).integers(0, 65536, (6, 9), np.uint16)
    data = cv2.imencode(".png", counts)[1].tobytes()
    assert np.array_equal(images.compressed_thermal_array(CompressedImage(format="png", data=data), "t"), counts)


def test_jpeg_becomes_bgr_and_a_colour_thermal_image_grey():
    picture = np.zeros((16, 16, 3), np.uint8)
    picture[:] = (250, 10, 20)
    data = CompressedImage(format="jpeg", data=cv2.imencode(".jpg", picture)[1].tobytes())
    assert np.abs(images.compressed_rgb_array(data, "t").astype(int) - picture).max() <= 6  # JPEG at quality 95
    assert images.compressed_thermal_array(data, "t").shape == (16, 16)


@pytest.mark.parametrize("data", [b"", b"not a picture"])
def test_what_is_no_picture_is_refused_by_topic(data):
    with pytest.raises(InputError, match=r"^rgb/image/compressed: "):
        images.compressed_rgb_array(CompressedImage(format="jpeg", data=data), "rgb/image/compressed")


def test_unsupported_encoding_names_topic_value_and_way_out():
    built = message("rgb16", np.zeros((2, 12), np.uint8), 2, 2)
    with pytest.raises(InputError) as caught:
        images.check_thermal(built, "thermal/image")
    assert str(caught.value) == ("thermal/image: encoding 'rgb16' is not supported (mono8, mono16, 16UC1, 32FC1)")


@pytest.mark.skipif(importlib.util.find_spec("cv_bridge") is None, reason="cv_bridge is not installed")
@pytest.mark.parametrize(
    ("encoding", "channels"),
    [("bgr8", 3), ("rgb8", 3), ("bgra8", 4), ("rgba8", 4), ("mono8", 1), ("yuv422", 2), ("yuv422_yuy2", 2),
     ("bayer_rggb8", 1), ("bayer_bggr8", 1), ("bayer_gbrg8", 1), ("bayer_grbg8", 1)],
)  # fmt: skip
def test_our_conversion_agrees_with_cv_bridge(encoding, channels):
    from cv_bridge import CvBridge

    rows = np.random.default_rng(6).integers(0, 256, (8, 10 * channels), np.uint8)
    built = message(encoding, rows, 8, 10)
    assert np.array_equal(images.rgb_array(built, "t"), CvBridge().imgmsg_to_cv2(built, "bgr8"))
