"""Average precision against values that follow from COCO's definition by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fusion_ros.metrics.detection import average_precision
from fusion_ros.types import Detections

NAMES = {0: "person", 1: "bicycle", 2: "car"}


def image(*entries: tuple[int, float, tuple[float, float, float, float]]) -> Detections:
    """Detections of (class, confidence, box)."""
    return Detections(
        np.array([box for _, _, box in entries], np.float32).reshape(-1, 4),
        np.array([confidence for _, confidence, _ in entries], np.float32),
        np.array([class_id for class_id, _, _ in entries], np.int64),
        NAMES,
    )


NEAR, FAR = (0.0, 0.0, 100.0, 100.0), (200.0, 200.0, 300.0, 300.0)


def test_average_precision_is_one_where_all_is_found_and_nothing_else() -> None:
    truth = [image((0, 1.0, NEAR)), image((2, 1.0, FAR)), image()]
    scores = average_precision(truth, truth)
    assert scores == pytest.approx(
        {
            "mAP50": 1.0,
            "mAP50-95": 1.0,
            "AP50 person": 1.0,
            "AP50-95 person": 1.0,
            "AP50 car": 1.0,
            "AP50-95 car": 1.0,
        }
    )


def test_average_precision_of_a_wrong_box_before_the_right_one_is_a_half() -> None:
    # Recall 1 is reached at the second box, where precision is 1/2; interpolation carries it back to recall 0.
    scores = average_precision([image((0, 0.9, FAR), (0, 0.8, NEAR))], [image((0, 1.0, NEAR))])
    assert scores["AP50 person"] == pytest.approx(0.5)


def test_average_precision_of_one_of_two_found_is_51_of_101() -> None:
    # COCO reads precision at recalls 0, 0.01, ... 1; up to 0.5 it is 1, beyond that 0.
    scores = average_precision([image((0, 0.9, NEAR))], [image((0, 1.0, NEAR), (0, 1.0, FAR))])
    assert scores["AP50 person"] == pytest.approx(51 / 101)


def test_average_precision_averages_over_ten_overlap_thresholds() -> None:
    # IoU = 100 x 63 / 10000 = 0.63, which passes 0.5, 0.55 and 0.6 of 0.5, 0.55, ... 0.95.
    scores = average_precision([image((0, 0.9, (0.0, 0.0, 100.0, 63.0)))], [image((0, 1.0, NEAR))])
    assert scores["AP50 person"] == pytest.approx(1.0)
    assert scores["AP50-95 person"] == pytest.approx(0.3)


def test_average_precision_counts_a_box_for_its_own_image_and_class_only() -> None:
    truth = [image((0, 1.0, NEAR)), image((2, 1.0, NEAR))]
    swapped = [image((2, 0.9, NEAR)), image((0, 0.9, NEAR))]
    assert average_precision(swapped, truth)["mAP50"] == 0.0


def test_average_precision_leaves_out_classes_that_are_not_labelled() -> None:
    scores = average_precision([image((0, 0.9, NEAR), (1, 0.9, FAR))], [image((0, 1.0, NEAR))])
    assert scores["mAP50"] == pytest.approx(1.0)
    assert "AP50 bicycle" not in scores


def test_average_precision_without_labels_is_not_a_number() -> None:
    assert math.isnan(average_precision([image()], [image()])["mAP50"])
    assert math.isnan(average_precision([], [])["mAP50"])


def test_average_precision_refuses_sets_of_different_length() -> None:
    with pytest.raises(ValueError, match="1 images with detections and 2 with labels"):
        average_precision([image()], [image(), image()])
