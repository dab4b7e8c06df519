"""Draws what a segmenter is shown of a pair: a crop of a picture that light and mode may give, and its mask."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fusion_ros.training.data.box_masks import IGNORED
from fusion_ros.training.data.masked_pairs import MaskedPair
from fusion_ros.training.object_crops import GREY, random_window
from fusion_ros.training.sensor_mix import SensorMixConfig, random_mix


def draw_masked_view(
    pair: MaskedPair, side: int, config: SensorMixConfig, random: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw a square view.

    Args:
        pair: images and mask on one grid.
        side: of the result, pixels.
        config: how often which picture is drawn.
        random: decides.

    Returns:
        (side, side, 3) uint8 BGR and (side, side) uint8 class ids, `IGNORED` where the crop reaches beyond the image.
    """
    height, width = pair.infrared.shape
    window = random_window((height, width), pair.xyxy, side, random)
    boxes, seen = window.boxes(pair.xyxy, height, width)
    visible, infrared = window.part(pair.visible), window.part(pair.infrared)
    picture = random_mix(visible, infrared, config, random, boxes[seen] if len(pair.xyxy) else None)
    mask = window.filled(window.part(pair.class_id), side, IGNORED, exact=True)
    return window.filled(picture, side, GREY), mask
