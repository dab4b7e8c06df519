"""Bags that are missing, foreign, cut off or spoilt: a clear refusal, or what can still be read and what was lost."""

from __future__ import annotations

import struct

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


def overwrite(file, place, content):
    data = bytearray(file.read_bytes())
    data[place : place + len(content)] = content
    file.write_bytes(data)


def chunk_places(file):
    """Where the chunks of an .mcap begin, from its index, which the format has at the end of the file."""
    data = file.read_bytes()
    (summary,) = struct.unpack_from("<Q", data, len(data) - 8 - 20)
    places = []
    while data[summary] != 0x02:
        kind, size = struct.unpack_from("<BQ", data, summary)
        if kind == 0x08:
            # A chunk's index: its first and last time, then where it is.
            places.append(struct.unpack_from("<Q", data, summary + 9 + 16)[0])
        summary += 9 + size
    return places


def spoil_content(file, places):
    # What a zstd frame begins with, behind the headers of the record and of the chunk.
    overwrite(file, places[1] + 9 + 28 + 4 + 4 + 8, bytes(8))


def spoil_message(file, places):
    # The number of the channel in the chunk's first message, which noise leaves uncompressed.
    overwrite(file, file.read_bytes().index(b"\x05", places[1] + 9 + 28 + 4 + 4 + 8 + 4) + 9, b"\x63")


def spoil_kind(file, places):
    overwrite(file, places[1], b"\x77")


def spoil_length(file, places):
    overwrite(file, places[1] + 1, b"\xff" * 8)


def spoil_length_plausibly(file, places):
    # Ends in the middle of the next chunk but one.
    overwrite(file, places[1] + 1, struct.pack("<Q", places[3] + 50 - places[1]))


@pytest.fixture
def many_chunks(tmp_path):
    """A recording of four chunks and more: 120 frames of noise, which does not get smaller by compression."""
    noise = np.random.default_rng(0)
    with BagWriter(tmp_path / "noise", "mcap", compress=True) as bag:
        for index in range(120):
            image = noise.integers(0, 256, (SIDE, SIDE), np.uint8)
            image[0, 0] = index
            bag.write_image("/thermal/image", Frame(image, START + index * 10**8))
    file = storage_file(tmp_path / "noise")
    places = chunk_places(file)
    assert len(places) > 4
    return file, places


def test_what_lies_behind_a_spoilt_chunk_is_read(many_chunks):
    file, places = many_chunks
    spoil_content(file, places)
    with open_bag(file) as bag:
        found = levels(bag)
        missing = sorted(set(range(120)) - set(found))
        # Chunk 1 and nothing else: its share of the file, give or take one at each end.
        assert found == sorted(set(found))
        assert missing == list(range(missing[0], missing[-1] + 1))
        assert len(missing) == pytest.approx(120 * (places[2] - places[1]) / file.stat().st_size, abs=2)
        assert missing[-1] < 60
        assert bag.unread == len(missing)
        assert f"after {missing[0]} messages" in bag.damage
        assert f"{119 - missing[-1]} behind that can be read, {len(missing)} of 120 messages are lost" in bag.damage
        # A second pass is the same again and says nothing twice.
        damage = bag.damage
        assert levels(bag) == found
        assert (bag.damage, bag.unread) == (damage, len(missing))


@pytest.mark.parametrize("spoil", [spoil_kind, spoil_length, spoil_length_plausibly])
def test_an_index_leads_past_spoilt_record_headers(many_chunks, spoil):
    file, places = many_chunks
    spoil(file, places)
    with open_bag(file) as bag:
        assert levels(bag) == list(range(120))
        assert (bag.damage, bag.unread) == (None, 0)


@pytest.mark.parametrize("spoil", [spoil_content, spoil_kind, spoil_length, spoil_length_plausibly])
def test_without_an_index_reading_goes_on_at_the_next_chunk(many_chunks, spoil):
    file, places = many_chunks
    spoil(file, places)
    overwrite(file, file.stat().st_size - 8, b"no magic")
    with open_bag(file) as bag:
        found = levels(bag)
        missing = sorted(set(range(120)) - set(found))
        # Chunk 1, which begins with its own header; where the header led into chunk 3, what lies before that, too.
        chunks = 2 if spoil is spoil_length_plausibly else 1
        assert found == sorted(set(found))
        assert 0 < len(missing) <= chunks * 120 * (places[2] - places[1]) / file.stat().st_size + 2
        assert missing[-1] < 60
        assert f"{len(found)} messages" in bag.damage


def test_a_message_that_the_index_promises_and_that_is_not_there_is_missed(many_chunks):
    file, places = many_chunks
    spoil_message(file, places)
    with open_bag(file) as bag:
        assert len(levels(bag)) == 119
        assert bag.unread == 1
        assert "1 of 120 messages are not where the index says" in bag.damage


def test_messages_of_one_moment_are_neither_lost_nor_doubled_at_the_damage(tmp_path):
    noise = np.random.default_rng(1)
    with BagWriter(tmp_path / "bag", "mcap", compress=True) as bag:
        for index in range(60):
            image = noise.integers(0, 256, (SIDE, SIDE), np.uint8)
            for topic in ("/rgb/image", "/thermal/image"):
                image[0, 0] = index
                bag.write_image(topic, Frame(image, START + index // 3 * 10**8), START + index // 3 * 10**8)
    file = storage_file(tmp_path / "bag")
    spoil_content(file, chunk_places(file))
    with open_bag(file) as bag:
        found = [(message.topic, message.stamp_ns, message.data[-1000:]) for message in bag.messages()]
        assert len(found) == len(set(found)) == 120 - bag.unread
        assert 0 < bag.unread < 60


def test_rows_behind_a_spoilt_page_are_read(tmp_path):
    file = storage_file(write_bag(tmp_path / "bag", "sqlite3"))
    # Frames take 23 pages of 4 KiB each; the links between some pages in the middle go nowhere.
    size = file.stat().st_size // 4096 * 4096
    for place in range(size // 2 // 4096 * 4096, size // 2 + 4 * 4096, 4096):
        overwrite(file, place, b"\xff" * 4096)
    with open_bag(file) as bag:
        found = levels(bag)
        missing = sorted(set(range(FRAMES)) - set(found))
        assert found == sorted(set(found))
        assert 0 < len(missing) < 5
        assert missing[-1] < FRAMES - 5
        assert bag.unread == len(missing)


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
