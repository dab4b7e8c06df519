"""Counting found boxes."""

from __future__ import annotations

import numpy as np
import pytest

from fusion_ros.report.recall import box_iou, count_found
from fusion_ros.types import Detections

NAMES = {0: "person", 2: "car"}


def detections(*rows):
    values = np.array(rows, dtype=np.float32).reshape(-1, 6)
    return Detections(values[:, :4], values[:, 4], values[:, 5].astype(np.int64), NAMES)


def test_iou_of_half_overlapping_squares():
    # Intersection 50, union 150.
    iou = box_iou(np.array([[0, 0, 10, 10]], np.float32), np.array([[5, 0, 15, 10], [20, 20, 30, 30]], np.float32))
    np.testing.assert_allclose(iou, [[1 / 3, 0]])


def test_iou_of_empty_boxes_is_zero():
    point = np.array([[3, 3, 3, 3]], np.float32)
    assert box_iou(point, point) == pytest.approx(0)


def test_a_true_box_is_found_once():
    truth = detections((0, 0, 10, 10, 1, 2))
    found = count_found(detections((0, 0, 10, 10, 0.9, 2), (0, 0, 10, 9, 0.8, 2)), truth)
    assert (found["car"].truth, found["car"].found, found["car"].claimed) == (1, 1, 2)


def test_another_class_does_not_count():
    found = count_found(detections((0, 0, 10, 10, 0.9, 0)), detections((0, 0, 10, 10, 1, 2)))
    assert found["car"].recall == 0
    assert found["person"].recall is None
    assert found["person"].precision == 0


def test_classes_are_matched_by_name_not_by_number():
    truth = Detections(
        np.array([[0, 0, 10, 10]], np.float32), np.ones(1, np.float32), np.array([7], np.int64), {7: "person"}
    )
    assert count_found(detections((0, 0, 10, 10, 0.9, 0)), truth)["person"].found == 1


def test_each_of_two_true_boxes_needs_a_claim_of_its_own():
    truth = detections((0, 0, 10, 10, 1, 0), (1, 0, 11, 10, 1, 0))
    assert count_found(detections((0, 0, 10, 10, 0.9, 0), (0, 0, 10, 10, 0.8, 0)), truth)["person"].found == 2
    assert count_found(detections((0, 0, 10, 10, 0.9, 0)), truth)["person"].found == 1


def test_nothing_against_nothing():
    assert count_found(detections(), detections()) == {}
