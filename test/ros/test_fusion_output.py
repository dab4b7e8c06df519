"""What is made of a fused frame for publication."""

from __future__ import annotations

import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo, RegionOfInterest

from fusion_ros.ros.fusion_output import edges_over, exposure_message, scaled_camera_info
from fusion_ros.ros.images import header_of
from fusion_ros.types import ExposureReading


def test_camera_info_of_the_same_size_gets_the_header_only():
    info = CameraInfo(width=64, height=48, distortion_model="plumb_bob", d=[0.1], k=[50.0] * 9)
    info.header.frame_id = "camera"
    found = scaled_camera_info(info, header_of(7, "fused"), (48, 64))
    assert found.header.frame_id == "fused"
    assert (found.distortion_model, list(found.d), list(found.k)) == ("plumb_bob", [0.1], [50.0] * 9)
    assert info.header.frame_id == "camera"


def test_scaled_camera_projects_to_the_scaled_pixel():
    # Oracle: a point seen at pixel (x, y) is seen at ((x + 0.5) s - 0.5, ...) after resizing, by pixel centres.
    k = np.array([[500.0, 0, 310], [0, 510, 235], [0, 0, 1]])
    info = CameraInfo(width=640, height=480, k=k.reshape(-1), p=np.hstack([k, [[10.0], [0], [0]]]).reshape(-1))
    found = scaled_camera_info(info, header_of(0, ""), (240, 960))
    point = np.array([0.3, -0.2, 2.0, 1.0])
    for before, after, seen in (
        (k, np.reshape(found.k, (3, 3)), point[:3]),
        (np.reshape(info.p, (3, 4)), np.reshape(found.p, (3, 4)), point),
    ):
        x, y, w = before @ seen
        u, v, s = after @ seen
        assert u / s == pytest.approx((x / w + 0.5) * 1.5 - 0.5)
        assert v / s == pytest.approx((y / w + 0.5) * 0.5 - 0.5)


def windowed_info():
    k = np.array([[500.0, 0, 310], [0, 510, 235], [0, 0, 1]])
    window = RegionOfInterest(x_offset=100, y_offset=40, width=400, height=320)
    return CameraInfo(
        width=640,
        height=480,
        k=k.reshape(-1),
        p=np.hstack([k, [[0.0], [0], [0]]]).reshape(-1),
        roi=window,
        binning_x=2,
        binning_y=4,
    )


def test_window_and_binning_are_left_as_they_are_for_the_cameras_own_image():
    # 400 x 320 pixels of the sensor, 2 x 4 of which make one.
    info = windowed_info()
    found = scaled_camera_info(info, header_of(7, "fused"), (80, 200))
    assert (found.width, found.height, found.binning_x, found.roi) == (640, 480, 2, info.roi)
    assert list(found.k) == list(info.k)


def test_a_resized_window_of_the_sensor_projects_to_the_resized_pixel():
    # Oracle: pixel (u, v) of the sensor is (u - 100, v - 40) of the window; the window of 400 x 320 became 100 x 160.
    info = windowed_info()
    found = scaled_camera_info(info, header_of(0, ""), (160, 100))
    u, v = 310.0 + 37.0, 235.0 - 21.0
    expected = ((u - 100 + 0.5) * 100 / 400 - 0.5, (v - 40 + 0.5) * 160 / 320 - 0.5)
    point = np.array([37.0 / 500.0, -21.0 / 510.0, 1.0])
    assert np.reshape(found.k, (3, 3)) @ point == pytest.approx([*expected, 1.0])
    assert np.reshape(found.p, (3, 4)) @ [*point, 1.0] == pytest.approx([*expected, 1.0])
    assert (found.width, found.height, found.binning_x, found.binning_y) == (100, 160, 0, 0)
    assert found.roi == RegionOfInterest()
    assert info.roi.width == 400


def test_exposure_names_its_figures_in_order():
    message = exposure_message(ExposureReading(0.25, 0.5, 128.0))
    figures = dict(zip(message.layout.dim[0].label.split(","), message.data, strict=True))
    assert figures == {"glare_fraction": 0.25, "dark_fraction": 0.5, "mean_luma": 128.0}
    assert message.layout.dim[0].size == len(message.data)


def test_overlay_marks_thermal_edges_and_leaves_the_rest():
    rgb = np.full((40, 60, 3), 90, np.uint8)
    thermal = np.zeros((40, 60), np.uint8)
    thermal[10:30, 20:40] = 255
    drawn = edges_over(rgb, thermal)
    changed = (drawn != rgb).any(axis=2)
    rows, columns = np.nonzero(changed)
    assert 8 <= rows.min() <= 11
    assert 28 <= rows.max() <= 31
    assert 18 <= columns.min() <= 21
    assert not changed[15:25, 25:35].any()
    assert (rgb == 90).all()
