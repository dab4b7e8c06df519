"""Windows around objects keep boxes where the objects are."""

from __future__ import annotations

import numpy as np
import pytest

from fusion_ros.training.object_crops import GREY, Window, random_window


def scene(height: int = 200, width: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """White objects on black, so that a crop shows where they are."""
    boxes = np.array([[40, 60, 80, 100], [200, 120, 260, 150]], np.float32)
    image = np.zeros((height, width, 3), np.uint8)
    for left, top, right, bottom in boxes.astype(int):
        image[top:bottom, left:right] = 255
    return image, boxes


def test_windows_show_each_object_inside_its_box() -> None:
    image, boxes = scene()
    random = np.random.default_rng(0)
    shown = 0
    for _ in range(50):
        window = random_window((200, 300), boxes, 64, random)
        crop = window.filled(window.part(image), 64, GREY)
        assert crop.shape == (64, 64, 3)
        found, seen = window.boxes(boxes, 200, 300)
        for box in found[seen] * 64 / window.side:
            left, top, right, bottom = np.rint(box).astype(int)
            # The outermost pixels are blended by the resizing, which enlarges by half at most.
            assert (crop[top + 2 : bottom - 2, left + 2 : right - 2] == 255).all()
            shown += 1
    # 85 of 100 windows are laid around an object; a few of these show less than the least share of it.
    assert shown >= 35


def test_windows_follow_the_random_state() -> None:
    _, boxes = scene()
    assert len({random_window((200, 300), boxes, 64, np.random.default_rng(4)) for _ in range(2)}) == 1


def test_an_object_is_enlarged_and_shrunk_as_far_as_asked() -> None:
    random = np.random.default_rng(2)
    sides = [random_window((900, 900), np.zeros((0, 4), np.float32), 100, random, (0.5, 2.0)).side for _ in range(200)]
    assert 50 <= min(sides) < 60
    assert 180 < max(sides) <= 200


def test_a_window_larger_than_the_image_is_filled_up() -> None:
    image, boxes = scene()
    window = Window(0, 0, 512)
    crop = window.filled(window.part(image), 512, GREY)
    np.testing.assert_array_equal(crop[:200, :300], image)
    assert (crop[200:] == GREY).all()
    assert window.boxes(boxes, 200, 300)[1].all()  # all of the image is seen


def test_class_ids_are_not_blended() -> None:
    mask = np.tile(np.array([0, 4], np.uint8), (32, 16))
    assert set(np.unique(Window(0, 0, 32).filled(mask, 50, 255, exact=True))) == {0, 4}


def test_a_box_of_which_little_is_seen_is_left_out() -> None:
    found, seen = Window(0, 0, 100).boxes(np.array([[0, 0, 400, 100], [50, 50, 120, 90]], np.float32), 100, 400)
    # A quarter of the first, 5/7 of the second; the least is 0.35.
    assert seen.tolist() == [False, True]
    np.testing.assert_allclose(found[1], [50, 50, 100, 90])


@pytest.mark.parametrize("size", [(20, 30), (64, 64), (500, 40)])
def test_images_without_boxes_and_of_any_shape_give_windows(size: tuple[int, int]) -> None:
    image = np.full((*size, 3), 7, np.uint8)
    window = random_window(size, np.zeros((0, 4), np.float32), 32, np.random.default_rng(0))
    assert window.filled(window.part(image), 32, GREY).shape == (32, 32, 3)
    assert window.boxes(np.zeros((0, 4), np.float32), *size)[0].shape == (0, 4)
