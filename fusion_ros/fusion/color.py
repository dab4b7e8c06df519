"""Between BGR images and the luminance that networks fuse: the only place where colour is converted.

Full-range BT.601, as the papers use it: Y = 0.299 R + 0.587 G + 0.114 B, and the chroma planes of OpenCV's `YCrCb`,
which have the same constants (0.713, 0.564). A fused luminance takes the place of the RGB image's; its chroma stays.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_LUMINANCE_OF_BGR = np.array([[0.114, 0.587, 0.299]], np.float32) / np.float32(255)
_ROWS = 32


def luminance(bgr: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Luminance of a (H, W, 3) uint8 BGR image as (H, W) float32 in [0, 1].

    It is computed in float: rounding it to 8 bit first would move a network's output by up to a grey level.
    """
    result = np.empty(bgr.shape[:2], np.float32)
    # A few rows at a time: three float planes of a whole image would not stay in the processor's cache.
    for top in range(0, len(bgr), _ROWS):
        rows = np.s_[top : top + _ROWS]
        result[rows] = cv2.transform(bgr[rows].astype(np.float32), _LUMINANCE_OF_BGR)
    return result


def chroma(bgr: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Cb and Cr of a (H, W, 3) uint8 BGR image as (2, H, W) float32 in [0, 1], 0.5 for grey.

    In float, too: in 8 bit grey is 128, which is 0.502 of 255 and would tint what is made from it.
    """
    planes = cv2.cvtColor(to_unit_range(bgr), cv2.COLOR_BGR2YCrCb)
    return np.ascontiguousarray(planes[..., :0:-1].transpose(2, 0, 1))


def to_unit_range(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """A uint8 image as float32 in [0, 1]."""
    return np.asarray(np.multiply(image, np.float32(1 / 255), dtype=np.float32))


def to_eight_bit(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A float32 image, [0, 1] and clamped to it, as uint8, rounded to nearest. NaN becomes 0.

    `cv2.convertScaleAbs` would mirror negative values into positive ones, so the clamp comes first; NaN it rounds to 0.
    """
    clamped = np.clip(image, np.float32(0), np.float32(1))
    return np.asarray(cv2.convertScaleAbs(clamped, alpha=255), np.uint8)


def with_luminance(bgr: NDArray[np.uint8], fused: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The image `bgr`, (H, W, 3) uint8, with its luminance replaced by `fused`, (H, W) uint8. Colours are clamped.

    Adding `fused` minus Y to B, G and R would be the same without rounding chroma to 8 bit, but no cheaper, and the
    pictures that CAF's authors released, which have that rounding, would be missed by two grey levels here and there.
    """
    planes = cv2.cvtColor(bgr, cv2.COLOR_BGR2YCrCb)
    planes[..., 0] = fused
    return np.asarray(cv2.cvtColor(planes, cv2.COLOR_YCrCb2BGR), np.uint8)
