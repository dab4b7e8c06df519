"""Boxes and masks over images."""

from __future__ import annotations

import numpy as np
import pytest

from fusion_ros.perception import PALETTES, class_colour, draw_detections, draw_segmentation
from fusion_ros.types import Detections, SegmentationMask

NAMES = {0: "person", 1: "bicycle", 2: "car"}


def detections(*boxes: tuple[float, float, float, float]) -> Detections:
    count = len(boxes)
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4), np.full(count, 0.5, np.float32), np.full(count, 2), NAMES
    )


def test_draw_detections_marks_the_outline_in_the_colour_of_the_class_and_leaves_the_input() -> None:
    image = np.zeros((200, 300, 3), np.uint8)
    drawn = draw_detections(image, detections((50, 60, 150, 160)))
    assert not image.any()
    assert tuple(drawn[160, 100]) == class_colour(2, "car")
    assert not drawn[110, 100].any()


def test_draw_detections_without_boxes_is_a_copy() -> None:
    image = np.random.default_rng(0).integers(0, 255, (20, 30, 3)).astype(np.uint8)
    drawn = draw_detections(image, detections())
    np.testing.assert_array_equal(drawn, image)
    assert not np.shares_memory(drawn, image)


def test_draw_detections_stays_in_the_image_for_boxes_at_and_beyond_its_edge() -> None:
    image = np.zeros((60, 80, 3), np.uint8)
    drawn = draw_detections(image, detections((-20, -20, 200, 200), (70, 0, 79, 5)))
    assert drawn.shape == image.shape
    assert drawn.any()


def test_draw_detections_names_a_class_it_has_no_name_for_by_its_number() -> None:
    unnamed = Detections(
        np.array([[5, 30, 40, 50]], np.float32), np.array([0.5], np.float32), np.array([9]), {0: "person"}
    )
    assert draw_detections(np.zeros((60, 80, 3), np.uint8), unnamed).any()


def test_draw_segmentation_mixes_colours_and_leaves_background_as_it_is() -> None:
    image = np.full((4, 6, 3), 100, np.uint8)
    class_id = np.zeros((4, 6), np.uint8)
    class_id[:, 3:] = 1
    mask = SegmentationMask(class_id, {0: "background", 1: "person"})
    drawn = draw_segmentation(image, mask, opacity=0.25)
    np.testing.assert_array_equal(drawn[:, :3], image[:, :3])
    expected = 0.75 * 100 + 0.25 * np.array(class_colour(1, "person"))
    np.testing.assert_allclose(drawn[0, 4], expected, atol=1)
    assert (image == 100).all()


def test_draw_segmentation_leaves_pixels_of_a_class_without_a_name() -> None:
    image = np.full((4, 6, 3), 100, np.uint8)
    mask = SegmentationMask(np.full((4, 6), 255, np.uint8), {0: "background", 1: "person"})
    np.testing.assert_array_equal(draw_segmentation(image, mask), image)


def test_draw_segmentation_refuses_a_mask_of_another_size() -> None:
    mask = SegmentationMask(np.zeros((4, 5), np.uint8), {0: "background"})
    with pytest.raises(ValueError, match=r"\(4, 5\) is not that of the image, \(4, 6\)"):
        draw_segmentation(np.zeros((4, 6, 3), np.uint8), mask)


def test_palettes_tell_the_shipped_classes_apart() -> None:
    for palette in PALETTES:
        for names in (NAMES, {1: "person", 2: "bicycle", 3: "car", 4: "road"}):
            colours = {class_colour(class_id, name, palette) for class_id, name in names.items()}
            assert len(colours) == len(names), palette
    with pytest.raises(ValueError, match="'sepia' is not one of"):
        class_colour(0, "person", "sepia")
