"""Pasting objects of other pairs."""

from __future__ import annotations

import numpy as np
import pytest

from fusion_ros.training.data.labelled_pairs import LabelledPair
from fusion_ros.training.object_paste import ObjectBank


@pytest.fixture
def bank() -> ObjectBank:
    """Knows one bright person of 20 by 40 pixels in a dark scene."""
    infrared = np.zeros((120, 160), np.uint8)
    infrared[40:80, 60:80] = 250
    box = np.array([[60, 40, 80, 80]], np.float32)
    return ObjectBank([LabelledPair("one", np.dstack([infrared] * 3), infrared, box, np.array([0]))])


def empty_scene() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    return (
        np.zeros((120, 160, 3), np.uint8),
        np.zeros((120, 160), np.uint8),
        np.zeros((0, 4), np.float32),
        np.zeros(0, int),
    )


def test_an_object_appears_in_both_images_where_its_box_says(bank: ObjectBank) -> None:
    random = np.random.default_rng(0)
    for _ in range(20):
        visible, infrared, xyxy, class_id = bank.paste(*empty_scene(), (0, 120), random)
        assert class_id.tolist() == [0]
        left, top, right, bottom = np.rint(xyxy[0]).astype(int)
        for image in (visible[:, :, 1], infrared):
            assert image[top + 2 : bottom - 2, left + 2 : right - 2].min() > 200
            outside = image.copy()
            outside[max(top - 2, 0) : bottom + 2, max(left - 2, 0) : right + 2] = 0
            assert outside.max() < 100
        # It keeps its height in the scene: its centre was at half of the image, give or take the jitter.
        assert abs((top + bottom) / 2 / 120 - 0.5) < 0.1


def test_nothing_that_is_there_is_hidden_and_the_scene_given_is_not_changed(bank: ObjectBank) -> None:
    visible, infrared, _, _ = empty_scene()
    everywhere = np.array([[0, 0, 160, 120]], np.float32)
    found = bank.paste(visible, infrared, everywhere, np.array([2]), (0, 120), np.random.default_rng(0))
    np.testing.assert_array_equal(found[2], everywhere)
    bank.paste(*empty_scene()[:2], *empty_scene()[2:], (0, 120), np.random.default_rng(0))
    assert infrared.max() == 0


def test_without_objects_or_room_nothing_is_pasted(bank: ObjectBank) -> None:
    scene = empty_scene()
    assert len(ObjectBank([]).paste(*scene, (0, 120), np.random.default_rng(0))[2]) == 0
    small = (scene[0][:10, :10], scene[1][:10, :10], *scene[2:])
    assert len(bank.paste(*small, (0, 120), np.random.default_rng(0))[2]) == 0
