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


def squared_differences(image: Image) -> tuple[int, int]:
    """Sums of the squared first differences of (H, W) uint8 down and across."""
    pairs = (image[1:], image[:-1]), (image[:, 1:], image[:, :-1])
    down, across = (round(cv2.norm(one, other, cv2.NORM_L2SQR)) if one.size else 0 for one, other in pairs)
    return down, across


def spatial_frequency(squares: tuple[int, int], shape: tuple[int, ...]) -> float:
    """SF: root of the mean squared first differences down and across, each over its own valid pixels, 0 to 361.

    Args:
        squares: of `squared_differences`.
        shape: (H, W) of the image.
    """
    height, width = shape
    down, across = squares
    return math.sqrt(down / max((height - 1) * width, 1) + across / max(height * (width - 1), 1))


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


def gradient_sum(image: Image) -> float:
    """Sum of the magnitudes of the gradient of (H, W) uint8."""
    # Few rows may be added in single precision; many may not.
    return sum(float(twice.sum(axis=0).sum(dtype=np.float64)) for _, twice in twice_the_gradient(image)) / 2.0


def average_gradient(total: float, shape: tuple[int, ...], interior: bool = False) -> float:
    """AG: sum of sqrt((gx^2 + gy^2) / 2) over the number of pixels, 0 to 255.

    Args:
        total: of `gradient_sum`.
        shape: (H, W) of the image.
        interior: divide by (H-1)(W-1) instead of HW.
    """
    height, width = shape
    return total / math.sqrt(2.0) / (max((height - 1) * (width - 1), 1) if interior else height * width)
