"""Metrics of grey values and their first differences: SD, SF, AG, MSE, PSNR, CC, SCD."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from fusion_ros.metrics.profiles import PSNR_OF_IDENTITY_DB

Grey = NDArray[np.float64]
Image = NDArray[np.uint8]


class Moments:
    """Sums over a triple from which MSE, CC and SCD follow; exact, for all of them are whole numbers below 2^53.

    Args:
        infrared: any shape, float64 whole grey levels 0 to 255.
        visible: same shape.
        fused: same shape.
    """

    def __init__(self, infrared: Grey, visible: Grey, fused: Grey) -> None:
        images = [image.ravel() for image in (infrared, visible, fused)]
        self._count = images[0].size
        self._sums = [float(image.sum()) for image in images]
        self._products = {(i, j): float(np.dot(images[i], images[j])) for i in range(3) for j in range(i, 3)}

    def _covariance(self, first: int, second: int) -> float:
        """Covariance times the squared count, a whole number."""
        product = self._products[min(first, second), max(first, second)]
        return self._count * product - self._sums[first] * self._sums[second]

    def mean_squared_error(self) -> float:
        """MSE: mean over the two sources of the mean squared difference to the fused image, in squared grey levels."""
        squares = (self._products[i, i] + self._products[2, 2] - 2.0 * self._products[i, 2] for i in (0, 1))
        return sum(squares) / self._count / 2.0

    def correlation_coefficient(self) -> float:
        """CC: mean over the sources of their correlation with the fused image."""
        fused = self._covariance(2, 2)
        return sum(_pearson(self._covariance(i, 2), self._covariance(i, i), fused) for i in (0, 1)) / 2.0

    def sum_of_correlations_of_differences(self) -> float:
        """SCD: r(F - B, A) + r(F - A, B), -2 to 2 (Aslantas and Bendes 2015)."""
        total = 0.0
        for source, other in ((0, 1), (1, 0)):
            covariance = self._covariance(2, source) - self._covariance(other, source)
            difference = self._covariance(2, 2) + self._covariance(other, other) - 2.0 * self._covariance(2, other)
            total += _pearson(covariance, difference, self._covariance(source, source))
        return total


def _pearson(covariance: float, first_variance: float, second_variance: float) -> float:
    """Pearson's r; 0 where either image is constant, for then neither tells anything of the other."""
    if min(first_variance, second_variance) <= 0.0:
        return 0.0
    return covariance / math.sqrt(first_variance) / math.sqrt(second_variance)


def correlation(first: Grey, second: Grey) -> float:
    """Pearson's r of any two arrays of one shape, -1 to 1; 0 where either is constant."""
    first, second = first - first.mean(), second - second.mean()
    variances = float(np.vdot(first, first)), float(np.vdot(second, second))
    # A constant array leaves rounding dust after its mean is taken away.
    if min(variances) <= 1e-12 * first.size:
        return 0.0
    return _pearson(float(np.vdot(first, second)), *variances)


def standard_deviation(image: Grey, saturating: bool = False) -> float:
    """SD: population standard deviation, in grey levels.

    Args:
        image: any shape, float64, 0 to 255.
        saturating: as 8-bit integer arithmetic gives it that rounds and clips every step at 0 and 255 (below 16).
    """
    if not saturating:
        return float(image.std())
    above_mean = np.floor(np.clip(image - image.mean(), 0.0, 255.0) + 0.5)
    return math.sqrt(float(np.minimum(above_mean**2, 255.0).mean()))


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


def central_differences(image: Image) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Derivatives down and across, central inside and one-sided at the border, (H, W) float32, exact halves.

    Args:
        image: (H, W) uint8; a side of one pixel has no derivative along it.
    """
    grey = image.astype(np.float32)
    down, across = np.zeros_like(grey), np.zeros_like(grey)
    for source, derivative in ((grey, down), (grey.T, across.T)):
        if len(source) > 1:
            np.subtract(source[2:], source[:-2], out=derivative[1:-1])
            derivative[1:-1] *= np.float32(0.5)
            np.subtract(source[1], source[0], out=derivative[0])
            np.subtract(source[-1], source[-2], out=derivative[-1])
    return down, across


def gradient_magnitude(down: NDArray[np.float32], across: NDArray[np.float32]) -> NDArray[np.float32]:
    """sqrt(down^2 + across^2), to the last bit the same for the same input.

    OpenCV's `magnitude` is not: its last bit depends on where in memory the arrays lie.
    """
    return np.sqrt(down * down + across * across)


def average_gradient(image: Image, interior: bool = False) -> float:
    """AG: sum of sqrt((gx^2 + gy^2) / 2) over the number of pixels, gradients by `central_differences`, 0 to 255.

    Args:
        image: (H, W) uint8.
        interior: divide by (H-1)(W-1) instead of HW.
    """
    height, width = image.shape
    down, across = central_differences(image)
    total = float(gradient_magnitude(down, across).sum(dtype=np.float64)) / math.sqrt(2.0)
    return total / max((height - 1) * (width - 1), 1) if interior else total / image.size


def peak_signal_to_noise(mse: float, peak: float = 255.0) -> float:
    """PSNR of a mean squared error in decibel; `PSNR_OF_IDENTITY_DB` where the error is zero, 0 for a black image."""
    if mse == 0.0:
        return PSNR_OF_IDENTITY_DB
    return 10.0 * math.log10(peak * peak / mse) if peak > 0 else 0.0
