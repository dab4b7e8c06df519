"""Masks that are estimated from boxes, on shapes whose outline is known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from fusion_ros.training.data.box_masks import (
    BACKGROUND,
    IGNORED,
    ROAD,
    SEGMENT_NAMES,
    masks_from_boxes,
    with_road_ahead,
)
from fusion_ros.training.data.labelled_pairs import LabelledPair

PERSON, VEHICLE = SEGMENT_NAMES.index("person"), SEGMENT_NAMES.index("vehicle")


def pair_with(shape: np.ndarray, boxes: list[tuple[float, ...]], classes: list[int], contrast: int) -> LabelledPair:
    """A shape that is warmer and brighter than a noisy background by `contrast`."""
    noise = np.random.default_rng(0).normal(0, 4, shape.shape)
    grey = np.clip(90 + contrast * shape + noise, 0, 255).astype(np.uint8)
    return LabelledPair(
        "scene",
        cv2.merge([grey, grey, grey]),
        grey,
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(classes, np.int64),
    )


def overlap(mask: np.ndarray, class_id: int, truth: np.ndarray) -> float:
    counted = mask != IGNORED
    found = (mask == class_id) & counted
    return float((found & truth & counted).sum() / ((found | truth) & counted).sum())


def test_a_shape_with_contrast_is_cut_out_along_its_outline() -> None:
    shape = np.zeros((120, 160), np.uint8)
    # A cross fills 56% of its box, an ellipse in the box 79%: the result has to follow the picture.
    shape[20:100, 70:90] = 1
    shape[45:75, 50:110] = 1
    mask = masks_from_boxes(pair_with(shape, [(50, 20, 110, 100)], [0], contrast=100))
    assert overlap(mask, PERSON, shape == 1) > 0.95


def test_a_shape_without_contrast_gets_the_form_of_its_class() -> None:
    empty = np.zeros((120, 160), np.uint8)
    mask = masks_from_boxes(pair_with(empty, [(100, 10, 110, 40), (10, 60, 22, 70)], [0, 2], contrast=0))
    ellipse = cv2.ellipse(empty.copy(), (105, 25), (5, 15), 0, 0, 360, 1, cv2.FILLED) == 1
    assert overlap(mask, PERSON, ellipse) > 0.9
    rectangle = np.zeros(empty.shape, bool)
    rectangle[60:70, 10:22] = True
    assert overlap(mask, VEHICLE, rectangle) > 0.85


def test_the_smaller_of_two_objects_is_in_front() -> None:
    empty = np.zeros((120, 160), np.uint8)
    mask = masks_from_boxes(pair_with(empty, [(60, 40, 70, 70), (20, 20, 140, 100)], [0, 2], contrast=0))
    assert mask[55, 65] == PERSON
    assert mask[55, 30] in (VEHICLE, IGNORED)


def test_outlines_are_ignored_and_nothing_lies_far_outside_a_box() -> None:
    shape = np.zeros((120, 160), np.uint8)
    shape[30:90, 40:120] = 1
    mask = masks_from_boxes(pair_with(shape, [(40, 30, 120, 90)], [2], contrast=100))
    assert mask[30, 80] == IGNORED
    outside = np.ones(mask.shape, bool)
    outside[26:94, 36:124] = False
    assert (mask[outside] == 0).all()


def test_masks_are_the_same_every_time() -> None:
    shape = np.zeros((120, 160), np.uint8)
    shape[30:90, 60:100] = 1
    pair = pair_with(shape, [(55, 25, 105, 95)], [0], contrast=20)
    np.testing.assert_array_equal(masks_from_boxes(pair), masks_from_boxes(pair))


def test_no_boxes_make_a_mask_of_background() -> None:
    assert not masks_from_boxes(pair_with(np.zeros((40, 60), np.uint8), [], [], contrast=0)).any()


def test_a_box_that_fills_the_image_is_no_error() -> None:
    mask = masks_from_boxes(pair_with(np.zeros((40, 60), np.uint8), [(0, 0, 60, 40)], [2], contrast=0))
    assert (mask == VEHICLE).mean() == pytest.approx(0.85, abs=0.15)


def test_road_is_guessed_ahead_and_unknown_beside() -> None:
    mask = np.zeros((100, 200), np.uint8)
    mask[70:90, 90:110] = VEHICLE
    guessed = with_road_ahead(mask)
    assert (guessed[:50] == BACKGROUND).all()
    assert (guessed[70:90, 90:110] == VEHICLE).all()
    assert (guessed[99, :] == ROAD).sum() >= 198  # the whole lower edge, but for rounding
    assert guessed[62, 100] == ROAD
    assert (guessed[62, [10, 190]] == IGNORED).all()
    assert (guessed[51:57] == IGNORED).all()
