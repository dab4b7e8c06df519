"""Registration: thermal pixel to RGB pixel, with OpenCV's own warp as the oracle."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from fusion_ros.errors import InputError
from fusion_ros.thermal import Registration, RegistrationConfig


def scene(height=60, width=80):
    image = np.random.default_rng(0).integers(0, 256, (height, width)).astype(np.uint8)
    return cv2.GaussianBlur(image, (0, 0), 2.0)


def test_identity_of_one_size_is_the_image_itself():
    image = scene()
    assert Registration().warp(image, (60, 80)) is image


def test_identity_of_another_size_stretches_over_the_rgb_image():
    image = scene()
    np.testing.assert_array_equal(Registration().warp(image, (120, 160)), cv2.resize(image, (160, 120)))
    smaller = cv2.resize(image, (40, 30), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(Registration().warp(image, (30, 40)), smaller)


def test_shift_moves_every_pixel():
    image = scene()
    warped = Registration(RegistrationConfig((1, 0, 5, 0, 1, 3, 0, 0, 1))).warp(image, (60, 80))
    np.testing.assert_array_equal(warped[3:, 5:], image[:-3, :-5])
    assert warped[:3].max() == warped[:, :5].max() == 0


@pytest.mark.parametrize("shape", [(60, 80), (100, 130)])
def test_perspective_agrees_with_opencv(shape):
    values = (1.1, 0.05, 4.0, -0.02, 1.2, -3.0, 2e-4, -1e-4, 1.0)
    image = scene()
    wanted = cv2.warpPerspective(image, np.array(values).reshape(3, 3), (shape[1], shape[0]))
    warped = Registration(RegistrationConfig(values)).warp(image, shape)
    # Both interpolate on a grid of 1/32 pixel, rounded differently.
    assert np.abs(warped.astype(int) - wanted)[2:-2, 2:-2].max() <= 3


def test_a_homography_times_a_factor_is_the_same_map():
    values = np.array((1.1, 0.05, 4.0, -0.02, 1.2, -3.0, 2e-4, -1e-4, 1.0))
    image = scene()
    one = Registration(RegistrationConfig(tuple(values))).warp(image, (60, 80))
    other = Registration(RegistrationConfig(tuple(values * 1e-6))).warp(image, (60, 80))
    np.testing.assert_array_equal(one, other)
    assert Registration(RegistrationConfig((2, 0, 0, 0, 2, 0, 0, 0, 2))).warp(image, (60, 80)) is image


def test_maps_follow_a_change_of_size():
    registration = Registration(RegistrationConfig((2, 0, 0, 0, 2, 0, 0, 0, 1)))
    small = registration.warp(scene(30, 40), (60, 80))
    large = registration.warp(scene(60, 80), (120, 160))
    assert (small.shape, large.shape) == ((60, 80), (120, 160))
    np.testing.assert_array_equal(registration.warp(scene(30, 40), (60, 80)), small)


@pytest.mark.parametrize(
    "values",
    [
        (0.0,) * 9,
        (1, 0, 0, 2, 0, 0, 0, 0, 1),
        (1, 2, 3, 2, 4, 6, 0, 0, 1),
        (1, 0, 0, 0, 1, 0, 0, 0, 0),
        (1, 0, 0, 0, float("nan"), 0, 0, 0, 1),
        (1, 0, 0, 0, 1, 0, 0, 0, float("inf")),
        (1, 0, 0, 0, 1, 0),
    ],
)
def test_a_matrix_that_is_no_map_is_refused(values):
    with pytest.raises(InputError, match="homography"):
        RegistrationConfig(tuple(float(value) for value in values))
