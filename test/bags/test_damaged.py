"""Bags that are missing, foreign, cut off or spoilt: a clear refusal, or what can still be read and what was lost."""

from __future__ import annotations

import numpy as np
import pytest

from fusion_ros.bags.decoding import read_frame
from fusion_ros.bags.reader import BagMessage, open_bag
from fusion_ros.bags.writer import BagWriter
from fusion_ros.errors import InputError
from fusion_ros.types import Frame

START = 1_700_000_000_000_000_000
FRAMES = 30
SIDE = 300


@pytest.fixture(params=["mcap", "sqlite3"])
def storage(request):
    return request.param


@pytest.fixture
def bag_path(tmp_path, storage):
    """A bag of several chunks: 30 frames of 90 kB."""
    return write_bag(tmp_path / "bag", storage)


def write_bag(path, storage, compress=False):
    with BagWriter(path, storage, compress) as bag:
        for index in range(FRAMES):
            bag.write_image("/thermal/image", Frame(np.full((SIDE, SIDE), index, np.uint8), START + index * 10**8))
    return path


def storage_file(path):
    return next(file for file in path.iterdir() if file.suffix in (".mcap", ".db3"))


def cut(file, share):
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * share)])


def levels(bag):
    return [int(read_frame(bag, message, "thermal").image[0, 0]) for message in bag.messages(["/thermal/image"])]


@pytest.mark.parametrize("bare", [False, True])
def test_a_cut_off_recording_is_read_as_far_as_it_goes(bag_path, storage, bare):
    file = storage_file(bag_path)
    cut(file, 0.6)
    with open_bag(file if bare else bag_path) as bag:
        found = levels(bag)
        # 60% of the bytes hold 60% of the frames, give or take one at each end; the order is that of the recording.
        assert len(found) == pytest.approx(0.6 * FRAMES, abs=2)
        assert found == list(range(len(found)))
        assert bag.topics["/thermal/image"].message_count == len(found)
        assert bag.end_ns == START + (len(found) - 1) * 10**8
        assert f"{len(found)} messages" in bag.damage


def test_a_cut_off_compressed_recording_keeps_its_whole_chunks(tmp_path):
    path = write_bag(tmp_path / "bag", "mcap", compress=True)
    file = storage_file(path)
    # In the middle of the second chunk of 1 MiB.
    data = file.read_bytes()
    file.write_bytes(data[: data.index(b"zstd", data.index(b"zstd") + 4) + 100])
    with open_bag(path) as bag:
        found = levels(bag)
    assert 0 < len(found) < FRAMES
    assert found == list(range(len(found)))


def test_a_recording_without_metadata_is_whole_all_the_same(bag_path):
    (bag_path / "metadata.yaml").unlink()
    with open_bag(bag_path) as bag:
        assert levels(bag) == list(range(FRAMES))
        assert "metadata.yaml is missing" in bag.damage


def test_metadata_that_is_no_yaml_does_not_hide_the_recording(bag_path):
    (bag_path / "metadata.yaml").write_text("{ not: [yaml")
    with open_bag(bag_path) as bag:
        assert levels(bag) == list(range(FRAMES))
        assert bag.damage


def test_a_spoilt_chunk_ends_the_reading_and_is_reported(tmp_path):
    path = write_bag(tmp_path / "bag", "mcap", compress=True)
    file = storage_file(path)
    data = bytearray(file.read_bytes())
    middle = data.index(b"zstd", len(data) // 3) + 40
    data[middle : middle + 40] = bytes(40)
    file.write_bytes(data)
    with open_bag(path) as bag:
        assert bag.damage is None
        found = levels(bag)
        assert len(found) < FRAMES
        assert f"after {len(found)} of {FRAMES} messages" in bag.damage


def test_nothing_left_to_read_is_an_error(bag_path):
    cut(storage_file(bag_path), 0.001)
    with pytest.raises(InputError, match="nothing in this bag can be read"):
        open_bag(bag_path)


@pytest.mark.parametrize("name", ["noise.mcap", "noise.db3"])
def test_a_file_of_something_else_is_an_error(tmp_path, name):
    (tmp_path / name).write_bytes(b"GIF89a" + bytes(range(256)) * 20)
    with pytest.raises(InputError, match=name):
        open_bag(tmp_path / name)


def test_what_is_not_there_is_an_error(tmp_path):
    with pytest.raises(InputError, match=r"drive: there is no such bag"):
        open_bag(tmp_path / "drive")


def test_a_folder_without_a_recording_is_an_error(tmp_path):
    (tmp_path / "vi").mkdir()
    with pytest.raises(InputError, match="not a readable rosbag2 recording"):
        open_bag(tmp_path)


def test_a_ros1_bag_is_refused_with_the_way_out(tmp_path):
    (tmp_path / "old.bag").write_bytes(b"#ROSBAG V2.0\n")
    with pytest.raises(InputError, match=r"storage '.bag' is not supported .*rosbags-convert"):
        open_bag(tmp_path / "old.bag")


def test_an_unknown_storage_in_metadata_is_refused(tmp_path):
    path = write_bag(tmp_path / "bag", "mcap")
    text = (path / "metadata.yaml").read_text().replace("storage_identifier: mcap", "storage_identifier: tape")
    (path / "metadata.yaml").write_text(text)
    storage_file(path).unlink()
    with pytest.raises(InputError, match="bag: not a readable rosbag2 recording"):
        open_bag(path)


def test_a_missing_topic_lists_those_that_are_there(bag_path):
    with (
        open_bag(bag_path) as bag,
        pytest.raises(InputError, match=r"no topic '/rgb/image' in this bag; it has /thermal/image"),
    ):
        bag.messages(["/rgb/image"])


def test_a_message_that_is_not_of_its_type_is_refused(bag_path):
    with open_bag(bag_path) as bag, pytest.raises(InputError, match="/thermal/image: a message of sensor_msgs"):
        bag.decode(BagMessage("/thermal/image", START, "sensor_msgs/msg/Image", b"\x00\x01\x00\x00\x07"))


def test_a_message_of_an_unknown_type_is_refused(bag_path):
    with open_bag(bag_path) as bag, pytest.raises(InputError, match="type acme_msgs/msg/Radar is not known"):
        bag.decode(BagMessage("/radar", START, "acme_msgs/msg/Radar", b"\x00\x01\x00\x00"))
