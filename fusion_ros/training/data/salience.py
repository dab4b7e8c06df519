"""Salient objects of an infrared image without a network: threshold and contours."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fusion_ros.configuration import setting


@dataclass(frozen=True)
class SalienceConfig:
    """What counts as a salient infrared object.

    The surroundings are the mean over a wide box; an object is a connected region that is `contrast` brighter, of a
    size between the two limits.
    """

    surroundings: float = setting(0.25, "side of the box, as a share of the short image side", minimum=0.02, maximum=1)
    contrast: float = setting(28.0, "grey levels above the surroundings", minimum=1.0, maximum=255.0)
    smallest: float = setting(1e-4, "smallest area, as a share of the image", minimum=0.0, maximum=1.0)
    largest: float = setting(0.15, "largest area, as a share of the image", minimum=0.0, maximum=1.0)


def salient_infrared(infrared: NDArray[np.uint8], config: SalienceConfig | None = None) -> NDArray[np.bool_]:
    """Pixels of salient objects.

    Args:
        infrared: (H, W) uint8.
        config: limits.

    Returns:
        (H, W) bool: filled contours of regions that are warmer than what is around them.
    """
    config = config or SalienceConfig()
    height, width = infrared.shape
    side = max(3, round(config.surroundings * min(height, width)) | 1)
    smooth = cv2.GaussianBlur(infrared, (0, 0), 1.0)
    around = cv2.blur(smooth, (side, side), borderType=cv2.BORDER_REFLECT)
    warmer = (cv2.subtract(smooth, around) >= config.contrast).astype(np.uint8)
    regions = cv2.morphologyEx(warmer, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    contours, _ = cv2.findContours(regions, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    area = height * width
    wanted = [c for c in contours if config.smallest * area <= cv2.contourArea(c) <= config.largest * area]
    mask = np.zeros((height, width), np.uint8)
    cv2.drawContours(mask, wanted, -1, 1, thickness=cv2.FILLED)
    return mask.astype(bool)


def boxes_of(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Boxes around the connected regions of a mask: (N, 4) float32, x1 y1 x2 y2, exclusive ends, in pixels."""
    count, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    left, top, width, height = (stats[1:count, index].astype(np.float32) for index in range(4))
    return np.stack([left, top, left + width, top + height], axis=1).reshape(-1, 4)
