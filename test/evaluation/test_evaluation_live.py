"""Evaluation through the running nodes: scored as without them, with what only they can tell."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from recordings import PERIOD, START, scene, write_bag

from fusion_ros.bags.decoding import read_frame
from fusion_ros.bags.reader import open_bag
from fusion_ros.cli import main
from fusion_ros.errors import InputError, JobError
from fusion_ros.evaluation.config import EvaluationConfig
from fusion_ros.evaluation.frames_file import read_frames
from fusion_ros.evaluation.run import evaluate
from fusion_ros.evaluation.scores import SCORES, TIME

pytest.importorskip("rclpy", reason="rclpy is not installed")

from fusion_ros.evaluation import engine_live
from fusion_ros.evaluation.camera_stamps import CameraStamps
from fusion_ros.evaluation.live_config import LiveConfig
from fusion_ros.evaluation.live_images import FUSED, LiveImages
from fusion_ros.evaluation.live_record import LiveFrame, LiveRecord
from fusion_ros.pipeline import FusionPipeline, PipelineConfig
from fusion_ros.types import FramePair

GUIDED = EvaluationConfig(modes="guided", bag="none")
# Of a row without nodes, all but the time; a live one has its own times.
COMPARED = [SCORES.index(name) for name in SCORES if name not in (TIME, "latency_ms", "processing_ms")]


class StandIn:
    """What the nodes would do with a recording, without DDS: drop some pairs, pass one camera on, fuse the rest."""

    def __init__(self, loader, dropped=(), alone=(), spoil=False, lost=0):
        self.loader, self.dropped, self.alone, self.spoil, self.lost = loader, dropped, alone, spoil, lost
        self.calls = 0

    def __call__(self, task, folder, progress):
        self.calls += 1
        pipeline = FusionPipeline(PipelineConfig(mode=task.spec.mode), self.loader)
        pipeline.load()
        with open_bag(task.path) as bag:
            rgb = [read_frame(bag, message, "rgb") for message in bag.messages(["/rgb/image"])]
            thermal = [read_frame(bag, message, "thermal") for message in bag.messages(["/thermal/image"])]
        frames = []
        with LiveImages(folder / "images") as images:
            for index, (first, second) in enumerate(zip(rgb, thermal, strict=True)):
                if index in self.dropped:
                    continue
                alone = "rgb" if index in self.alone else ""
                fused = pipeline.process_single(first, "rgb") if alone else pipeline.process(FramePair(first, second))
                image = 255 - fused.image if self.spoil and index == 1 else fused.image
                images.keep("fused", first.stamp_ns, image)
                partner = None if alone else second.stamp_ns
                frames.append(LiveFrame(first.stamp_ns, partner, alone, fused.mode, 40.0 + index, 20.0))
                progress(index, None)
        dropped = {"fusion": {"superseded": len(self.dropped)}}
        return LiveRecord(
            task.spec.label, frames, {"rgb": len(rgb) - self.lost}, dropped, recording_s=0.8, player="stand-in"
        )


@pytest.fixture
def nodes(monkeypatch, loader):
    def use(**arguments):
        stand_in = StandIn(loader, **arguments)
        monkeypatch.setattr(engine_live.LiveEngine.__init__, "__defaults__", (stand_in,))
        return stand_in

    return use


def rows_of(table, mode, keys):
    index = {frame.key: position for position, frame in enumerate(table.frames)}
    return table.values[mode][[index[key] for key in keys]][:, COMPARED]


def test_without_a_dropped_pair_live_and_offline_are_the_same_to_the_last_digit(tmp_path, loader, nodes):
    bag = write_bag(tmp_path / "bag", raw_counts=True)
    nodes()
    live = evaluate([bag], tmp_path / "live", GUIDED, live=LiveConfig(), loader=loader)
    evaluate([bag], tmp_path / "offline", GUIDED, loader=loader)
    found, expected = (read_frames(tmp_path / name / "frames.csv") for name in ("live", "offline"))
    assert found.frames == expected.frames
    for mode in ("guided", "rgb", "thermal", "average"):
        np.testing.assert_array_equal(found.values[mode][:, COMPARED], expected.values[mode][:, COMPARED])
    assert live["live"]["guided"]["agreement"] == {
        "frames": 8,
        "identical": 8,
        "largest_difference": 0,
        "other_mode": 0,
    }
    assert found.column("guided", "latency_ms").tolist() == [40.0 + index for index in range(8)]
    assert live["live"]["guided"]["latency_ms"]["median"] == pytest.approx(43.5)
    assert "Through the running nodes" in (tmp_path / "live" / "report.html").read_text()


def test_after_a_dropped_pair_the_same_pairs_still_give_the_same_images(tmp_path, loader, nodes):
    """Gain control has seen other pairs than offline: equal up to the drop, and reproduced from the list of pairs."""
    bag = write_bag(tmp_path / "bag", raw_counts=True)
    nodes(dropped=(3,), alone=(5,))
    live = evaluate([bag], tmp_path / "live", GUIDED, live=LiveConfig(), loader=loader)["live"]["guided"]
    evaluate([bag], tmp_path / "offline", GUIDED, loader=loader)
    found, expected = (read_frames(tmp_path / name / "frames.csv") for name in ("live", "offline"))
    keys = [str(START + index * PERIOD) for index in range(8)]
    assert [frame.key for frame in found.frames] == [keys[index] for index in (0, 1, 2, 4, 6, 7)]
    np.testing.assert_array_equal(rows_of(found, "guided", keys[:3]), rows_of(expected, "guided", keys[:3]))
    # The test would prove nothing if gain control had no memory here.
    assert (rows_of(found, "guided", keys[4:5]) != rows_of(expected, "guided", keys[4:5])).any()
    assert live["agreement"]["identical"] == live["agreement"]["frames"] == 6
    assert (live["pairs"], live["fused"], live["alone"]) == (8, 6, 1)
    assert live["dropped"] == {"fusion": {"superseded": 1}}


def test_an_image_that_never_reached_the_node_is_told(tmp_path, nodes, capsys):
    bag = write_bag(tmp_path / "bag")
    nodes(lost=1, dropped=(0,))
    words = ["evaluate", str(bag), "--live", "--modes", "guided", "--no-bag", "--out"]
    assert main([*words, str(tmp_path / "whole")]) == 0
    assert "rgb never reached the node: 1" in capsys.readouterr().out
    live = json.loads((tmp_path / "whole" / "summary.json").read_text())["live"]["guided"]
    assert live["lost_before"] == {"rgb": 1}
    assert (live["pairs"], live["fused"]) == (8, 7)
    assert "rgb: never arrived" in (tmp_path / "whole" / "report.html").read_text()
    # Of a part, the counters do not say what was lost; pairs are counted within it.
    assert main([*words, str(tmp_path / "part"), "--start", "0.2", "--end", "0.6"]) == 0
    assert "never reached" not in capsys.readouterr().out
    live = json.loads((tmp_path / "part" / "summary.json").read_text())["live"]["guided"]
    assert live["lost_before"] == {}
    assert (live["pairs"], live["fused"], live["alone"]) == (4, 4, 0)
    assert "never arrived" not in (tmp_path / "part" / "report.html").read_text()


def test_an_image_that_is_not_what_its_pair_gives_is_told(tmp_path, loader, nodes):
    nodes(spoil=True)
    live = evaluate([write_bag(tmp_path / "bag")], tmp_path / "out", GUIDED, live=LiveConfig(), loader=loader)
    assert live["live"]["guided"]["agreement"]["identical"] == 7
    assert live["live"]["guided"]["agreement"]["largest_difference"] > 100
    assert "7 of 8 published images" in (tmp_path / "out" / "report.html").read_text()


def test_auto_is_what_is_replayed_unless_modes_are_named(tmp_path, loader, nodes):
    nodes()
    config = EvaluationConfig(bag="none")
    summary = evaluate([write_bag(tmp_path / "bag")], tmp_path / "out", config, live=LiveConfig(), loader=loader)
    assert list(summary["live"]) == ["auto"]
    table = read_frames(tmp_path / "out" / "frames.csv")
    assert table.modes == ["auto", "rgb", "thermal", "average"]
    changes = [(a, b) for a, b in zip(table.used["auto"], table.used["auto"][1:], strict=False) if a != b]
    assert [(one["from"], one["to"]) for one in summary["live"]["auto"]["switches"]] == changes


def test_an_interrupted_live_run_replays_nothing_twice(tmp_path, loader, nodes):
    bag = write_bag(tmp_path / "bag", raw_counts=True)
    config = EvaluationConfig(modes="guided,auto", bag="raw")
    nodes()
    evaluate([bag], tmp_path / "whole", config, live=LiveConfig(), loader=loader)
    stand_in = nodes()

    def interrupt(done, total):
        # The first mode is replayed and scored, the second is replayed.
        if done == 26:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate([bag], tmp_path / "parts", config, live=LiveConfig(), loader=loader, progress=interrupt)
    assert stand_in.calls == 2
    evaluate([bag], tmp_path / "parts", config, live=LiveConfig(), loader=loader, resume=True)
    assert stand_in.calls == 2
    whole, parts = (read_frames(tmp_path / name / "frames.csv") for name in ("whole", "parts"))
    assert whole.frames == parts.frames
    for mode in whole.modes:
        np.testing.assert_array_equal(whole.values[mode][:, COMPARED], parts.values[mode][:, COMPARED])
    bags = sorted(path.name for path in (tmp_path / "parts").glob("*.mcap"))
    assert bags == ["fused_0_guided.mcap", "fused_1_auto.mcap"]
    for name in bags:
        contents = []
        for folder in ("whole", "parts"):
            with open_bag(tmp_path / folder / name) as recording:
                contents.append([(m.topic, m.data) for m in recording.messages()])
        assert contents[0] == contents[1]


def test_frames_that_one_replay_lacks_are_left_out_of_all(tmp_path, loader, nodes):
    stand_in = nodes()
    dropped = {"guided": (2,), "auto": (5, 6)}
    original = StandIn.__call__

    def drop_by_mode(self, task, folder, progress):
        self.dropped = dropped[task.spec.label]
        return original(self, task, folder, progress)

    StandIn.__call__ = drop_by_mode
    try:
        config = EvaluationConfig(modes="guided,auto", bag="none")
        summary = evaluate([write_bag(tmp_path / "bag")], tmp_path / "out", config, live=LiveConfig(), loader=loader)
    finally:
        StandIn.__call__ = original
    assert stand_in.calls == 2
    assert summary["frames"] == 5
    assert "3 frames were not delivered in every mode" in summary["unusable"][0]


def test_live_refuses_what_it_cannot_replay(pairs_folder, tmp_path, capsys, monkeypatch):
    bag = write_bag(tmp_path / "bag", frames=3)
    monkeypatch.setenv("PATH", "/nowhere")
    out = ["--out", str(tmp_path / "out"), "--modes", "guided", "--live"]
    cases = {
        "fusion-ros bag make": [str(pairs_folder), *out],
        "replays one recording, not 2": [str(bag), str(bag), *out],
        "`ros2` is not on the path": [str(bag), *out, "--live-player", "ros2"],
        "needs a mode that the nodes can run": [str(bag), *out[:-3], "--modes", "rgb", "--live"],
        "does not go with it": [str(bag), *out, "--engine", "ray"],
        "live_rate": [str(bag), *out, "--live-rate", "-1"],
    }
    for expected, words in cases.items():
        assert main(["evaluate", *words]) == 2, expected
        error = capsys.readouterr().err.strip()
        assert expected in error
        assert error.count("\n") == 0


def test_a_jump_is_a_gap_of_both_cameras():
    second = 1_000_000_000
    stamps = CameraStamps([0, second, 9 * second], [0, second, 5 * second, 9 * second])
    assert not stamps.jumped(0, second)
    assert not stamps.jumped(second, 9 * second)  # the thermal camera went on
    assert CameraStamps([0, 9 * second], [0, 9 * second]).jumped(0, 9 * second)
    assert stamps.jumped(9 * second, 0)
    assert stamps.nearest_thermal(5 * second - 7) == 5 * second


def test_images_are_read_back_as_they_came(tmp_path):
    first, second = scene(0)[0], scene(1)[0]
    with LiveImages(tmp_path / "images") as images:
        # In the order of arrival, not of the stamps.
        images.keep("fused", 2000, second)
        images.keep("fused", 1000, first)
    found = list(engine_live_images(tmp_path / "images"))
    assert [stamp for stamp, _ in found] == [2000, 1000]
    np.testing.assert_array_equal(found[1][1], first)


def test_a_disk_that_is_full_ends_the_replay_with_a_reason(tmp_path):
    (tmp_path / "images").mkdir()
    images = LiveImages(tmp_path / "images").__enter__()
    for stamp in range(100):
        # More than the queue holds: the subscriber goes on.
        images.keep("fused", stamp, scene(0)[0])
    with pytest.raises(JobError, match="images: cannot be written"):
        images.__exit__(None, None, None)


def engine_live_images(folder):
    from fusion_ros.evaluation.live_images import read_images

    return read_images(folder, FUSED)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("player", ["player_node", "ros2"])
def test_the_real_nodes_publish_what_the_same_pairs_give(tmp_path, monkeypatch, player):
    """Over DDS, with processes of their own. `ros2 bag play` is stood in for by our player under its options."""
    bag = write_bag(tmp_path / "bag", frames=10, raw_counts=True)
    monkeypatch.setenv("ROS_DOMAIN_ID", "")
    words = ["evaluate", str(bag), "--live", "--modes", "guided", "--out", str(tmp_path / "live"), "--no-bag"]
    if player == "ros2":
        write_ros2(tmp_path / "bin", tmp_path / "asked.json")
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
        words += ["--live-player", "ros2", "--live-rate", "0.25"]
    assert main(words) == 0
    evaluate([bag], tmp_path / "offline", GUIDED)
    live = json.loads((tmp_path / "live" / "summary.json").read_text())["live"]["guided"]
    assert live["fused"] >= 5
    assert live["agreement"]["identical"] == live["agreement"]["frames"] == live["fused"]
    assert live["latency_ms"]["median"] > 0
    found, expected = (read_frames(tmp_path / name / "frames.csv") for name in ("live", "offline"))
    # Up to the first pair that was lost, if any was, the history is the same, and so is every digit.
    keys = [frame.key for frame in expected.frames]
    same = 0
    while same < len(found.frames) and found.frames[same].key == keys[same]:
        same += 1
    # DDS may lose the very first image; agreement, above, holds all the same.
    assert same > 0 or live["fused"] < live["pairs"]
    for mode in ("guided", "thermal", "average"):
        np.testing.assert_array_equal(
            rows_of(found, mode, keys[:same]), rows_of(expected, mode, keys[:same]), err_msg=mode
        )
    if player == "ros2":
        asked = json.loads((tmp_path / "asked.json").read_text())
        assert asked[:3] == ["bag", "play", str(bag)]
        assert {"--clock", "--rate", "--topics", "--qos-profile-overrides-path"} <= set(asked)
    with (tmp_path / "live" / "frames.csv").open() as file:
        assert all(row["latency_ms"] for row in csv.DictReader(file) if row["mode"] == "guided")


def write_ros2(folder, asked):
    """A `ros2` that plays with our player what `ros2 bag play` is asked to play."""
    import sys

    folder.mkdir()
    script = folder / "ros2"
    script.write_text(
        f"""#!{sys.executable}
import json, os, pathlib, sys, time
words = sys.argv[1:]
pathlib.Path({str(asked)!r}).write_text(json.dumps(words))
time.sleep(float(words[words.index("--delay") + 1]))
rate = float(words[words.index("--rate") + 1])
os.execv(sys.executable, [sys.executable, "-m", "fusion_ros.ros.start", "player_node", "--ros-args", "-r",
    "__node:=player", "-p", f"bag:={{words[2]}}", "-p", f"rate:={{rate}}"])
"""
    )
    script.chmod(0o755)
    return script


def test_a_missing_ros_is_one_line(tmp_path, monkeypatch):
    bag = write_bag(tmp_path / "bag", frames=3)
    monkeypatch.setitem(__import__("sys").modules, "fusion_ros.evaluation.engine_live", None)
    with pytest.raises(InputError, match="ROS 2"):
        evaluate([bag], tmp_path / "out", GUIDED, live=LiveConfig())
