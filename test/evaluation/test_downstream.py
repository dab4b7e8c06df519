"""The comparison of inputs: light, figures, and what a table says."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from fusion_ros.cli import main
from fusion_ros.errors import InputError
from fusion_ros.evaluation.downstream import DownstreamConfig, compare_inputs
from fusion_ros.evaluation.downstream_table import markdown_of
from fusion_ros.evaluation.light import in_light, parse_conditions
from fusion_ros.training.data.labelled_pairs import LabelledPair
from fusion_ros.types import Detections, SegmentationMask

NAMES = {0: "person", 1: "bicycle", 2: "car"}
MASK_NAMES = {0: "background", 1: "person"}
CLASSES = ("person", "bicycle", "car")


class BrightSpots:
    """Stands in for a detector: finds the rectangle of what is much brighter than the picture's median."""

    class_names = NAMES

    def detect(self, bgr: np.ndarray) -> Detections:
        grey = bgr.mean(axis=2)
        rows, columns = np.nonzero(grey > np.median(grey) + 60)
        if not len(rows):
            return Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64), NAMES)
        box = np.array([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]], np.float32)
        return Detections(box, np.ones(1, np.float32), np.zeros(1, np.int64), NAMES)


class BrightPixels:
    """Stands in for a segmenter."""

    class_names = MASK_NAMES

    def segment(self, bgr: np.ndarray) -> SegmentationMask:
        grey = bgr.mean(axis=2)
        return SegmentationMask((grey > np.median(grey) + 60).astype(np.uint8), self.class_names)


@pytest.fixture
def pairs() -> list[LabelledPair]:
    """Warm persons that are as grey as their background to the eye."""
    found = []
    for number in range(6):
        infrared = np.full((96, 128), 40, np.uint8)
        left = 10 + 12 * number
        infrared[30:70, left : left + 20] = 220
        box = np.array([[left, 30, left + 20, 70]], np.float32)
        found.append(LabelledPair(f"{number}.png", np.full((96, 128, 3), 90, np.uint8), infrared, box, np.array([0])))
    return found


def test_figures_tell_a_sensor_that_sees_from_one_that_does_not(pairs: list[LabelledPair]) -> None:
    config = DownstreamConfig(conditions="normal", inputs="rgb,thermal,average,auto", resamples=20)
    masks = {pair.name: (pair.infrared > 100).astype(np.uint8) for pair in pairs[:4]}
    result = compare_inputs(pairs, BrightSpots(), CLASSES, config, BrightPixels(), masks)  # type: ignore[arg-type]
    normal = result["conditions"]["normal"]
    assert normal["thermal"]["mAP50"] == pytest.approx([1.0, 1.0, 1.0])
    assert normal["rgb"]["mAP50"] == pytest.approx([0.0, 0.0, 0.0])
    assert normal["thermal"]["miss rate"][0] < 1e-6
    assert normal["rgb"]["miss rate"][0] == 1.0
    assert normal["thermal"]["mIoU"][0] == pytest.approx(1.0)
    assert result["masked"] == 4
    assert result["boxes"] == {"person": 6}
    assert sum(result["modes"]["normal"].values()) == 6
    # auto against thermal, the better of the two.
    assert result["gain"]["normal"][0] == pytest.approx(normal["auto"]["mAP50"][0] - 1.0)


def test_light_changes_the_visible_image_alone_and_is_the_same_every_time(pairs: list[LabelledPair]) -> None:
    pair = pairs[0]
    arguments = (pair.name, pair.visible, pair.infrared, pair.xyxy)
    np.testing.assert_array_equal(in_light("normal", *arguments), pair.visible)
    for condition in ("glare", "dark"):
        lit = in_light(condition, *arguments)
        np.testing.assert_array_equal(lit, in_light(condition, *arguments))
        assert not np.array_equal(lit, in_light(condition, "other.png", *arguments[1:]))
        assert not np.array_equal(lit, in_light(condition, *arguments, seed=1))
    # The spot lies on the object, whose centre is at (20, 50).
    assert in_light("glare", *arguments)[50, 20].min() > 200
    # At least three stops: an eighth of the linear light is 255 (x / 255)^(1 / 2.2 to 1 / 2.75) below 90 / 2.
    assert in_light("dark", *arguments).mean() < 60


def test_thermal_is_the_same_in_every_light(pairs: list[LabelledPair]) -> None:
    config = DownstreamConfig(inputs="thermal", resamples=0)
    result = compare_inputs(pairs, BrightSpots(), CLASSES, config)  # type: ignore[arg-type]
    assert {tuple(rows["thermal"]["mAP50"]) for rows in result["conditions"].values()} == {(1.0,)}
    assert result["gain"] == {}


def test_the_table_has_a_row_for_every_light_and_input(pairs: list[LabelledPair]) -> None:
    config = DownstreamConfig(inputs="rgb,thermal,auto", resamples=10)
    text = markdown_of(compare_inputs(pairs, BrightSpots(), CLASSES, config))  # type: ignore[arg-type]
    for light in ("normal", "glare", "dark"):
        for kind in ("rgb", "thermal", "auto"):
            assert f"| {light} | {kind} | " in text
        assert f"- {light}: auto (" in text
    assert "1.000 [1.000, 1.000]" in text


def test_what_cannot_be_compared_is_named(pairs: list[LabelledPair]) -> None:
    with pytest.raises(InputError, match="conditions: 'fog' is not a list of normal, glare, dark"):
        parse_conditions("fog")
    with pytest.raises(InputError, match="inputs: 'rgb,sum' is not a list of rgb"):
        DownstreamConfig(inputs="rgb,sum")
    with pytest.raises(InputError, match="no labelled pair"):
        compare_inputs([], BrightSpots(), CLASSES, DownstreamConfig())  # type: ignore[arg-type]
    with pytest.raises(InputError, match="does not know dog; it knows person, bicycle, car"):
        compare_inputs(pairs, BrightSpots(), ("person", "dog"), DownstreamConfig())  # type: ignore[arg-type]


def test_the_command_writes_one_table_and_names_bad_labels(
    pairs: list[LabelledPair], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = []
    for number, pair in enumerate(pairs):
        for sensor, image in (("vi", pair.visible), ("ir", pair.infrared)):
            (tmp_path / sensor).mkdir(exist_ok=True)
            cv2.imwrite(str(tmp_path / sensor / pair.name), image)
        images.append({"id": number, "file_name": pair.name})
    left, top, right, bottom = (float(value) for value in pairs[0].xyxy[0])
    box = {"image_id": 0, "category_id": 1, "bbox": [left, top, right - left, bottom - top]}
    labels = {"images": images, "annotations": [box], "categories": [{"id": 1, "name": "person"}]}
    file = tmp_path / "boxes.json"
    file.write_text(json.dumps(labels))
    out = tmp_path / "out"
    command = ["downstream", str(tmp_path), "--labels", str(file), "--out", str(out), "--conditions", "dark"]
    command += ["--inputs", "rgb,thermal", "--resamples", "0", "--size", "128"]
    assert main(command) == 0
    assert (out / "downstream.md").read_text() == capsys.readouterr().out
    assert set(json.loads((out / "downstream.json").read_text())["conditions"]["dark"]) == {"rgb", "thermal"}
    before = (out / "downstream.md").read_bytes()
    file.write_text(json.dumps({**labels, "annotations": [{**box, "bbox": [500, 0, 9, 9]}]}))
    assert main(command) == 2
    assert "outside the image of 128x96" in capsys.readouterr().err
    assert main(["downstream", str(tmp_path), "--out", str(out)]) == 2
    assert "labels.coco.json: no such file" in capsys.readouterr().err
    assert (out / "downstream.md").read_bytes() == before
