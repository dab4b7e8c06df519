"""Histograms, and what follows from them and from sums over pixels, in whole numbers: EN, MI, SD, MSE, CC, SCD."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Counts = NDArray[np.int64]

_LEVELS = np.arange(256, dtype=np.int64)
# OpenCV counts in float32.
_EXACT_COUNT = 2**24


class Levels:
    """The histogram of an image.

    Args:
        counts: (256,) how often each level occurs.
    """

    def __init__(self, counts: Counts) -> None:
        self.counts = counts
        self.pixels = int(counts.sum())

    @classmethod
    def of(cls, image: Image) -> Levels:
        """Of an image of any shape."""
        return cls(_counts(image))

    @cached_property
    def sum(self) -> int:
        """Sum of the grey levels."""
        return int(self.counts @ _LEVELS)

    @cached_property
    def sum_of_squares(self) -> int:
        """Sum of the squared grey levels."""
        return int(self.counts @ _LEVELS**2)

    @property
    def brightest(self) -> int:
        """The highest level that occurs."""
        return int(np.flatnonzero(self.counts)[-1])

    @cached_property
    def entropy(self) -> float:
        """EN: Shannon entropy in bits, 0 to 8."""
        return _entropy(self.counts)

    def standard_deviation(self, saturating: bool = False) -> float:
        """SD: population standard deviation, in grey levels.

        Args:
            saturating: as 8-bit integer arithmetic gives it that rounds and clips every step at 0 and 255 (below 16).
        """
        if not saturating:
            return math.sqrt(self.pixels * self.sum_of_squares - self.sum**2) / self.pixels
        above_mean = np.floor(np.clip(_LEVELS - self.sum / self.pixels, 0.0, 255.0) + 0.5)
        return math.sqrt(float(self.counts @ np.minimum(above_mean**2, 255.0)) / self.pixels)


def joint_entropy(first: Image, second: Image) -> float:
    """Entropy of the 256x256 joint histogram in bits, 0 to 16.

    Args:
        first: uint8 of any shape.
        second: same shape.
    """
    return _entropy(_counts(first, second))


def squared_distance(first: Image, second: Image) -> int:
    """Sum of squared differences of two images of one shape."""
    return round(cv2.norm(first, second, cv2.NORM_L2SQR))


def _counts(*images: Image) -> Counts:
    channels = [np.ascontiguousarray(image).reshape(-1, 1) for image in images]
    total = np.zeros((256,) * len(images), np.int64)
    for start in range(0, len(channels[0]), _EXACT_COUNT):
        part = [channel[start : start + _EXACT_COUNT] for channel in channels]
        counts = cv2.calcHist(part, list(range(len(part))), None, [256] * len(part), [0, 256] * len(part))
        total += counts.reshape(total.shape).astype(np.int64)
    return total


def _entropy(counts: Counts) -> float:
    """log2 N - sum n log2 n / N in bits."""
    some = counts[counts > 0].astype(np.float64)
    total = float(some.sum())
    return max(math.log2(total) - float(some @ np.log2(some)) / total, 0.0)


class Moments:
    """Sums over a triple from which MSE, CC and SCD follow, in whole numbers of any size.

    Args:
        levels: histograms of infrared, visible and fused image.
        apart: squared distances of infrared and visible, infrared and fused, visible and fused image.
    """

    def __init__(self, levels: Sequence[Levels], apart: Sequence[int]) -> None:
        self._count = levels[0].pixels
        self._sums = [level.sum for level in levels]
        self._products = {(i, i): level.sum_of_squares for i, level in enumerate(levels)}
        for (i, j), distance in zip(((0, 1), (0, 2), (1, 2)), apart, strict=True):
            self._products[i, j] = (self._products[i, i] + self._products[j, j] - distance) // 2

    def _covariance(self, first: int, second: int) -> int:
        """Covariance times the squared count."""
        product = self._products[min(first, second), max(first, second)]
        return self._count * product - self._sums[first] * self._sums[second]

    def mean_squared_error(self) -> float:
        """MSE: mean over the two sources of the mean squared difference to the fused image, in squared grey levels."""
        squares = (self._products[i, i] + self._products[2, 2] - 2 * self._products[i, 2] for i in (0, 1))
        return sum(squares) / self._count / 2.0

    def correlation_coefficient(self) -> float:
        """CC: mean over the sources of their correlation with the fused image."""
        fused = self._covariance(2, 2)
        infrared, visible = (_pearson(self._covariance(i, 2), self._covariance(i, i), fused) for i in (0, 1))
        return (infrared + visible) / 2.0

    def sum_of_correlations_of_differences(self) -> float:
        """SCD: r(F - B, A) + r(F - A, B), -2 to 2 (Aslantas and Bendes 2015)."""
        total = 0.0
        for source, other in ((0, 1), (1, 0)):
            covariance = self._covariance(2, source) - self._covariance(other, source)
            difference = self._covariance(2, 2) + self._covariance(other, other) - 2 * self._covariance(2, other)
            total += _pearson(covariance, difference, self._covariance(source, source))
        return total


def _pearson(covariance: int, first_variance: int, second_variance: int) -> float:
    """Pearson's r; 0 where either image is constant, for then neither tells anything of the other."""
    if min(first_variance, second_variance) <= 0:
        return 0.0
    return covariance / math.sqrt(first_variance) / math.sqrt(second_variance)
