"""The drive as a bag: what was simulated is what is recorded."""

from __future__ import annotations

import numpy as np
import pytest

from fusion_ros.bags.decoding import read_detections, read_frame, read_label_info
from fusion_ros.bags.reader import open_bag
from fusion_ros.simulation.drive import DriveConfig, SimulatedDrive
from fusion_ros.simulation.layers import MASK_NAMES
from fusion_ros.simulation.recording import write_simulated_drive
from fusion_ros.simulation.road_users import CLASS_NAMES

CONFIG = DriveConfig(width=96, height=72, duration=8.0, rgb_rate=3.0, thermal_rate=2.7)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    path = tmp_path_factory.mktemp("drive") / "bag"
    told = []
    return path, write_simulated_drive(path, CONFIG, progress=told.append), told


def test_the_bag_holds_the_frames_of_the_drive(recorded):
    path, summary, told = recorded
    events = list(SimulatedDrive(CONFIG))
    with open_bag(path) as bag:
        assert bag.damage is None
        for topic, sensor in (("/rgb/image", "rgb"), ("/thermal/image", "thermal")):
            expected = [event.frame for event in events if event.sensor == sensor and event.frame is not None]
            found = [read_frame(bag, message, sensor) for message in bag.messages([topic])]
            assert [frame.stamp_ns for frame in found] == [frame.stamp_ns for frame in expected]
            for one, other in zip(found, expected, strict=True):
                np.testing.assert_array_equal(one.image, other.image)
        received = [message.stamp_ns for message in bag.messages(["/rgb/image"])]
        assert received == [event.received_ns for event in events if event.sensor == "rgb" and event.frame]
        assert {name: topic.message_count for name, topic in bag.topics.items()} == summary.counts
    assert told == sorted(told)
    assert 0.8 < told[-1] <= 1.0


def test_the_ground_truth_is_recorded_with_names_and_stamps(recorded):
    path, summary, _told = recorded
    truths = [(event.stamp_ns, event.truth) for event in SimulatedDrive(CONFIG) if event.truth is not None]
    with open_bag(path) as bag:
        names = read_label_info(bag, "/ground_truth/detections/label_info")
        assert names == CLASS_NAMES
        assert read_label_info(bag, "/ground_truth/mask/label_info") == MASK_NAMES
        boxes = [read_detections(bag, message, names) for message in bag.messages(["/ground_truth/detections"])]
        masks = [read_frame(bag, message, "thermal") for message in bag.messages(["/ground_truth/mask"])]
        conditions = [bag.decode(message).data for message in bag.messages(["/ground_truth/condition"])]
    assert [stamp for stamp, _ in boxes] == [stamp for stamp, _ in truths]
    for (_stamp, found), mask, (_, truth) in zip(boxes, masks, truths, strict=True):
        np.testing.assert_array_equal(found.xyxy, truth.boxes.xyxy)
        np.testing.assert_array_equal(found.class_id, truth.boxes.class_id)
        np.testing.assert_array_equal(mask.image, truth.mask.class_id)
    assert sum(summary.boxes.values()) == sum(len(found) for _stamp, found in boxes)
    # One for each RGB frame, also for those that the silent camera does not send.
    assert len(conditions) == 24
    assert set(conditions) - set(summary.conditions) == {"dropped_rgb"}


def test_camera_info_goes_with_every_image(recorded):
    path, _summary, _told = recorded
    with open_bag(path) as bag:
        for sensor in ("rgb", "thermal"):
            images = [read_frame(bag, message, sensor).stamp_ns for message in bag.messages([f"/{sensor}/image"])]
            infos = [bag.decode(message) for message in bag.messages([f"/{sensor}/camera_info"])]
            assert [info.header.stamp.sec * 10**9 + info.header.stamp.nanosec for info in infos] == images
            assert {(info.width, info.height) for info in infos} == {(96, 72)}
