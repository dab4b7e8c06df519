"""Precision from matched boxes agrees with pycocotools; resampling by weights is resampling."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from fusion_ros.metrics.bootstrap import interval, resamplings
from fusion_ros.metrics.matching import match, miss_rate_of, precision_of
from fusion_ros.types import Detections

NAMES = {0: "person", 1: "car"}


def boxes(xyxy: np.ndarray, confidence: np.ndarray, class_id: np.ndarray) -> Detections:
    return Detections(xyxy.reshape(-1, 4).astype(np.float32), confidence.astype(np.float32), class_id, NAMES)


def scenes(seed: int, images: int) -> tuple[list[Detections], list[Detections]]:
    """Labels, and detections near them, missing some and with false ones."""
    random = np.random.default_rng(seed)
    found, truth = [], []
    for _ in range(images):
        count = int(random.integers(0, 6))
        corner, size = random.uniform(0, 80, (count, 2)), random.uniform(14, 40, (count, 2))
        labels = np.hstack([corner, corner + size])
        kinds = random.integers(0, 2, count)
        truth.append(boxes(labels, np.ones(count), kinds))
        seen = random.random(count) < 0.8
        false = int(random.integers(0, 4))
        extra = random.uniform(0, 80, (false, 2))
        near = labels[seen] + random.normal(0, 1.5, (int(seen.sum()), 4))
        every = np.vstack([near, np.hstack([extra, extra + 20])])
        classes = np.concatenate([kinds[seen], random.integers(0, 2, false)])
        found.append(boxes(every, random.random(len(every)), classes))
    return found, truth


def coco_precision(found: list[Detections], truth: list[Detections], class_id: int) -> tuple[float, float]:
    """AP at 0.5 and over all thresholds, by pycocotools itself."""
    labels, results = COCO(), []
    annotations = []
    for image, (seen, true) in enumerate(zip(found, truth, strict=True), start=1):
        for box, kind in zip(true.xyxy, true.class_id, strict=True):
            annotations.append(coco_box(image, box, int(kind)) | {"id": len(annotations) + 1, "iscrowd": 0})
        for box, score, kind in zip(seen.xyxy, seen.confidence, seen.class_id, strict=True):
            results.append(coco_box(image, box, int(kind)) | {"score": float(score)})
    images = [{"id": image + 1} for image in range(len(truth))]
    categories = [{"id": number + 1, "name": name} for number, name in NAMES.items()]
    labels.dataset = {"info": {}, "images": images, "annotations": annotations, "categories": categories}
    with contextlib.redirect_stdout(io.StringIO()):
        labels.createIndex()
        evaluation = COCOeval(labels, labels.loadRes(results), "bbox")
        evaluation.params.catIds = [class_id + 1]
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[1]), float(evaluation.stats[0])


def coco_box(image: int, box: np.ndarray, kind: int) -> dict:
    left, top, right, bottom = (float(value) for value in box)
    size = (right - left, bottom - top)
    return {"image_id": image, "category_id": kind + 1, "bbox": [left, top, *size], "area": size[0] * size[1]}


@pytest.mark.parametrize("seed", range(4))
def test_average_precision_is_that_of_pycocotools(seed: int) -> None:
    found, truth = scenes(seed, 12)
    for class_id in NAMES:
        ours = precision_of(match(found, truth, class_id))
        assert (ours[0], ours.mean()) == pytest.approx(coco_precision(found, truth, class_id), abs=1e-6)


def test_weights_count_an_image_several_times() -> None:
    found, truth = scenes(7, 6)
    weights = np.array([2, 0, 1, 3, 0, 0])
    repeated = [index for index, times in enumerate(weights) for _ in range(times)]
    # The same image twice gives boxes of equal confidence, so that their order is free: one order is compared.
    many = precision_of(match([found[i] for i in repeated], [truth[i] for i in repeated], 0))
    np.testing.assert_allclose(precision_of(match(found, truth, 0), weights), many, atol=0.03)


def test_miss_rate_by_hand() -> None:
    label = np.array([[0, 0, 10, 10]])
    truth = [boxes(label, np.ones(1), np.zeros(1, int)) for _ in range(4)]
    # One false box is the strongest of all, then three hits; the fourth label is never found.
    far = np.array([[50, 50, 60, 60], [0, 0, 10, 10]])
    found = [boxes(far, np.array([0.9, 0.8]), np.zeros(2, int))]
    found += [boxes(label, np.array([0.7]), np.zeros(1, int)) for _ in range(2)] + [
        boxes(np.zeros((0, 4)), np.zeros(0), np.zeros(0, int))
    ]
    # Up to 0.25 false boxes an image nothing is found; of the nine rates 0.316, 0.562 and 1 are beyond.
    expected = np.exp((6 * np.log(1.0) + 3 * np.log(0.25)) / 9)
    assert miss_rate_of(match(found, truth, 0)) == pytest.approx(expected)


def test_perfect_and_absent_detectors() -> None:
    _, truth = scenes(1, 5)
    matches = match(truth, truth, 0)
    assert precision_of(matches)[0] == pytest.approx(1.0)
    nothing = [boxes(np.zeros((0, 4)), np.zeros(0), np.zeros(0, int)) for _ in truth]
    assert precision_of(match(nothing, truth, 0))[0] == 0.0
    assert miss_rate_of(match(nothing, truth, 0)) == 1.0
    assert np.isnan(precision_of(match(nothing, nothing, 0))).all()


def test_bootstrap_of_a_mean_has_its_known_width() -> None:
    values = np.random.default_rng(0).normal(0, 1, 400)
    low, high = interval(lambda weights: float(weights @ values / weights.sum()), resamplings(400, 2000))
    # Standard error 1 / sqrt(400) = 0.05: 95% lie within 1.96 of it.
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)
    assert low < values.mean() < high


def test_an_undefined_figure_has_no_interval() -> None:
    assert np.isnan(interval(lambda weights: float("nan"), resamplings(5, 10))).all()
