"""The recording of the fused images beside the report."""

from __future__ import annotations

import numpy as np
import pytest
from recordings import HEIGHT, PERIOD, START, WIDTH, scene, write_bag
from rosbags.rosbag2 import Reader

from fusion_ros.bags.decoding import read_frame
from fusion_ros.bags.reader import open_bag
from fusion_ros.cli import main
from fusion_ros.evaluation.config import EvaluationConfig
from fusion_ros.evaluation.frames_file import read_frames
from fusion_ros.evaluation.fused_bag import KEYS, PARTS, namespaces
from fusion_ros.evaluation.run import evaluate
from fusion_ros.fusion import load_model

RAW = EvaluationConfig(modes="guided", bag="raw")
IMAGES = "/guided/fusion/image"


def messages(path):
    with open_bag(path) as bag:
        assert bag.damage is None
        return [(m.topic, m.stamp_ns, m.data) for m in bag.messages()]


def test_it_holds_what_the_modes_made_under_the_stamps_of_the_rgb_images(tmp_path, loader):
    summary = evaluate([write_bag(tmp_path / "bag", frames=4)], tmp_path / "out", RAW, loader=loader)
    path = tmp_path / "out" / "fused.mcap"
    assert summary["bags"] == {"fused.mcap": path.stat().st_size}
    assert "fused.mcap" in (tmp_path / "out" / "report.html").read_text()
    with open_bag(path) as bag:
        assert set(bag.topics) == {IMAGES, "/guided/fusion/mode", "/auto/fusion/image", "/auto/fusion/mode", KEYS}
        frames = [read_frame(bag, message, "rgb") for message in bag.messages([IMAGES])]
        modes = [bag.decode(message).data for message in bag.messages(["/guided/fusion/mode"])]
    assert [frame.stamp_ns for frame in frames] == [START + index * PERIOD for index in range(4)]
    assert modes == ["guided"]
    guided = load_model("guided")
    for index, frame in enumerate(frames):
        np.testing.assert_array_equal(frame.image, guided.fuse(*scene(index)))
    # The library that RViz's and Foxglove's users have reads it too, with a whole index.
    with Reader(path) as reader:
        assert reader.message_count == 14
        assert {c.topic: c.msgcount for c in reader.connections}[IMAGES] == 4


def test_compressed_images_are_the_default_and_small(pairs_folder, tmp_path, loader):
    evaluate([pairs_folder], tmp_path / "out", EvaluationConfig(modes="guided"), loader=loader)
    with open_bag(tmp_path / "out" / "fused.mcap") as bag:
        frames = [read_frame(bag, m, "rgb") for m in bag.messages([f"{IMAGES}/compressed"])]
    # Still pictures count as one a second.
    assert [frame.stamp_ns for frame in frames] == [index * 1_000_000_000 for index in range(4)]
    assert frames[0].image.shape == (HEIGHT, WIDTH, 3)
    exact = load_model("guided").fuse(*scene(0)).astype(int)
    assert np.abs(frames[0].image.astype(int) - exact).mean() < 5


@pytest.mark.parametrize("cut", [0, 5000])
def test_an_interrupted_run_ends_with_the_same_recording(tmp_path, loader, cut):
    bag = write_bag(tmp_path / "bag", raw_counts=True)
    evaluate([bag], tmp_path / "whole", RAW, loader=loader)

    def interrupt(done, total):
        if done == 5:
            raise KeyboardInterrupt

    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        evaluate([bag], out, RAW, loader=loader, progress=interrupt)
    if cut:
        # As after a loss of power: the rows are there, the recording has no end.
        (file,) = (out / PARTS).rglob("*.mcap")
        file.write_bytes(file.read_bytes()[:-cut])
        (file.parent / "metadata.yaml").unlink()
    evaluate([bag], out, RAW, loader=loader, resume=True)
    assert not (out / PARTS).exists()
    whole = [message for message in messages(tmp_path / "whole" / "fused.mcap") if not message[0].endswith("mode")]
    assert [message for message in messages(out / "fused.mcap") if not message[0].endswith("mode")] == whole
    assert len(read_frames(out / "frames.csv").frames) == 8


def test_several_recordings_have_one_each(tmp_path, loader):
    bags = [write_bag(tmp_path / name, frames=2) for name in ("city", "road")]
    summary = evaluate(bags, tmp_path / "out", RAW, loader=loader)
    assert list(summary["bags"]) == ["fused_city.mcap", "fused_road.mcap"]
    assert len(messages(tmp_path / "out" / "fused_road.mcap")) == 2 * 3 + 2


def test_it_can_be_left_out_and_an_old_one_does_not_stay(pairs_folder, tmp_path, capsys):
    words = ["evaluate", str(pairs_folder), "--out", str(tmp_path / "out"), "--modes", "guided", "--stride", "4"]
    assert main(words) == 0
    assert (tmp_path / "out" / "fused.mcap").exists()
    assert main([*words, "--no-bag"]) == 0
    assert not (tmp_path / "out" / "fused.mcap").exists()


def test_labels_with_paths_become_topics_of_their_own():
    assert namespaces(["caf=runs/a.onnx", "caf=runs_a.onnx", "auto"]) == {
        "caf=runs/a.onnx": "/caf_runs_a_onnx",
        "caf=runs_a.onnx": "/caf_runs_a_onnx_",
        "auto": "/auto",
    }
