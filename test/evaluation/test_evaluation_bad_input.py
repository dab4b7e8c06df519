"""Recordings that are spoilt in part are evaluated as far as they go, and the report says so; all else is exit 2."""

from __future__ import annotations

import struct
from dataclasses import replace

import cv2
import numpy as np
import pytest
from recordings import PERIOD, START, scene, write_bag

from fusion_ros.bags.message_types import IMAGE
from fusion_ros.bags.writer import BagWriter
from fusion_ros.cli import main
from fusion_ros.evaluation.config import EvaluationConfig
from fusion_ros.evaluation.frames_file import read_frames
from fusion_ros.evaluation.run import evaluate
from fusion_ros.types import Frame

GUIDED = EvaluationConfig(modes="guided", bag="none", pictures=0)
CHUNK = 0x06


def large_bag(path, frames=14):
    """Compressed chunks of about three pairs each, so that a spoilt one cannot be read but those behind it can."""
    with BagWriter(path, compress=True) as bag:
        for index in range(frames):
            rgb, thermal = scene(index)
            stamp = START + index * PERIOD
            bag.write_image("/rgb/image", Frame(cv2.resize(rgb, (320, 240)), stamp))
            bag.write_image("/thermal/image", Frame(cv2.resize(thermal, (320, 240)), stamp))
    return next(path.glob("*.mcap"))


def chunks_of(data):
    """Begin and length of the content of each chunk record (https://mcap.dev/spec)."""
    position, found = 8, []
    while position < len(data) - 8:
        kind, size = struct.unpack_from("<BQ", data, position)
        if kind == CHUNK:
            found.append((position + 9, size))
        position += 9 + size
    return found


def test_a_spoilt_chunk_in_the_middle_costs_only_its_own_pairs(tmp_path, loader):
    file = large_bag(tmp_path / "bag")
    # The recording's images are large, so that it has several chunks; they are scored small.
    small = replace(GUIDED, width=64)
    evaluate([file], tmp_path / "whole", small, loader=loader)
    data = bytearray(file.read_bytes())
    chunks = chunks_of(data)
    assert len(chunks) >= 4
    begin, size = chunks[1]
    data[begin + 60 : begin + size] = bytes(size - 60)
    file.write_bytes(bytes(data))
    summary = evaluate([file], tmp_path / "spoilt", small, loader=loader)
    whole, spoilt = (read_frames(tmp_path / name / "frames.csv") for name in ("whole", "spoilt"))
    keys = [frame.key for frame in whole.frames]
    left = [frame.key for frame in spoilt.frames]
    assert 8 <= len(left) < 14
    # What comes before the gap and what comes behind it.
    assert left[0] == keys[0]
    assert left[-1] == keys[-1]
    for mode in ("guided", "average"):
        for index, key in enumerate(left):
            # VIF needs the right pair of images, not merely some; thermal gain control has no memory of 8 bit images.
            expected = whole.column(mode, "VIF")[keys.index(key)]
            assert spoilt.column(mode, "VIF")[index] == pytest.approx(expected, rel=0.2)
    assert summary["lost"]
    page = (tmp_path / "spoilt" / "report.html").read_text()
    assert "The recording is damaged" in page


def write_encodings(path, rgb_encodings):
    """RGB images under these encodings, one after the other; the bytes are those of bgr8."""
    with BagWriter(path) as bag:
        for index, encoding in enumerate(rgb_encodings):
            rgb, thermal = scene(index)
            stamp = START + index * PERIOD
            types = bag._types.types
            message = types[IMAGE](
                header=bag._header(stamp, "rgb"),
                height=rgb.shape[0],
                width=rgb.shape[1],
                encoding=encoding,
                is_bigendian=0,
                step=3 * rgb.shape[1],
                data=rgb.reshape(-1),
            )
            bag._write("/rgb/image", IMAGE, message, stamp)
            bag.write_image("/thermal/image", Frame(thermal, stamp))
    return path


def test_an_encoding_that_is_not_supported_is_left_out_and_named(tmp_path, loader):
    bag = write_encodings(tmp_path / "bag", ["bgr8", "yuv444", "bgr8", "bgr8"])
    summary = evaluate([bag], tmp_path / "out", GUIDED, loader=loader)
    assert summary["frames"] == 3
    assert "1 pair could not be read" in summary["unusable"][0]
    assert "encoding 'yuv444' is not supported" in summary["unusable"][0]
    assert "yuv444" in (tmp_path / "out" / "report.html").read_text()


def test_what_cannot_be_evaluated_at_all_is_one_line_and_exit_code_two(tmp_path, pairs_folder, capsys):
    foreign = write_encodings(tmp_path / "foreign", ["yuv444", "yuv444"])
    empty = tmp_path / "empty.mcap"
    empty.write_bytes(b"\x89MCAP0\r\n")
    text = tmp_path / "text.mcap"
    text.write_text("not a recording")
    one_camera = tmp_path / "one"
    with BagWriter(one_camera) as bag:
        bag.write_image("/rgb/image", Frame(scene(0)[0], START))
        bag.write_string("/note", "hello", START)
    apart = write_bag(tmp_path / "apart", frames=3, thermal_delay=45_000_000)
    good = write_bag(tmp_path / "good", frames=3)
    cases = {
        "encoding 'yuv444' is not supported": [str(foreign)],
        "nothing in this bag can be read": [str(empty)],
        "text.mcap": [str(text)],
        "no topic '/thermal/image'": [str(one_camera)],
        "is not an image": [str(one_camera), "--thermal-topic", "/note"],
        "--thermal-offset": [str(apart)],
        "no pairs in the range": [str(good), "--start", "7"],
        "is not a readable": [str(pairs_folder / "vi")],
        "--profile": [str(good), "--profile", "mine"],
        "stride": [str(good), "--stride", "0"],
        "bag": [str(good), "--bag", "png"],
    }
    cases["not a readable"] = cases.pop("is not a readable")
    for expected, words in cases.items():
        assert main(["evaluate", *words, "--out", str(tmp_path / "out"), "--modes", "guided"]) == 2, expected
        error = capsys.readouterr().err.strip()
        assert expected.removeprefix("--") in error, error
        assert error.count("\n") == 0
    # Nothing of it has left results behind that look like an evaluation.
    assert not (tmp_path / "out" / "report.html").exists()


def test_an_output_that_cannot_be_written_is_exit_code_two(pairs_folder, tmp_path, capsys, monkeypatch):
    file = tmp_path / "file"
    file.write_text("")
    words = ["evaluate", str(pairs_folder), "--modes", "guided", "--no-bag"]
    assert main([*words, "--out", str(file)]) == 2
    assert "cannot be written" in capsys.readouterr().err

    def full(path, text, **kinds):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("pathlib.Path.write_text", full)
    assert main([*words, "--out", str(tmp_path / "out")]) == 2
    assert "No space left" in capsys.readouterr().err


def test_a_thermal_gap_is_counted_and_the_rest_is_evaluated(tmp_path, loader):
    with BagWriter(tmp_path / "bag") as bag:
        for index in range(8):
            rgb, thermal = scene(index)
            bag.write_image("/rgb/image", Frame(rgb, START + index * PERIOD))
            if index not in (3, 4):
                bag.write_image("/thermal/image", Frame(thermal, START + index * PERIOD))
    summary = evaluate([tmp_path / "bag"], tmp_path / "out", GUIDED, loader=loader)
    assert summary["frames"] == 6
    assert summary["dropped"] == {"rgb_unpaired": 2}
    assert not np.isnan(read_frames(tmp_path / "out" / "frames.csv").column("guided", "VIF")).any()


def test_an_output_folder_with_files_of_others_is_left_alone(pairs_folder, tmp_path, capsys):
    out = tmp_path / "out"
    (out / "pictures").mkdir(parents=True)
    (out / "pictures" / "holiday.jpg").write_bytes(b"mine")
    assert main(["evaluate", str(pairs_folder), "--modes", "guided", "--out", str(out)]) == 2
    assert "holds pictures, but not from an evaluation" in capsys.readouterr().err
    assert (out / "pictures" / "holiday.jpg").read_bytes() == b"mine"


def test_a_recording_is_not_replaced_by_its_own_evaluation(tmp_path, capsys, loader):
    file = large_bag(tmp_path / "bag", frames=4)
    out = tmp_path / "out"
    evaluate([file], out, replace(GUIDED, bag="jpeg", width=64), loader=loader)
    made = (out / "fused.mcap").read_bytes()
    topic = "/guided/fusion/image/compressed"
    topics = ["--rgb-topic", topic, "--thermal-topic", topic]
    assert main(["evaluate", str(out / "fused.mcap"), "--modes", "guided", "--out", str(out), *topics]) == 2
    assert "would replace the recording" in capsys.readouterr().err
    assert (out / "fused.mcap").read_bytes() == made
