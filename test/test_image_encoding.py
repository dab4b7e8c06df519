"""Bytes of image messages to arrays and back, against arrays built by hand."""

from __future__ import annotations

from array import array

import numpy as np
import pytest

from fusion_ros.errors import InputError
from fusion_ros.image_encoding import (
    decode_image,
    decode_rgb,
    decode_thermal,
    encode_image,
    view_image,
)


def message_bytes(pixels: np.ndarray, padding: int, big_endian: bool = False) -> tuple[int, bytes]:
    """Lay `pixels` out row by row with `padding` bytes of 0xAA after each row; the slow and obvious way."""
    order = ">" if big_endian else "<"
    rows = [row.astype(row.dtype.newbyteorder(order)).tobytes() + b"\xaa" * padding for row in pixels]
    return len(rows[0]), b"".join(rows)


def random_pixels(shape: tuple[int, ...], dtype: str, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    if dtype == "float32":
        return generator.normal(20.0, 10.0, shape).astype(np.float32)
    return generator.integers(0, np.iinfo(dtype).max, shape, endpoint=True).astype(dtype)


@pytest.mark.parametrize("padding", [0, 1, 3, 6])
@pytest.mark.parametrize("width", [1, 4, 641])
@pytest.mark.parametrize(
    ("encoding", "dtype", "big_endian"),
    [
        ("mono8", "uint8", False),
        ("8UC1", "uint8", True),
        ("mono16", "uint16", False),
        ("mono16", "uint16", True),
        ("16UC1", "uint16", True),
        ("32FC1", "float32", False),
        ("32FC1", "float32", True),
    ],
)
def test_single_channel_keeps_every_value(encoding, dtype, big_endian, width, padding):
    pixels = random_pixels((5, width), dtype)
    step, data = message_bytes(pixels, padding, big_endian)
    decoded = decode_thermal(5, width, encoding, step, big_endian, data, "thermal/image")
    assert decoded.dtype == pixels.dtype
    assert decoded.dtype.isnative
    np.testing.assert_array_equal(decoded, pixels)


@pytest.mark.parametrize("padding", [0, 1, 5])
@pytest.mark.parametrize("width", [1, 8, 641])
@pytest.mark.parametrize(
    ("encoding", "channels", "to_bgr"),
    [
        ("bgr8", 3, [0, 1, 2]),
        ("8UC3", 3, [0, 1, 2]),
        ("rgb8", 3, [2, 1, 0]),
        ("bgra8", 4, [0, 1, 2]),
        ("rgba8", 4, [2, 1, 0]),
    ],
)
def test_colour_comes_out_in_bgr_order(encoding, channels, to_bgr, width, padding):
    pixels = random_pixels((4, width, channels), "uint8")
    step, data = message_bytes(pixels, padding)
    decoded = decode_rgb(4, width, encoding, step, False, data, "rgb/image")
    np.testing.assert_array_equal(decoded, pixels[:, :, to_bgr])


def test_gray_from_the_rgb_camera_becomes_three_equal_channels():
    pixels = random_pixels((3, 5), "uint8")
    step, data = message_bytes(pixels, 2)
    decoded = decode_rgb(3, 5, "mono8", step, False, data, "rgb/image")
    np.testing.assert_array_equal(decoded, np.repeat(pixels[:, :, None], 3, axis=2))


@pytest.mark.parametrize("width", [1, 2, 6, 7])
@pytest.mark.parametrize("padding", [0, 3])
@pytest.mark.parametrize(("encoding", "luma_index"), [("yuv422", 1), ("yuv422_yuy2", 0), ("yuv422_uyvy", 1)])
def test_yuv422_follows_bt601(encoding, luma_index, width, padding):
    """Oracle: ITU-R BT.601 with studio swing, U and V shared by two neighbouring pixels."""
    generator = np.random.default_rng(3)
    packed = generator.integers(60, 190, (4, width, 2)).astype(np.uint8)
    step, data = message_bytes(packed, padding)
    decoded = decode_rgb(4, width, encoding, step, False, data, "rgb/image").astype(int)
    for row in range(4):
        for column in range(width):
            even = column - column % 2
            y = 1.164 * (int(packed[row, column, luma_index]) - 16)
            u = int(packed[row, even, 1 - luma_index]) - 128
            # The last pixel of an odd row has no V of its own: the one before it serves.
            if even + 1 < width:
                v = int(packed[row, even + 1, 1 - luma_index]) - 128
            else:
                v = int(packed[row, even - 1, 1 - luma_index]) - 128 if even else 0
            expected = np.clip([y + 2.018 * u, y - 0.813 * v - 0.391 * u, y + 1.596 * v], 0, 255)
            np.testing.assert_allclose(decoded[row, column], expected, atol=2)


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
@pytest.mark.parametrize("width", [8, 9])
def test_bayer_recovers_a_flat_colour(pattern, width):
    """A mosaic of one flat colour must come back as that colour, which fails when the pattern is misread."""
    colour = {"r": 200, "g": 120, "b": 40}
    mosaic = np.array(
        [[colour[pattern[2 * (row % 2) + column % 2]] for column in range(width)] for row in range(7)], np.uint8
    )
    step, data = message_bytes(mosaic, 3)
    decoded = decode_rgb(7, width, f"bayer_{pattern}8", step, False, data, "rgb/image")
    np.testing.assert_array_equal(decoded, np.broadcast_to(np.array([40, 120, 200], np.uint8), (7, width, 3)))


@pytest.mark.parametrize("encoding", ["mono8", "mono16", "32FC1", "bgr8"])
def test_common_encodings_are_not_copied(encoding):
    image = random_pixels(
        (6, 10) if encoding != "bgr8" else (6, 10, 3),
        {"mono16": "uint16", "32FC1": "float32"}.get(encoding, "uint8"),
    )
    data = array("B", image.tobytes())
    decoded = decode_image(6, 10, encoding, image.strides[0], False, data, "topic")
    assert np.shares_memory(decoded, np.frombuffer(data, np.uint8))


def test_a_view_keeps_the_byte_order_of_the_message():
    assert view_image(1, 1, "mono16", 2, True, b"\x01\x02", "topic")[0, 0] == 0x0102
    assert view_image(1, 1, "mono16", 2, False, b"\x01\x02", "topic")[0, 0] == 0x0201


def test_the_last_row_may_lack_its_padding():
    decoded = decode_image(2, 2, "mono8", 4, False, bytes([1, 2, 9, 9, 3, 4]), "topic")
    np.testing.assert_array_equal(decoded, [[1, 2], [3, 4]])


@pytest.mark.parametrize(
    ("image", "encoding"),
    [
        (random_pixels((3, 5), "uint8"), "mono8"),
        (random_pixels((3, 5), "uint16"), "mono16"),
        (random_pixels((3, 5), "float32"), "32FC1"),
        (random_pixels((3, 5, 3), "uint8"), "bgr8"),
        (random_pixels((3, 5, 4), "uint8"), "bgra8"),
        (random_pixels((3, 10), "uint8")[:, ::2], "mono8"),
        (random_pixels((3, 5), "uint16").astype(">u2"), "mono16"),
    ],
)
def test_encoding_then_viewing_gives_the_image_back(image, encoding):
    found, step, data = encode_image(image)
    assert found == encoding
    assert data.dtype == np.uint8
    np.testing.assert_array_equal(view_image(3, 5, found, step, False, data, "topic"), image)


def test_a_contiguous_image_is_encoded_without_a_copy():
    image = random_pixels((3, 5, 3), "uint8")
    assert np.shares_memory(encode_image(image)[2], image)


@pytest.mark.parametrize(
    "image", [np.zeros((2, 2), np.int64), np.zeros((2, 2, 2), np.uint8), np.zeros((0, 4), np.uint8)]
)
def test_an_image_without_an_encoding_is_refused(image):
    with pytest.raises(InputError, match="cannot be sent"):
        encode_image(image)


def test_the_error_names_the_topic_the_encoding_and_the_way_out():
    with pytest.raises(InputError) as caught:
        decode_thermal(2, 2, "rgb16", 12, False, bytes(24), "thermal/image")
    assert str(caught.value) == ("thermal/image: encoding 'rgb16' is not supported (mono8, mono16, 16UC1, 32FC1)")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((2, 2, "bgr8", 6, False, bytes(12), "t"), "encoding 'bgr8' is not supported"),
        ((0, 2, "mono8", 2, False, b"", "t"), "t: size 2x0 is not an image"),
        ((2, 0, "mono8", 0, False, b"", "t"), "t: size 0x2 is not an image"),
        ((2, 4, "mono16", 7, False, bytes(16), "t"), "t: step 7 is not enough .* must be 8 or more"),
        ((2, 4, "mono16", 8, False, bytes(15), "t"), "t: 15 bytes of data are not enough .* it takes 16"),
    ],
)
def test_wrong_layouts_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        decode_thermal(*arguments)
