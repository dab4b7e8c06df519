"""An evaluation from the recording to the files it leaves."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import av
import cv2
import numpy as np
import pytest
from recordings import PERIOD, START, scene, write_bag

from fusion_ros.bags.writer import BagWriter
from fusion_ros.cli import main
from fusion_ros.errors import InputError
from fusion_ros.evaluation.config import EvaluationConfig
from fusion_ros.evaluation.frames_file import read_frames
from fusion_ros.evaluation.run import evaluate
from fusion_ros.evaluation.scores import TIME
from fusion_ros.fusion import load_model
from fusion_ros.metrics import METRICS, fusion_metrics, gradient_retention, masked_fusion_metrics, overexposure_mask
from fusion_ros.types import Frame

GUIDED = EvaluationConfig(modes="guided")


def rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def without_times(path):
    return [{name: value for name, value in row.items() if name != TIME} for row in rows(path)]


def test_scores_are_those_of_the_metrics_on_the_same_images(pairs_folder, tmp_path, loader):
    evaluate([pairs_folder], tmp_path / "out", GUIDED, loader=loader)
    table = read_frames(tmp_path / "out" / "frames.csv")
    assert table.modes == ["guided", "auto", "rgb", "thermal", "average"]
    assert [frame.key for frame in table.frames] == ["00", "01", "02", "03"]
    guided = load_model("guided")
    for index in range(4):
        rgb, thermal = scene(index)
        visible = cv2.cvtColor(rgb, cv2.COLOR_BGR2GRAY)
        fused = cv2.cvtColor(guided.fuse(rgb, thermal), cv2.COLOR_BGR2GRAY)
        for name, value in fusion_metrics(visible, thermal, fused).items():
            assert table.column("guided", name)[index] == pytest.approx(value, rel=1e-12), name
        mask = overexposure_mask(visible)
        if not mask.any():
            assert np.isnan(table.column("guided", "VIF_in")[index])
            continue
        inside = masked_fusion_metrics(visible, thermal, fused, mask)
        outside = masked_fusion_metrics(visible, thermal, fused, ~mask)
        assert table.column("guided", "SSIM_in")[index] == pytest.approx(inside["SSIM"], rel=1e-12)
        assert table.column("guided", "Qabf_out")[index] == pytest.approx(outside["Qabf"], rel=1e-12)
        kept = gradient_retention(thermal, fused, mask)
        assert table.column("guided", "retention_ratio")[index] == pytest.approx(kept.magnitude_ratio, rel=1e-12)
    # Pictures have no course in time.
    assert np.isnan(table.column("guided", "flicker")).all()


def test_summary_holds_the_means_and_the_files_are_there(pairs_folder, tmp_path, loader):
    out = tmp_path / "out"
    summary = evaluate([pairs_folder], out, EvaluationConfig(modes="guided", profile="tang2023"), loader=loader)
    table = read_frames(out / "frames.csv")
    assert summary["frames"] == 4
    for mode in table.modes:
        for name in METRICS:
            assert summary["modes"][mode]["mean"][name] == pytest.approx(table.column(mode, name).mean(), rel=1e-12)
    # A copy of the RGB image has no errors to RGB, and textbook PSNR plus 20 log10(255) in this profile.
    assert summary["modes"]["rgb"]["mean"]["PSNR"] > 48.13
    assert json.loads((out / "summary.json").read_text()) == json.loads(json.dumps(summary))
    assert "tang2023" in (out / "table.md").read_text()
    assert r"\toprule" in (out / "table.tex").read_text()
    assert sum(summary["conditions"].values()) == 4
    assert not list(out.glob("*.part")) + list(out.glob("*.tmp"))


def test_a_bag_is_paired_as_the_node_pairs_it(tmp_path, loader):
    path = write_bag(tmp_path / "bag", frames=5)
    summary = evaluate([path], tmp_path / "out", GUIDED, loader=loader)
    table = read_frames(tmp_path / "out" / "frames.csv")
    assert [int(frame.key) for frame in table.frames] == [START + index * PERIOD for index in range(5)]
    assert [frame.seconds for frame in table.frames] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    assert summary["dropped"] == {}
    # From the second frame on there is one before.
    flicker = table.column("average", "flicker")
    assert np.isnan(flicker[0])
    assert not np.isnan(flicker[1:]).any()
    # The average cannot change more than the larger change of its sources, but for rounding.
    assert (flicker[1:] < 0.5).all()


def test_auto_is_what_the_pipeline_would_have_chosen(tmp_path, loader):
    path = write_bag(tmp_path / "bag", frames=6)
    summary = evaluate([path], tmp_path / "out", EvaluationConfig(modes="caf,epofusion=x"), loader=loader)
    table = read_frames(tmp_path / "out" / "frames.csv")
    chosen = {"glare": "epofusion", "dark": "dfvo", "normal": "caf"}
    assert table.used["auto"] == [chosen[frame.condition] for frame in table.frames]
    assert table.used["epofusion=x"] == ["epofusion"] * 6
    assert summary["modes"]["auto"]["stood_in"] == {}


def test_after_a_pause_of_both_cameras_the_past_is_forgotten_as_the_node_does(tmp_path, loader):
    def write(name, pause):
        with BagWriter(tmp_path / name) as bag:
            for index in range(6):
                rgb, thermal = scene(index)
                counts = thermal.astype(np.uint16) * 20 + 7000 + 900 * index
                stamp = START + index * PERIOD + (pause if index >= 3 else 0)
                bag.write_image("/rgb/image", Frame(rgb, stamp))
                bag.write_image("/thermal/image", Frame(counts, stamp))
        return tmp_path / name

    def flicker_and_contrast(path):
        evaluate([path], path / "out", GUIDED, loader=loader)
        table = read_frames(path / "out" / "frames.csv")
        return table.column("guided", "flicker"), table.column("thermal", "SD")

    flicker, contrast = flicker_and_contrast(write("short", 1_900_000_000))
    assert np.isnan(flicker).tolist() == [True] + 5 * [False]
    flicker_after_jump, contrast_after_jump = flicker_and_contrast(write("long", 2_100_000_000))
    assert np.isnan(flicker_after_jump).tolist() == [True, False, False, True, False, False]
    # Gain control begins anew behind the pause: what was smoothed over it no longer is.
    np.testing.assert_array_equal(contrast[:3], contrast_after_jump[:3])
    assert contrast[3] != contrast_after_jump[3]


def test_range_and_stride_choose_among_the_pairs(tmp_path, loader):
    path = write_bag(tmp_path / "bag", frames=10)
    evaluate([path], tmp_path / "out", EvaluationConfig(modes="guided", start=0.2, end=0.7, stride=2), loader=loader)
    table = read_frames(tmp_path / "out" / "frames.csv")
    assert [frame.seconds for frame in table.frames] == pytest.approx([0.2, 0.4, 0.6])


@pytest.mark.parametrize("kept_bytes", [0, 40])
def test_an_interrupted_run_ends_with_the_same_numbers(bag, tmp_path, loader, kept_bytes):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    config = EvaluationConfig(modes="guided,caf=x")
    expected = evaluate([bag], whole, config, loader=loader)

    def interrupt(done, total):
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate([bag], parts, config, loader=loader, progress=interrupt)
    assert not (parts / "frames.csv").exists()
    with (parts / "frames.csv.part").open("a") as file:
        # What a kill in the middle of a write leaves.
        file.write((whole / "frames.csv").read_text().splitlines()[21][:kept_bytes])
    got = evaluate([bag], parts, config, loader=loader, resume=True)
    assert without_times(parts / "frames.csv") == without_times(whole / "frames.csv")
    assert got["best"].keys() == expected["best"].keys()
    pictures = {path.name: path.read_bytes() for path in (whole / "pictures").iterdir()}
    assert {path.name: path.read_bytes() for path in (parts / "pictures").iterdir()} == pictures


def test_a_finished_run_can_be_resumed_and_stays_as_it_is(pairs_folder, tmp_path, loader):
    first = evaluate([pairs_folder], tmp_path / "out", GUIDED, loader=loader)
    again = evaluate([pairs_folder], tmp_path / "out", GUIDED, loader=loader, resume=True)
    assert again == first


def test_other_settings_do_not_continue_a_run(pairs_folder, tmp_path, loader):
    evaluate([pairs_folder], tmp_path / "out", GUIDED, loader=loader)
    with pytest.raises(InputError, match=r"profile was 'textbook', now 'cddfuse'"):
        evaluate([pairs_folder], tmp_path / "out", EvaluationConfig(modes="guided", profile="cddfuse"), resume=True)
    with pytest.raises(InputError, match="no evaluation"):
        evaluate([pairs_folder], tmp_path / "nothing", GUIDED, resume=True)


def test_a_cut_off_recording_is_evaluated_as_far_as_it_goes(tmp_path, loader):
    path = write_bag(tmp_path / "bag", frames=10)
    file = next(path.glob("*.mcap"))
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2])
    summary = evaluate([file], tmp_path / "out", GUIDED, loader=loader)
    assert 3 <= summary["frames"] <= 5
    assert "cut off" in summary["lost"][0]
    assert "cut off" in (tmp_path / "out" / "report.html").read_text()


def test_a_spoilt_picture_is_left_out_and_named(pairs_folder, tmp_path, loader):
    (pairs_folder / "ir" / "01.png").write_bytes(b"no picture")
    summary = evaluate([pairs_folder], tmp_path / "out", GUIDED, loader=loader)
    assert summary["frames"] == 3
    assert "01.png" in summary["unusable"][0]


def test_a_frame_without_usable_thermal_image_is_a_gap(tmp_path, loader):
    with BagWriter(tmp_path / "bag") as bag:
        for index in range(5):
            rgb, thermal = scene(index)
            degrees = thermal.astype(np.float32) if index != 2 else np.full(thermal.shape, np.nan, np.float32)
            bag.write_image("/rgb/image", Frame(rgb, START + index * PERIOD))
            bag.write_image("/thermal/image", Frame(degrees, START + index * PERIOD))
    summary = evaluate([tmp_path / "bag"], tmp_path / "out", GUIDED, loader=loader)
    assert "1 pair had no usable thermal image" in summary["unusable"][0]
    table = read_frames(tmp_path / "out" / "frames.csv")
    assert [frame.seconds for frame in table.frames] == pytest.approx([0, 0.1, 0.3, 0.4])
    # The frame after the gap has no neighbour to flicker against.
    assert np.isnan(table.column("guided", "flicker")).tolist() == [True, False, True, False]


def two_videos(folder, pairs):
    videos = [folder / "rgb.mp4", folder / "thermal.mp4"]
    for path, images in zip(videos, zip(*pairs, strict=True), strict=True):
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=10)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for image in images:
                image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR) if image.ndim == 2 else image
                for packet in stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")):
                    container.mux(packet)
            for packet in stream.encode(None):
                container.mux(packet)
    return videos


def test_two_videos_are_evaluated_frame_by_frame(tmp_path, loader):
    videos = two_videos(tmp_path, [scene(index) for index in range(4)])
    evaluate(videos, tmp_path / "out", GUIDED, loader=loader)
    table = read_frames(tmp_path / "out" / "frames.csv")
    assert [frame.seconds for frame in table.frames] == pytest.approx([0, 0.1, 0.2, 0.3])
    assert np.isnan(table.column("guided", "flicker")).tolist() == [True, False, False, False]


def test_frames_of_a_video_between_those_that_are_scored_count_for_the_choice_of_the_mode(tmp_path, loader):
    # The light changes between two frames that are scored, and so the fade begins there.
    light = [0] * 5 + [140] * 6 + [-140] * 5
    pairs = [scene(index) for index in range(len(light))]
    pairs = [
        (np.clip(rgb.astype(int) + change, 0, 255).astype(np.uint8), thermal)
        for (rgb, thermal), change in zip(pairs, light, strict=True)
    ]
    videos = two_videos(tmp_path, pairs)
    config = EvaluationConfig(modes="guided,caf=x", pictures=0)
    evaluate(videos, tmp_path / "all", config, loader=loader)
    evaluate(videos, tmp_path / "some", replace(config, stride=3), loader=loader)
    every, some = read_frames(tmp_path / "all" / "frames.csv"), read_frames(tmp_path / "some" / "frames.csv")
    assert len(set(every.used["auto"])) > 1
    assert [frame.key for frame in some.frames] == [frame.key for frame in every.frames[::3]]
    assert some.used["auto"] == every.used["auto"][::3]
    for name in METRICS:
        np.testing.assert_array_equal(some.column("auto", name), every.column("auto", name)[::3], err_msg=name)


def test_bad_input_is_one_clear_line_and_exit_code_two(bag, pairs_folder, tmp_path, capsys):
    other = write_bag(tmp_path / "other", frames=3, rgb_topic="/front/image")
    late = write_bag(tmp_path / "late", frames=1, thermal_delay=50_000_000)
    file = tmp_path / "file"
    file.write_text("")
    out = ["--out", str(tmp_path / "out"), "--modes", "guided"]
    cases = {
        "no topic '/rgb/image'": [str(other), *out],
        "--rgb-topic": [str(other), *out],
        "set --slop or --thermal-offset": [str(late), *out],
        "no pairs in the range 50 s": [str(bag), *out, "--start", "50"],
        "not after start": [str(bag), *out, "--start", "5", "--end", "2"],
        "has 4 pictures": [str(pairs_folder), *out, "--start", "50"],
        "'best' is not one of": [str(bag), "--out", str(tmp_path / "out"), "--modes", "best"],
        "there is no such bag": [str(tmp_path / "missing"), *out],
        "cannot be written": [str(bag), "--out", str(file / "out"), "--modes", "guided"],
        "no evaluation in": [str(bag), *out, "--resume"],
    }
    for expected, words in cases.items():
        assert main(["evaluate", *words]) == 2, expected
        error = capsys.readouterr().err.strip()
        assert expected in error
        assert error.count("\n") == 0


def test_the_command_prints_the_table_or_json(pairs_folder, tmp_path, capsys):
    words = ["evaluate", str(pairs_folder), "--out", str(tmp_path / "out"), "--modes", "guided", "--stride", "2"]
    assert main(words) == 0
    text = capsys.readouterr().out
    assert "guided" in text
    assert "report.html" in text
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["frames"] == 2


def test_a_run_is_not_continued_with_other_weights(tmp_path, pairs_folder):
    """The shipped network is replaced under its own name, as by an update of the package."""

    def with_weights(content):
        weights = tmp_path / "caf.safetensors"
        weights.write_bytes(content)

        def load(name, *arguments):
            model = load_model("average" if name in ("caf", "dfvo", "epofusion") else name)
            model.weights = weights if name == "caf" else None
            return model

        return load

    config = EvaluationConfig(modes="caf=caf")
    evaluate([pairs_folder], tmp_path / "out", config, loader=with_weights(b"one"))
    assert evaluate([pairs_folder], tmp_path / "out", config, loader=with_weights(b"one"), resume=True)
    with pytest.raises(InputError, match=r"the weights of caf=caf have changed \(sha256 was 7692c3ad3540bb80"):
        evaluate([pairs_folder], tmp_path / "out", config, loader=with_weights(b"two"), resume=True)
