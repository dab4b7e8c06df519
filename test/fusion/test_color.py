import cv2
import numpy as np

from fusion_ros.fusion.color import chroma, luminance, to_eight_bit, to_unit_range, with_luminance


def test_luminance_of_primaries_is_their_bt601_weight():
    primaries = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]], np.uint8)  # B, G, R, white
    np.testing.assert_allclose(luminance(primaries), [[0.114, 0.587, 0.299, 1.0]], atol=1e-6)


def test_luminance_is_not_rounded_to_eight_bit():
    almost_black = np.array([[[0, 0, 1]]], np.uint8)
    np.testing.assert_allclose(luminance(almost_black), [[0.299 / 255]], rtol=1e-5)


def test_chroma_is_blue_then_red_and_half_for_grey():
    blue, red, grey = ([255, 0, 0], [0, 0, 255], [90, 90, 90])
    found = chroma(np.array([[blue, red, grey]], np.uint8))
    # (B - Y) 0.564 + 0.5 and (R - Y) 0.713 + 0.5, with Y = 0.114, 0.299 and grey.
    np.testing.assert_allclose(found[0, 0], [0.5 + 0.886 * 0.564, 0.5 - 0.299 * 0.564, 0.5], atol=1e-3)
    np.testing.assert_allclose(found[1, 0], [0.5 - 0.114 * 0.713, 0.5 + 0.701 * 0.713, 0.5], atol=1e-3)
    assert found[0, 0, 2] == found[1, 0, 2] == 0.5


def test_eight_bit_rounds_to_nearest_and_clamps():
    values = np.array([[-0.3, 0.0, 0.4 / 255, 0.6 / 255, 1.0, 1.7, np.nan]], np.float32)
    assert to_eight_bit(values).tolist() == [[0, 0, 0, 1, 255, 255, 0]]


def test_eight_bit_undoes_unit_range():
    levels = np.arange(256, dtype=np.uint8)[None]
    np.testing.assert_array_equal(to_eight_bit(to_unit_range(levels)), levels)


def test_own_luminance_gives_the_image_back_within_chroma_rounding():
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    again = with_luminance(image, to_eight_bit(luminance(image)))
    # Half a level of luma and half a level of each chroma times its largest factor: 0.5 + 0.5 * 1.773, rounded.
    assert np.abs(again.astype(int) - image).max() <= 2


def test_replaced_luminance_arrives_and_chroma_stays():
    image = np.full((4, 4, 3), (90, 120, 150), np.uint8)
    changed = with_luminance(image, np.full((4, 4), 160, np.uint8))
    np.testing.assert_allclose(255 * luminance(changed), 160, atol=1)
    before, after = (cv2.cvtColor(one, cv2.COLOR_BGR2YCrCb)[..., 1:].astype(int) for one in (image, changed))
    assert np.abs(before - after).max() <= 1


def test_saturated_colours_are_clamped_not_wrapped():
    blue = np.full((2, 2, 3), (255, 0, 0), np.uint8)
    brightened = with_luminance(blue, np.full((2, 2), 255, np.uint8))
    assert brightened[..., 0].min() == 255
