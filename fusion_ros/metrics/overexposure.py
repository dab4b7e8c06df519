"""What global metrics do not see: how a fused image behaves inside and outside the over-exposed part."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusion_ros.errors import InputError
from fusion_ros.metrics import qabf
from fusion_ros.metrics.scoring import as_grey
from fusion_ros.metrics.windows import strips

Mask = NDArray[np.bool_]

SATURATED_LUMA = 250


def checked_mask(mask: Mask, shape: tuple[int, ...]) -> Mask:
    """The mask as bool; InputError where it is not of that shape."""
    if mask.shape != shape:
        raise InputError(f"mask: size {mask.shape} differs from the image's {shape}")
    return mask.astype(bool, copy=False)


def overexposure_mask(visible: NDArray[np.uint8], threshold: int = SATURATED_LUMA) -> Mask:
    """Pixels of the visible luminance at `threshold` or more.

    Args:
        visible: (H, W) uint8.
        threshold: grey level, 0 to 255.
    """
    return np.asarray(as_grey(visible, "visible") >= threshold)


def saturated_share(fused: NDArray[np.uint8], mask: Mask | None = None, threshold: int = SATURATED_LUMA) -> float:
    """Share of the masked pixels that are saturated in the fused image, 0 to 1; 0 for an empty mask."""
    values = as_grey(fused, "fused") if mask is None else as_grey(fused, "fused")[checked_mask(mask, fused.shape)]
    return float((values >= threshold).mean()) if values.size else 0.0


@dataclass(frozen=True)
class GradientRetention:
    """How much of the infrared image's structure the fused image shows inside a mask.

    Attributes:
        correlation: Pearson's r of the two Sobel magnitudes over the mask; 0 where one of them is constant.
        magnitude_ratio: sum of the fused magnitudes over the sum of the infrared's; 0 where the infrared has none.
    """

    correlation: float
    magnitude_ratio: float


def gradient_retention(infrared: NDArray[np.uint8], fused: NDArray[np.uint8], mask: Mask) -> GradientRetention:
    """Compare Sobel magnitudes of the fused and the infrared image inside a mask.

    Correlation alone is won by a faint copy (the average has .98 at half the magnitude), so both numbers count.

    Args:
        infrared: (H, W) uint8.
        fused: (H, W) uint8.
        mask: (H, W) bool.
    """
    infrared, fused = as_grey(infrared, "infrared"), as_grey(fused, "fused")
    mask = checked_mask(mask, fused.shape)
    ours, theirs = (_sobel_magnitude(image)[mask] for image in (fused, infrared))
    if not theirs.size or theirs.sum() == 0:
        return GradientRetention(0.0, 0.0)
    return GradientRetention(_correlation(theirs, ours), float(ours.sum() / theirs.sum()))


def _sobel_magnitude(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    edges = qabf.EdgeImage(image)
    return np.concatenate([edges.at(rows, "fused").strength.astype(np.float64) for rows in strips(image.shape)])


def _correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Pearson's r, -1 to 1; 0 where either is constant."""
    first, second = first - first.mean(), second - second.mean()
    variances = float(np.vdot(first, first)), float(np.vdot(second, second))
    # A constant array leaves rounding dust after its mean is taken away.
    if min(variances) <= 1e-12 * first.size:
        return 0.0
    return float(np.vdot(first, second)) / math.sqrt(variances[0]) / math.sqrt(variances[1])
