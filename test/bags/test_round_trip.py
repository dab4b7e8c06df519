"""What is written to a bag comes back, from both storages, whole folders and bare files."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from fusion_ros.bags.decoding import read_detections, read_frame, read_label_info
from fusion_ros.bags.reader import open_bag
from fusion_ros.bags.writer import BagWriter, CameraIntrinsics
from fusion_ros.errors import InputError
from fusion_ros.types import Detections, Frame, SegmentationMask

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND
NAMES = {0: "person", 1: "bicycle", 2: "car"}


def write_bag(path, storage="mcap", frames=4, compress=False):
    generator = np.random.default_rng(1)
    rgb = generator.integers(0, 256, (frames, 30, 41, 3), dtype=np.uint8)
    thermal = generator.integers(27000, 32000, (frames, 20, 25), dtype=np.uint16)
    with BagWriter(path, storage, compress) as bag:
        bag.write_label_info("/ground_truth/label_info", NAMES, START)
        for index in range(frames):
            stamp = START + index * SECOND // 10
            bag.write_image("/rgb/image", Frame(rgb[index], stamp, "rgb_camera"), stamp + 30_000_000)
            bag.write_image("/thermal/image", Frame(thermal[index], stamp + 7, "thermal_camera"), stamp + 31_000_000)
            bag.write_string("/ground_truth/condition", f"condition {index}", stamp)
    return rgb, thermal


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize(("storage", "suffix"), [("mcap", ".mcap"), ("sqlite3", ".db3")])
def test_images_stamps_and_frame_ids_come_back(tmp_path, storage, suffix, compress):
    rgb, thermal = write_bag(tmp_path / "bag", storage, compress=compress)
    with open_bag(tmp_path / "bag") as bag:
        assert bag.damage is None
        assert bag.topics["/rgb/image"] == ("sensor_msgs/msg/Image", 4)
        assert bag.message_count == 13
        assert bag.start_ns == START
        assert bag.end_ns == START + 3 * SECOND // 10 + 31_000_000
        frames = [read_frame(bag, message, "rgb") for message in bag.messages(["/rgb/image"])]
        counts = [read_frame(bag, message, "thermal") for message in bag.messages(["/thermal/image"])]
    np.testing.assert_array_equal([frame.image for frame in frames], rgb)
    np.testing.assert_array_equal([frame.image for frame in counts], thermal)
    assert [frame.stamp_ns for frame in frames] == [START + index * SECOND // 10 for index in range(4)]
    assert {frame.frame_id for frame in counts} == {"thermal_camera"}


@pytest.mark.parametrize(("storage", "suffix"), [("mcap", ".mcap"), ("sqlite3", ".db3")])
def test_a_bare_storage_file_is_a_bag(tmp_path, storage, suffix):
    rgb, _thermal = write_bag(tmp_path / "bag", storage)
    (tmp_path / "bag" / f"bag{suffix}").rename(tmp_path / f"alone{suffix}")
    with open_bag(tmp_path / f"alone{suffix}") as bag:
        images = [read_frame(bag, message, "rgb").image for message in bag.messages(["/rgb/image"])]
    np.testing.assert_array_equal(images, rgb)


def test_messages_come_by_receive_time_within_the_range_asked_for(tmp_path):
    write_bag(tmp_path / "bag", frames=6)
    with open_bag(tmp_path / "bag") as bag:
        stamps = [message.stamp_ns for message in bag.messages()]
        assert stamps == sorted(stamps)
        start, stop = START + SECOND // 10, START + 3 * SECOND // 10
        within = [message.stamp_ns for message in bag.messages(start_ns=start, stop_ns=stop)]
    assert within == [stamp for stamp in stamps if start <= stamp < stop]


def test_detections_masks_and_labels_come_back(tmp_path):
    boxes = Detections(
        np.array([[1.5, 2, 30, 40], [5, 6, 7, 9]], np.float32),
        np.array([1.0, 0.25], np.float32),
        np.array([0, 2]),
        NAMES,
    )
    mask = SegmentationMask(np.arange(12, dtype=np.uint8).reshape(3, 4), {0: "background"})
    with BagWriter(tmp_path / "bag") as bag:
        bag.write_detections("/ground_truth/detections", boxes, START, "rgb_camera", ["person 1", "car 4"])
        bag.write_mask("/ground_truth/mask", mask, START, "rgb_camera")
        bag.write_label_info("/ground_truth/label_info", NAMES, START)
    with open_bag(tmp_path / "bag") as bag:
        (message,) = bag.messages(["/ground_truth/detections"])
        assert [detection.id for detection in bag.decode(message).detections] == ["person 1", "car 4"]
        stamp, found = read_detections(bag, message, NAMES)
        assert stamp == START
        np.testing.assert_array_equal(found.xyxy, boxes.xyxy)
        np.testing.assert_array_equal(found.confidence, boxes.confidence)
        np.testing.assert_array_equal(found.class_id, boxes.class_id)
        (message,) = bag.messages(["/ground_truth/mask"])
        np.testing.assert_array_equal(read_frame(bag, message, "thermal").image, mask.class_id)
        assert read_label_info(bag, "/ground_truth/label_info") == NAMES


def test_camera_info_holds_the_pinhole_model(tmp_path):
    camera = CameraIntrinsics.from_field_of_view(320, 240, 90.0)
    with BagWriter(tmp_path / "bag") as bag:
        bag.write_camera_info("/rgb/camera_info", camera, START, "rgb_camera")
    with open_bag(tmp_path / "bag") as bag:
        (message,) = bag.messages()
        info = bag.decode(message)
    # At 90 degrees the focal length is half the width.
    np.testing.assert_allclose(info.k, [160, 0, 159.5, 0, 160, 119.5, 0, 0, 1])
    np.testing.assert_allclose(info.p.reshape(3, 4)[:, :3].reshape(-1), info.k)
    assert (info.width, info.height, info.header.frame_id) == (320, 240, "rgb_camera")


def test_compressed_images_come_back(tmp_path):
    thermal = np.arange(0, 60000, 100, dtype=np.uint16).reshape(20, 30)
    rgb = np.full((16, 24, 3), (30, 120, 200), np.uint8)
    with BagWriter(tmp_path / "bag") as bag:
        bag.write_compressed_image("/thermal/image/compressed", Frame(thermal, START, "t"), "png")
        bag.write_compressed_image("/rgb/image/compressed", Frame(rgb, START, "r"), "jpeg")
    with open_bag(tmp_path / "bag") as bag:
        (message,) = bag.messages(["/thermal/image/compressed"])
        np.testing.assert_array_equal(read_frame(bag, message, "thermal").image, thermal)
        (message,) = bag.messages(["/rgb/image/compressed"])
        expected = cv2.imdecode(cv2.imencode(".jpeg", rgb)[1], cv2.IMREAD_COLOR)
        np.testing.assert_array_equal(read_frame(bag, message, "rgb").image, expected)


def test_raw_messages_can_be_copied_from_bag_to_bag(tmp_path):
    write_bag(tmp_path / "bag")
    with open_bag(tmp_path / "bag") as bag, BagWriter(tmp_path / "copy", "sqlite3") as copy:
        for message in bag.messages():
            copy.write_raw(message.topic, message.msgtype, message.data, message.stamp_ns)
    with open_bag(tmp_path / "bag") as bag, open_bag(tmp_path / "copy") as copy:
        assert list(copy.messages()) == list(bag.messages())


def test_an_existing_folder_is_not_overwritten(tmp_path):
    write_bag(tmp_path / "bag")
    with pytest.raises(InputError, match="exists already"):
        BagWriter(tmp_path / "bag")


def test_an_unknown_storage_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"storage: 'rosbag1' is not supported \(mcap, sqlite3\)"):
        BagWriter(tmp_path / "bag", "rosbag1")


def test_an_error_while_writing_leaves_nothing_behind(tmp_path):
    def record():
        with BagWriter(tmp_path / "bag") as bag:
            bag.write_string("/text", "one", START)
            raise RuntimeError("no more frames")

    with pytest.raises(RuntimeError, match="no more frames"):
        record()
    assert not (tmp_path / "bag").exists()


def test_an_empty_bag_has_no_duration(tmp_path):
    with BagWriter(tmp_path / "bag"):
        pass
    with open_bag(tmp_path / "bag") as bag:
        assert (bag.message_count, bag.start_ns, bag.end_ns, list(bag.messages())) == (0, 0, 0, [])
