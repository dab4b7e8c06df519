"""Crops around objects keep boxes where the objects are."""

from __future__ import annotations

import numpy as np
import pytest

from fusion_ros.training.object_crops import object_crop


def scene(height: int = 200, width: int = 300) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """White objects on black, so that a crop shows where they are."""
    boxes = np.array([[40, 60, 80, 100], [200, 120, 260, 150]], np.float32)
    image = np.zeros((height, width, 3), np.uint8)
    for left, top, right, bottom in boxes.astype(int):
        image[top:bottom, left:right] = 255
    return image, boxes, np.array([0, 2], np.int64)


def test_crops_show_each_object_inside_its_box() -> None:
    image, boxes, classes = scene()
    random = np.random.default_rng(0)
    seen = 0
    for _ in range(50):
        crop, found, ids = object_crop(image, boxes, classes, 64, random)
        assert crop.shape == (64, 64, 3)
        assert len(found) == len(ids)
        for box in found:
            left, top, right, bottom = np.rint(box).astype(int)
            # The outermost pixel is blended by the resizing.
            assert (crop[top + 2 : bottom - 2, left + 2 : right - 2] == 255).all()
            seen += 1
    # 85 of 100 crops are laid around an object; a few of these show less than the least share of it.
    assert seen >= 35


def test_crops_do_not_change_the_image_and_follow_the_random_state() -> None:
    image, boxes, classes = scene()
    before = image.copy()
    first, second = (object_crop(image, boxes, classes, 64, np.random.default_rng(4)) for _ in range(2))
    np.testing.assert_array_equal(image, before)
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_crop_larger_than_the_image_is_padded_with_grey() -> None:
    image, boxes, classes = scene()
    crop, found, _ = object_crop(image, boxes, classes, 512, np.random.default_rng(0))
    assert len(found) == 2  # all of the image is seen
    assert (crop[-20:, -20:] == 114).all()


def test_a_box_of_which_little_is_seen_is_left_out() -> None:
    image = np.zeros((100, 400, 3), np.uint8)
    boxes = np.array([[0, 0, 400, 100]], np.float32)
    random = np.random.default_rng(0)
    # A crop of at most 1.33 x 64 pixels of 400 shows less than 35% of the box.
    assert all(len(object_crop(image, boxes, np.array([2]), 64, random)[1]) == 0 for _ in range(20))


@pytest.mark.parametrize("size", [(20, 30), (64, 64), (500, 40)])
def test_images_without_boxes_and_of_any_shape_give_crops(size: tuple[int, int]) -> None:
    image = np.full((*size, 3), 7, np.uint8)
    empty = np.zeros((0, 4), np.float32)
    crop, found, ids = object_crop(image, empty, np.zeros(0, np.int64), 32, np.random.default_rng(0))
    assert crop.shape == (32, 32, 3)
    assert found.shape == (0, 4)
    assert ids.shape == (0,)
