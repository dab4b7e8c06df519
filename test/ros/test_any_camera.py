"""Images of either camera for detector and segmenter."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS is not here")

from fusion_ros.errors import InputError
from fusion_ros.ros.any_camera import AnyCamera
from fusion_ros.ros.images import header_of, image_message
from fusion_ros.thermal.agc import ThermalAgc


def scene(dtype: type, low: float, high: float) -> np.ndarray:
    return np.linspace(low, high, 60 * 80).reshape(60, 80).astype(dtype)


def test_colour_comes_as_it_is() -> None:
    bgr = np.random.default_rng(0).integers(0, 255, (60, 80, 3)).astype(np.uint8)
    np.testing.assert_array_equal(AnyCamera().picture(image_message(bgr, header_of(1, "rgb")), "image"), bgr)


def test_grey_of_8_bit_comes_as_it_is() -> None:
    grey = scene(np.uint8, 20, 200)
    found = AnyCamera().picture(image_message(grey, header_of(1, "thermal")), "image")
    np.testing.assert_array_equal(found, np.dstack([grey] * 3))


@pytest.mark.parametrize(("dtype", "low", "high"), [(np.uint16, 7000, 9000), (np.float32, 10.0, 40.0)])
def test_counts_and_degrees_go_through_gain_control(dtype: type, low: float, high: float) -> None:
    raw = scene(dtype, low, high)
    message = image_message(raw, header_of(1, "thermal"))
    camera = AnyCamera()
    camera.check(message, "image")
    found = camera.picture(message, "image")
    np.testing.assert_array_equal(found, np.dstack([ThermalAgc()(raw)] * 3))
    assert found.min() < 10
    assert found.max() > 245


def test_what_no_camera_sends_is_refused() -> None:
    message = image_message(scene(np.uint8, 0, 9), header_of(1, "x"))
    message.encoding = "64FC4"
    with pytest.raises(InputError, match="64FC4"):
        AnyCamera().check(message, "image")
