"""Folders of pairs: matching by name, what comes out, and the bag that is made of it."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from fusion_ros.bags.decoding import read_detections, read_frame, read_label_info
from fusion_ros.bags.pairs_folder import find_pairs, read_pairs
from fusion_ros.bags.reader import open_bag
from fusion_ros.bags.recording import PairsBagConfig, make_bag
from fusion_ros.errors import InputError

SECOND = 1_000_000_000


@pytest.fixture
def folder(tmp_path):
    """Three pairs of one size; the RGB pictures are twice as large, the thermal ones have 16 bit."""
    path = tmp_path / "pairs"
    for name in ("vi", "ir"):
        (path / name).mkdir(parents=True)
    for index, name in enumerate(("c", "a", "b")):
        rgb = np.full((40, 60, 3), (10 * index, 50, 200), np.uint8)
        cv2.imwrite(str(path / "vi" / f"{name}.png"), rgb)
        cv2.imwrite(str(path / "ir" / f"{name}.tif"), np.full((20, 30), 30000 + index, np.uint16))
    return path


def write_labels(folder, names=("a", "b", "c")):
    images = [
        {"id": index, "file_name": f"{name}.png", "width": 30, "height": 20, "labelled": name != "c"}
        for index, name in enumerate(names)
    ]
    annotations = [
        {"id": 1, "image_id": 0, "category_id": 3, "bbox": [3, 4, 10, 5]},
        {"id": 2, "image_id": 2, "category_id": 1, "bbox": [0, 0, 1, 1]},
    ]
    categories = [{"id": 1, "name": "person"}, {"id": 3, "name": "car"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "labels.coco.json").write_text(json.dumps(content))


def write_clip(path, levels, shape=(48, 64), rate=25):
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.height, stream.width = shape
        stream.pix_fmt = "yuv420p"
        for level in levels:
            frame = av.VideoFrame.from_ndarray(np.full((*shape, 3), level, np.uint8), format="bgr24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def test_pairs_come_by_name_with_all_their_bits_and_sizes(folder):
    pairs = list(read_pairs(folder))
    assert [pair.name for pair in pairs] == ["a", "b", "c"]
    assert [int(pair.thermal[0, 0]) for pair in pairs] == [30001, 30002, 30000]
    assert {(pair.rgb.shape, pair.thermal.shape) for pair in pairs} == {((40, 60, 3), (20, 30))}
    np.testing.assert_array_equal(pairs[0].rgb[0, 0], [10, 50, 200])


def test_frames_limits_the_number_of_pairs(folder):
    assert [pair.name for pair in read_pairs(folder, frames=2)] == ["a", "b"]


def test_names_without_a_partner_are_listed(folder):
    (folder / "ir" / "b.tif").unlink()
    with pytest.raises(InputError, match=r"1 names are in only one of vi/ and ir/ \(b\)"):
        find_pairs(folder)


def test_a_missing_or_empty_folder_is_refused(folder, tmp_path):
    with pytest.raises(InputError, match="there is no such folder"):
        find_pairs(tmp_path / "nothing")
    (tmp_path / "half" / "vi").mkdir(parents=True)
    with pytest.raises(InputError, match="no pictures or clips"):
        find_pairs(tmp_path / "half")


def test_a_file_that_is_no_picture_is_refused(folder):
    (folder / "vi" / "a.png").write_bytes(b"not a picture")
    with pytest.raises(InputError, match=r"a\.png: not a picture"):
        list(read_pairs(folder))


def test_labels_of_another_set_are_refused(folder):
    write_labels(folder, names=("x", "y", "z"))
    with pytest.raises(InputError, match="labels of another set"):
        find_pairs(folder)


def test_labels_that_are_no_labels_are_refused(folder):
    (folder / "labels.coco.json").write_text('{"images": []}')
    with pytest.raises(InputError, match="not COCO labels"):
        find_pairs(folder)


def test_clips_give_a_pair_for_every_frame_both_have(tmp_path):
    for name in ("vi", "ir"):
        (tmp_path / name).mkdir()
    write_clip(tmp_path / "vi" / "clip.mp4", [40, 80, 120, 160])
    write_clip(tmp_path / "ir" / "clip.mp4", [200, 100, 50])
    pairs = list(read_pairs(tmp_path))
    assert [pair.name for pair in pairs] == ["clip_00000", "clip_00001", "clip_00002"]
    # Lossy, and video levels run from 16 to 235.
    np.testing.assert_allclose([pair.rgb.mean() for pair in pairs], [40, 80, 120], atol=6)
    assert [pair.thermal.ndim for pair in pairs] == [2, 2, 2]
    assert [pair.seconds for pair in pairs] == pytest.approx([0.0, 0.04, 0.08])


def test_a_clip_beside_a_picture_is_refused(tmp_path):
    for name in ("vi", "ir"):
        (tmp_path / name).mkdir()
    write_clip(tmp_path / "vi" / "clip.mp4", [40])
    cv2.imwrite(str(tmp_path / "ir" / "clip.png"), np.zeros((8, 8), np.uint8))
    with pytest.raises(InputError, match="clip is a clip in one folder and a picture in the other"):
        find_pairs(tmp_path)


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_the_bag_holds_the_pairs_at_the_rate_asked_for(folder, tmp_path, storage):
    summary = make_bag(folder, tmp_path / "bag", PairsBagConfig(storage=storage, rate=4.0))
    assert (summary.pairs, summary.duration, summary.boxes) == (3, 0.5, 0)
    with open_bag(tmp_path / "bag") as bag:
        rgb = [read_frame(bag, message, "rgb") for message in bag.messages(["/rgb/image"])]
        thermal = [read_frame(bag, message, "thermal") for message in bag.messages(["/thermal/image"])]
        (info, *_) = (bag.decode(message) for message in bag.messages(["/thermal/camera_info"]))
    stamps = [frame.stamp_ns for frame in rgb]
    assert [stamp - stamps[0] for stamp in stamps] == [0, SECOND // 4, SECOND // 2]
    assert stamps == [frame.stamp_ns for frame in thermal]
    assert [int(frame.image[0, 0]) for frame in thermal] == [30001, 30002, 30000]
    assert (info.width, info.height) == (30, 20)


def test_labels_become_ground_truth_in_pixels_of_the_rgb_image(folder, tmp_path):
    write_labels(folder)
    summary = make_bag(folder, tmp_path / "bag", PairsBagConfig(width=120))
    assert summary.boxes == 1
    with open_bag(tmp_path / "bag") as bag:
        names = read_label_info(bag, "/ground_truth/detections/label_info")
        truth = [read_detections(bag, message, names)[1] for message in bag.messages(["/ground_truth/detections"])]
        (frame, *_) = (read_frame(bag, message, "rgb") for message in bag.messages(["/rgb/image"]))
    assert frame.image.shape == (80, 120, 3)
    # The third pair has no labels, the second is labelled and has nothing in it. 120 is four times the thermal width.
    assert [len(boxes) for boxes in truth] == [1, 0]
    np.testing.assert_allclose(truth[0].xyxy, [[12, 16, 52, 36]])
    assert names[int(truth[0].class_id[0])] == "car"


def test_two_clips_follow_one_another(tmp_path):
    for name in ("vi", "ir"):
        (tmp_path / "clips" / name).mkdir(parents=True)
        for clip in ("one", "two"):
            write_clip(tmp_path / "clips" / name / f"{clip}.mp4", [40, 80, 120])
    make_bag(tmp_path / "clips", tmp_path / "bag", PairsBagConfig(rate=10.0))
    with open_bag(tmp_path / "bag") as bag:
        stamps = [read_frame(bag, message, "rgb").stamp_ns for message in bag.messages(["/rgb/image"])]
    # 25 frames a second within a clip, one period of the rate between the clips.
    assert np.diff(stamps).tolist() == [40_000_000, 40_000_000, 100_000_000, 40_000_000, 40_000_000]


def test_real_road_pairs_make_a_bag(shared_data, tmp_path):
    summary = make_bag(shared_data / "data" / "roadscene", tmp_path / "bag", PairsBagConfig(frames=3, width=320))
    assert summary.pairs == 3
    assert summary.counts["/rgb/image"] == summary.counts["/thermal/image"] == 3
