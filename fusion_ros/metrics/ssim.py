"""SSIM (Wang et al. 2004): Gaussian window 11x11, sigma 1.5, K 0.01 and 0.03, windows that fit into the image only."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from fusion_ros.metrics.profiles import SsimVariant

Grey = NDArray[np.float64]

K1, K2 = 0.01, 0.03
WINDOWS = {"gaussian": 11, "uniform": 7}


class SsimMoments:
    """Local means and variances of one image, computed once for all comparisons it takes part in.

    An image smaller than the window is compared as a whole: one window with equal weights.

    Args:
        image: (H, W) float64, 0 to 255.
        window: `gaussian` or `uniform`.
    """

    def __init__(self, image: Grey, window: str = "gaussian") -> None:
        self.image = image
        self.window = window
        self.mean = self.blur(image)
        self.mean_squared = self.mean * self.mean
        self.variance = self.unbiased(self.blur(image * image) - self.mean_squared)

    def blur(self, image: Grey) -> Grey:
        """Weighted mean of every window that fits, (H - n + 1, W - n + 1)."""
        size = WINDOWS[self.window]
        if min(image.shape) < size:
            return np.full((1, 1), image.mean())
        if self.window == "gaussian":
            kernel = cv2.getGaussianKernel(size, 1.5, cv2.CV_64F)
            blurred = cv2.sepFilter2D(image, cv2.CV_64F, kernel, kernel)
        else:
            blurred = cv2.boxFilter(image, cv2.CV_64F, (size, size))
        margin = size // 2
        return np.asarray(blurred[margin : image.shape[0] - margin, margin : image.shape[1] - margin])

    def unbiased(self, second_moment: Grey) -> Grey:
        """The uniform window goes with the sample covariance, n / (n - 1)."""
        count = min(WINDOWS["uniform"] ** 2, self.image.size)
        return second_moment * (count / (count - 1)) if self.window == "uniform" and count > 1 else second_moment


def ssim_map(first: SsimMoments, second: SsimMoments, data_range: float = 255.0) -> Grey:
    """SSIM at every window position, (H - n + 1, W - n + 1), -1 to 1."""
    c1, c2 = (K1 * data_range) ** 2, (K2 * data_range) ** 2
    product = first.mean * second.mean
    # In place, for at this size fresh memory costs more than arithmetic:
    # (2 mu1 mu2 + c1) (2 cov + c2) / ((mu1^2 + mu2^2 + c1) (var1 + var2 + c2)).
    covariance = first.blur(first.image * second.image)
    covariance -= product
    covariance = first.unbiased(covariance)
    covariance *= 2.0
    covariance += c2
    product *= 2.0
    product += c1
    product *= covariance
    power = np.add(first.mean_squared, second.mean_squared, out=covariance)
    power += c1
    product /= power
    variance = np.add(first.variance, second.variance, out=power)
    variance += c2
    product /= variance
    return product


def ssim(first: SsimMoments, second: SsimMoments, variant: SsimVariant) -> float:
    """Mean SSIM of two images."""
    return float(ssim_map(first, second, variant.data_range).mean())
