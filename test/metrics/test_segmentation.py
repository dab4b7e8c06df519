"""Intersection over union against counts by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fusion_ros.metrics.segmentation import intersection_over_union

NAMES = ("background", "person", "car")


def mask(*rows: list[int]) -> np.ndarray:
    return np.array(rows, np.uint8)


def test_intersection_over_union_counts_pixels_over_all_images() -> None:
    truth = [mask([0, 0, 1, 1]), mask([1, 1, 0, 0])]
    found = [mask([0, 1, 1, 1]), mask([0, 1, 0, 0])]
    scores = intersection_over_union(found, truth, NAMES)
    # Person: 3 pixels in both, 5 in one or the other; background: 3 of 5.
    assert scores == pytest.approx({"mIoU": 0.6, "IoU background": 0.6, "IoU person": 0.6})


def test_intersection_over_union_does_not_count_ignored_pixels() -> None:
    scores = intersection_over_union([mask([0, 1, 2])], [mask([0, 255, 255])], NAMES)
    assert scores == pytest.approx({"mIoU": 1.0, "IoU background": 1.0})


def test_intersection_over_union_punishes_a_class_that_is_found_where_it_is_not() -> None:
    scores = intersection_over_union([mask([2, 2, 0, 0])], [mask([0, 0, 0, 0])], NAMES)
    assert scores["IoU background"] == pytest.approx(0.5)


def test_intersection_over_union_without_anything_to_count_is_not_a_number() -> None:
    assert math.isnan(intersection_over_union([mask([0, 0])], [mask([255, 255])], NAMES)["mIoU"])


@pytest.mark.parametrize(
    ("found", "truth", "message"),
    [
        ([mask([0, 0])], [], "1 masks found and 0 true ones"),
        ([mask([0, 0])], [mask([0, 0, 0])], "expected the same size"),
        ([mask([3, 0])], [mask([0, 0])], "beyond the 3 that have names"),
    ],
)
def test_intersection_over_union_refuses_what_does_not_match(
    found: list[np.ndarray], truth: list[np.ndarray], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        intersection_over_union(found, truth, NAMES)
