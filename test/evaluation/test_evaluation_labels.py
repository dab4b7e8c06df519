"""Evaluation with labels: boxes from COCO files, boxes and masks from the recording."""

from __future__ import annotations

import json

import numpy as np
import pytest
from recordings import HEIGHT, PERIOD, START, WIDTH, scene, write_bag

from fusion_ros.bags.writer import BagWriter
from fusion_ros.cli import main
from fusion_ros.evaluation import perception
from fusion_ros.evaluation.config import EvaluationConfig
from fusion_ros.evaluation.run import evaluate
from fusion_ros.simulation.recording import BOX_LABELS_TOPIC, BOXES_TOPIC, MASK_LABELS_TOPIC, MASK_TOPIC
from fusion_ros.types import Detections, Frame, SegmentationMask

GUIDED = EvaluationConfig(modes="guided")
NAMES = {0: "person", 1: "bicycle", 2: "car"}
MASKS = {0: "background", 1: "road", 2: "person"}
# A person and a car in pixels of the RGB image.
PERSON, CAR = (10.0, 12.0, 20.0, 40.0), (30.0, 20.0, 60.0, 40.0)


@pytest.fixture(autouse=True)
def models(monkeypatch):
    """A detector that finds the person everywhere but the car in colour only; a segmenter that sees road only."""

    class Detector:
        class_names = NAMES

        def __init__(self, config):
            pass

        def detect(self, bgr):
            boxes = [PERSON] if np.array_equal(bgr[..., 0], bgr[..., 2]) else [PERSON, CAR]
            return Detections(
                np.array(boxes, np.float32),
                np.full(len(boxes), 0.9, np.float32),
                np.array([0, 2][: len(boxes)], np.int64),
                NAMES,
            )

    class Segmenter:
        class_names = MASKS

        def __init__(self, config):
            pass

        def segment(self, bgr):
            return SegmentationMask(np.ones(bgr.shape[:2], np.uint8), MASKS)

    monkeypatch.setattr(perception, "Detector", Detector)
    monkeypatch.setattr(perception, "Segmenter", Segmenter)


def coco(path, names, scale=1.0):
    """COCO labels in pixels of a picture `scale` times the RGB image's size, with a class of its own as well."""
    images, annotations = [], []
    for number, name in enumerate(names):
        images.append({"id": number, "file_name": f"{name}.jpg", "width": WIDTH * scale, "height": HEIGHT * scale})
        for category, (x, y, right, bottom) in ((1, PERSON), (3, CAR), (17, PERSON)):
            box = [value * scale for value in (x, y, right - x, bottom - y)]
            annotations.append(
                {"id": len(annotations), "image_id": number, "category_id": category, "bbox": box, "iscrowd": 0}
            )
    categories = [{"id": 1, "name": "person"}, {"id": 3, "name": "car"}, {"id": 17, "name": "dog"}]
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return path


def test_average_precision_of_every_mode_with_boxes_in_other_pixels(pairs_folder, tmp_path, loader):
    labels = coco(tmp_path / "labels.json", ["00", "02"], scale=0.5)
    summary = evaluate([pairs_folder], tmp_path / "out", GUIDED, labels=str(labels), loader=loader)["perception"]
    assert summary["labelled_frames"] == 2
    assert summary["true_boxes"] == 4
    assert summary["unknown"] == {"dog": 2}
    for mode in ("guided", "rgb", "average"):
        assert summary["modes"][mode]["all"]["mAP50-95"] == pytest.approx(1.0)
    # On the grey thermal image the car is never found: half of the two classes.
    thermal = summary["modes"]["thermal"]["all"]
    assert thermal["mAP50"] == pytest.approx(0.5)
    assert thermal["AP50 person"] == pytest.approx(1.0)
    assert thermal["AP50 car"] == pytest.approx(0.0)
    assert "Detection and segmentation" in (tmp_path / "out" / "report.html").read_text()


def write_truth(path, frames=6):
    with BagWriter(path) as bag:
        bag.write_label_info(BOX_LABELS_TOPIC, {5: "car", 6: "person"}, START)
        bag.write_label_info(MASK_LABELS_TOPIC, {0: "background", 7: "road", 8: "tree"}, START)
        for index in range(frames):
            rgb, thermal = scene(index)
            stamp = START + index * PERIOD
            bag.write_image("/rgb/image", Frame(rgb, stamp))
            bag.write_image("/thermal/image", Frame(thermal, stamp))
            boxes = np.array([CAR, PERSON], np.float32)
            found = Detections(boxes, np.ones(2, np.float32), np.array([5, 6]), {5: "car", 6: "person"})
            bag.write_detections(BOXES_TOPIC, found, stamp, "rgb")
            if index % 2 == 0:
                mask = np.zeros((HEIGHT, WIDTH), np.uint8)
                mask[HEIGHT // 4 :] = 7
                mask[:4] = 8
                bag.write_mask(MASK_TOPIC, SegmentationMask(mask, {}), stamp, "rgb")
    return path


def test_truth_of_a_recording_is_matched_by_stamp_and_class_name(tmp_path, loader):
    bag = write_truth(tmp_path / "bag")
    config = EvaluationConfig(modes="guided", start=0.2)
    summary = evaluate([bag], tmp_path / "out", config, labels="bag", loader=loader)["perception"]
    assert summary["labelled_frames"] == 4
    assert summary["masked_frames"] == 2
    scores = summary["modes"]["guided"]["all"]
    assert scores["mAP50"] == pytest.approx(1.0)
    # Trees have no counterpart and are not counted: 36 of 44 rows are road, all of them are said to be.
    assert scores["IoU road"] == pytest.approx(36 / 44)
    assert scores["IoU background"] == 0.0
    assert scores["mIoU"] == pytest.approx(18 / 44)


def test_an_interrupted_run_counts_every_label_once(tmp_path, loader):
    bag = write_truth(tmp_path / "bag")
    whole = evaluate([bag], tmp_path / "whole", GUIDED, labels="bag", loader=loader)

    def interrupt(done, total):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate([bag], tmp_path / "parts", GUIDED, labels="bag", loader=loader, progress=interrupt)
    part = tmp_path / "parts" / "perception.jsonl"
    # As if it had been stopped between the labels and the scores of a frame.
    part.write_text(part.read_text() + (tmp_path / "whole" / "perception.jsonl").read_text().splitlines()[3] + "\n")
    resumed = evaluate([bag], tmp_path / "parts", GUIDED, labels="bag", loader=loader, resume=True)
    assert resumed["perception"] == whole["perception"]


def test_labels_that_do_not_fit_are_refused_with_exit_code_two(pairs_folder, tmp_path, capsys):
    bag = write_bag(tmp_path / "bag", frames=3)
    broken = tmp_path / "broken.json"
    broken.write_text('{"images": []')
    no_names = tmp_path / "names.json"
    no_names.write_text(json.dumps({"images": [], "annotations": []}))
    cases = {
        "labels of another set": [str(pairs_folder), "--labels", str(coco(tmp_path / "other.json", ["x", "y"]))],
        "not COCO labels": [str(pairs_folder), "--labels", str(broken)],
        "KeyError: 'categories'": [str(pairs_folder), "--labels", str(no_names)],
        "cannot be read": [str(pairs_folder), "--labels", str(tmp_path / "missing.json")],
        "carries no /ground_truth": [str(bag), "--labels", "bag"],
        "no such bag": [str(tmp_path / "nothing"), "--labels", "bag"],
        "not a readable rosbag2": [str(pairs_folder), "--labels", "bag"],
    }
    for expected, words in cases.items():
        assert main(["evaluate", *words, "--out", str(tmp_path / "out"), "--modes", "guided"]) == 2
        error = capsys.readouterr().err.strip()
        assert expected in error
        assert error.count("\n") == 0
