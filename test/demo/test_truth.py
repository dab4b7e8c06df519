"""What a bag knows: stamps, scenes, true boxes, and its frames beside each other."""

from __future__ import annotations

import numpy as np
import pytest

from fusion_ros.bags.reader import open_bag
from fusion_ros.bags.writer import BagWriter
from fusion_ros.demo.truth import frames_at, read_content, suitable_slop
from fusion_ros.errors import InputError
from fusion_ros.types import Detections, Frame

MS = 1_000_000
LATENCY = 30 * MS


def image(value, channels=3):
    return np.full((6, 8, channels) if channels == 3 else (6, 8), value, np.uint8)


@pytest.fixture
def bag(tmp_path):
    """Ten RGB images at 10 Hz from 1 s on, thermal 20 ms later until the fifth; the scene changes with the fourth."""
    path = tmp_path / "bag"
    with BagWriter(path) as writer:
        writer.write_label_info("/ground_truth/detections/label_info", {0: "person"}, 1000 * MS)
        for index in range(10):
            stamp = (1000 + 100 * index) * MS
            received = stamp + LATENCY
            writer.write_string("/ground_truth/condition", "day" if index < 4 else "dark", received)
            writer.write_image("/rgb/image", Frame(image(10 * index), stamp, "rgb"), received)
            boxes = Detections(
                np.array([[1, 1, 4, 5]], np.float32), np.ones(1, np.float32), np.zeros(1, np.int64), {0: "person"}
            )
            writer.write_detections("/ground_truth/detections", boxes, stamp, "rgb", received_ns=received)
            if index < 5:
                writer.write_image("/thermal/image", Frame(image(index, 1), stamp + 20 * MS, "thermal"), received)
    return path


def test_stamps_scenes_and_boxes(bag):
    content = read_content(bag)
    assert len(content.rgb_stamps) == 10
    assert len(content.thermal_stamps) == 5
    assert content.pair_count == 5
    assert content.start_ns == 1000 * MS
    # The condition is recorded with the image's latency and belongs to its time of exposure.
    assert content.conditions == [(1000 * MS, "day"), (1400 * MS, "dark")]
    assert content.condition_at(1399 * MS) == "day"
    assert content.condition_at(1400 * MS) == "dark"
    assert content.condition_at(0) is None
    assert content.truth[1300 * MS].class_names[0] == "person"


def test_frames_come_with_the_nearest_thermal_one(bag):
    stamps = [1000 * MS, 1300 * MS, 1900 * MS]
    with open_bag(bag) as reader:
        found = list(frames_at(reader, stamps))
    assert [stamp for stamp, _, _ in found] == stamps
    assert [int(rgb.image[0, 0, 0]) for _, rgb, _ in found] == [0, 30, 90]
    assert [None if thermal is None else int(thermal.image[0, 0]) for _, _, thermal in found] == [0, 3, None]


def test_a_stamp_without_an_rgb_frame_has_none(bag):
    with open_bag(bag) as reader:
        ((_, rgb, thermal),) = frames_at(reader, [1020 * MS])
    assert rgb is None
    assert int(thermal.image[0, 0]) == 0


def test_a_bag_without_a_camera_is_refused(tmp_path):
    with BagWriter(tmp_path / "bag") as writer:
        writer.write_image("/rgb/image", Frame(image(1), 1, "rgb"))
    with pytest.raises(InputError, match="/thermal/image"):
        read_content(tmp_path / "bag")


def test_slop_is_half_the_period_within_bounds():
    def every(milliseconds):
        return [index * milliseconds * MS for index in range(5)]

    assert suitable_slop(every(100)) == pytest.approx(0.05)
    assert suitable_slop(every(33)) == pytest.approx(0.03)
    assert suitable_slop(every(1000)) == pytest.approx(0.1)
