"""VIFp: pixel-domain visual information fidelity (Sheikh and Bovik), four scales.

This is what tables of this field print as VIF, summed over the two sources. The window of scale 1 to 4 is a Gaussian
of 17, 9, 5, 3 pixels with sigma N/5, applied without padding; before scales 2 to 4 the images are blurred with that
scale's window and every second pixel is kept. The noise variance of 2 is in squared grey levels: images are 0..255.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.float64]

WINDOWS = (17, 9, 5, 3)
NOISE_VARIANCE = 2.0
EPSILON = 1e-10
# Of a reference without any variance there is nothing to lose.
VIF_OF_CONSTANT_REFERENCE = 1.0


def _gaussian(image: Grey, size: int) -> Grey:
    """Blur (H, W) without padding: (H - size + 1, W - size + 1)."""
    window = cv2.getGaussianKernel(size, size / 5.0, cv2.CV_64F)
    blurred = cv2.sepFilter2D(image, cv2.CV_64F, window, window)
    margin = size // 2
    return np.asarray(blurred[margin : image.shape[0] - margin, margin : image.shape[1] - margin])


@dataclass(frozen=True)
class Scale:
    """One image at one scale.

    Attributes:
        image: (H_s, W_s), the image at this scale.
        mean: (H_s - N + 1, W_s - N + 1), local means.
        variance: same shape, local variances, 0 or more.
        window: N.
        clip: products of grey levels are clipped here (infinity but for the saturating variant).
    """

    image: Grey
    mean: Grey
    variance: Grey
    window: int
    clip: float


class VifPyramid:
    """Local means and variances of one image at every scale, computed once for all comparisons it takes part in.

    Args:
        image: (H, W) float64, 0 to 255. Scales whose window does not fit are left out.
        saturating: clip squares and products at 255 at the finest scale, as 8-bit arithmetic did in one toolkit.
    """

    def __init__(self, image: Grey, saturating: bool = False) -> None:
        self.scales: list[Scale] = []
        for level, window in enumerate(WINDOWS):
            if level and min(image.shape) >= window:
                image = np.ascontiguousarray(_gaussian(image, window)[::2, ::2])
            if min(image.shape) < window:
                break
            clip = 255.0 if saturating and level == 0 else np.inf
            mean = _gaussian(image, window)
            variance = _gaussian(_product(image, image, clip), window)
            variance -= mean * mean
            np.maximum(variance, 0.0, out=variance)
            self.scales.append(Scale(image, mean, variance, window, clip))

    @cached_property
    def information(self) -> float:
        """Information in the image as a reference, in nats."""
        return sum(_sum_of_logarithms(there) for there in self.information_factors())

    def information_factors(self) -> list[Grey]:
        """For every scale 1 + var / noise at each window position; its logarithm is the information there."""
        factors = []
        for scale in self.scales:
            there = np.where(scale.variance < EPSILON, 0.0, scale.variance)
            there *= 1.0 / NOISE_VARIANCE
            there += 1.0
            factors.append(there)
        return factors


def _product(first: Grey, second: Grey, clip: float) -> Grey:
    product = first * second
    return np.minimum(product, clip, out=product) if clip < np.inf else product


def _sum_of_logarithms(factors: Grey) -> float:
    """Sum of ln over all elements, one logarithm for eight rows: each factor is below 1e5, so their product is safe."""
    whole = len(factors) // 8 * 8
    products = np.multiply.reduce(factors[:whole].reshape(8, whole // 8, factors.shape[1]), axis=0)
    return float(np.log(products).sum() + np.log(factors[whole:]).sum())


def kept_factors(reference: VifPyramid, distorted: VifPyramid) -> list[Grey]:
    """For every scale 1 + g^2 var / (var_v + noise) at each window position; its logarithm is the information kept."""
    factors = []
    for ref, dist in zip(reference.scales, distorted.scales, strict=True):
        covariance = _gaussian(_product(ref.image, dist.image, ref.clip), ref.window)
        gain = ref.mean * dist.mean
        covariance -= gain
        np.add(ref.variance, EPSILON, out=gain)
        np.divide(covariance, gain, out=gain)
        # A gain that is negative, or has nothing to act on, explains nothing: g = 0 leaves a factor of 1 whatever the
        # residual, so the residual need not be set apart for it.
        gain[(gain < 0) | (ref.variance < EPSILON) | (dist.variance < EPSILON)] = 0.0
        covariance *= gain
        residual = np.subtract(dist.variance, covariance, out=covariance)
        np.maximum(residual, EPSILON, out=residual)
        residual += NOISE_VARIANCE
        gain *= gain
        gain *= ref.variance
        gain /= residual
        gain += 1.0
        factors.append(gain)
    return factors


def vif(reference: VifPyramid, distorted: VifPyramid) -> float:
    """VIFp of a distorted image against its reference: 1 when identical, can exceed 1.

    A reference that is constant, or smaller than the finest window (17 pixels), gives `VIF_OF_CONSTANT_REFERENCE`.
    """
    if reference.information <= EPSILON:
        return VIF_OF_CONSTANT_REFERENCE
    return sum(_sum_of_logarithms(kept) for kept in kept_factors(reference, distorted)) / reference.information
