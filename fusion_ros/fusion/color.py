"""Between BGR images and the luminance that networks fuse: the only place where colour is converted.

Full-range BT.601, as the papers use it: Y = 0.299 R + 0.587 G + 0.114 B, and the chroma planes of OpenCV's `YCrCb`,
which have the same constants (0.713, 0.564). A fused luminance takes the place of the RGB image's; its chroma stays.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def luminance(bgr: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Luminance of a (H, W, 3) uint8 BGR image as (H, W) float32 in [0, 1].

    It is computed in float: rounding it to 8 bit first would move a network's output by up to a grey level.
    """
    return np.asarray(cv2.cvtColor(bgr.astype(np.float32), cv2.COLOR_BGR2GRAY) * np.float32(1 / 255), np.float32)


def to_unit_range(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """A uint8 image as float32 in [0, 1]."""
    return np.asarray(image * np.float32(1 / 255), np.float32)


def to_eight_bit(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A float32 image, [0, 1] and clamped to it, as uint8, rounded to nearest. NaN becomes 0.

    `cv2.convertScaleAbs` would mirror negative values into positive ones, so the clamp comes first.
    """
    scaled = np.clip(np.nan_to_num(image, nan=0.0) if np.isnan(image.sum()) else image, 0.0, 1.0) * np.float32(255)
    return np.asarray(np.rint(scaled), np.uint8)


def with_luminance(bgr: NDArray[np.uint8], fused: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The image `bgr`, (H, W, 3) uint8, with its luminance replaced by `fused`, (H, W) uint8. Colours are clamped."""
    planes = cv2.cvtColor(bgr, cv2.COLOR_BGR2YCrCb)
    planes[..., 0] = fused
    return np.asarray(cv2.cvtColor(planes, cv2.COLOR_YCrCb2BGR), np.uint8)
