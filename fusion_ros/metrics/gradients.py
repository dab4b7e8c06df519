"""Metrics of first differences: SF and AG."""

from __future__ import annotations

import math
from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from fusion_ros.metrics.scratch import scratch
from fusion_ros.metrics.windows import strips

Image = NDArray[np.uint8]
Map = NDArray[np.float32]


def spatial_frequency(image: Image) -> float:
    """SF: root of the mean squared first differences down and across, each over its own valid pixels, 0 to 361.

    Args:
        image: (H, W) uint8.
    """
    height, width = image.shape
    squares = 0.0
    if height > 1:
        squares += cv2.norm(image[1:], image[:-1], cv2.NORM_L2SQR) / ((height - 1) * width)
    if width > 1:
        squares += cv2.norm(image[:, 1:], image[:, :-1], cv2.NORM_L2SQR) / (height * (width - 1))
    return math.sqrt(squares)


def twice_the_gradient(image: Image) -> Iterator[tuple[slice, Map]]:
    """Magnitude of the gradient times two, strip by strip: central differences inside, one-sided ones at the border.

    Args:
        image: (H, W) uint8; a side of one pixel has no derivative along it.

    Yields:
        The rows, and (h, W) float32 in scratch memory: the root of a whole number.
    """
    framed = cv2.copyMakeBorder(image, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    for rows in strips(image.shape):
        seen = framed[rows.start : rows.stop + 2]
        grey = scratch("gradient grey", seen.shape, np.float32)
        grey[...] = seen
        shape = rows.stop - rows.start, image.shape[1]
        down, across = (scratch(f"gradient {name}", shape, np.float32) for name in ("down", "across"))
        np.subtract(grey[2:, 1:-1], grey[:-2, 1:-1], out=down)
        np.subtract(grey[1:-1, 2:], grey[1:-1, :-2], out=across)
        # With the border pixel repeated, half a central difference is missing there.
        across[:, [0, -1]] *= 2.0
        if rows.start == 0:
            down[0] *= 2.0
        if rows.stop == image.shape[0]:
            down[-1] *= 2.0
        down *= down
        across *= across
        down += across
        yield rows, np.sqrt(down, out=down)


def average_gradient(image: Image, interior: bool = False) -> float:
    """AG: sum of sqrt((gx^2 + gy^2) / 2) over the number of pixels, 0 to 255.

    Args:
        image: (H, W) uint8.
        interior: divide by (H-1)(W-1) instead of HW.
    """
    height, width = image.shape
    total = sum(float(twice.sum(axis=0).sum(dtype=np.float64)) for _, twice in twice_the_gradient(image)) / math.sqrt(
        8.0
    )
    return total / max((height - 1) * (width - 1), 1) if interior else total / image.size
