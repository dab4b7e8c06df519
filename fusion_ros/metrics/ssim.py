"""SSIM (Wang et al. 2004): Gaussian window 11x11, sigma 1.5, K 0.01 and 0.03, windows that fit into the image only."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from fusion_ros.metrics.parallel import parts
from fusion_ros.metrics.profiles import SsimVariant
from fusion_ros.metrics.scratch import scratch
from fusion_ros.metrics.windows import SlidingWindow, as_float, strips, total

Grey = NDArray[np.float64]
Image = NDArray[np.uint8]

K1, K2 = 0.01, 0.03
WINDOWS = {
    "gaussian": SlidingWindow(np.asarray(cv2.getGaussianKernel(11, 1.5, cv2.CV_64F), np.float64).ravel()),
    "uniform": SlidingWindow(np.full(7, 1.0 / 7.0)),
}


@dataclass(frozen=True)
class Local:
    """Some rows of windows of one image, in scratch memory.

    Attributes:
        seen: (h + N - 1, W), the pixels under them.
        mean: (h, W - N + 1), local means.
        mean_power: same shape, their squares plus c1 / 2 of the formula.
        power: same shape, local variances plus c2 / 2.
    """

    seen: Grey
    mean: Grey
    mean_power: Grey
    power: Grey


class Comparison:
    """The formula for images of one size.

    An image smaller than the window is compared as a whole: one window with equal weights.

    Args:
        variant: window and data range.
        shape: (H, W) of the images.
    """

    def __init__(self, variant: SsimVariant, shape: tuple[int, ...]) -> None:
        window = WINDOWS[variant.window]
        self._window = window if window.fits(shape) else None
        # The uniform window goes with the sample covariance, n / (n - 1).
        count = min(window.size**2, math.prod(shape))
        self._unbiased = count / (count - 1) if variant.window == "uniform" and count > 1 else 1.0
        self._half_c1 = (K1 * variant.data_range) ** 2 / 2.0
        self._half_c2 = (K2 * variant.data_range) ** 2 / 2.0
        self.shape = window.valid(shape) if self._window else (1, 1)

    def maps(self, sources: Sequence[Image], fused: Sequence[Image], rows: slice) -> Iterator[tuple[int, Grey]]:
        """A quarter of SSIM at each of the windows in some rows, of every fused image with every source.

        Args:
            sources: (H, W) uint8 each.
            fused: (H, W) uint8 each.
            rows: one of `strips`.

        Yields:
            Number of the fused image, and (h, W - N + 1) in scratch memory, -0.25 to 0.25.
        """
        references = [self._local(source, rows, str(index)) for index, source in enumerate(sources)]
        for number, image in enumerate(fused):
            local = self._local(image, rows, "fused")
            for reference in references:
                yield number, self._quarter(reference, local)

    def _local(self, image: Image, rows: slice, role: str) -> Local:
        seen = as_float(image[self._window.rows(rows)] if self._window else image, f"ssim {role}")
        shape = rows.stop - rows.start, self.shape[1]
        mean = self._means(seen, scratch(f"ssim mean of {role}", shape))
        power = self._means_of_products(seen, seen, scratch(f"ssim power of {role}", shape))
        squared = scratch(f"ssim square of {role}", shape)
        cv2.multiply(mean, mean, dst=squared)
        cv2.addWeighted(power, self._unbiased, squared, -self._unbiased, self._half_c2, dst=power)
        squared += self._half_c1
        return Local(seen, mean, squared, power)

    def _means(self, seen: Grey, out: Grey) -> Grey:
        if self._window:
            return self._window.means(seen, out)
        out[...] = seen.mean()
        return out

    def _means_of_products(self, first: Grey, second: Grey, out: Grey) -> Grey:
        product = scratch("ssim product", first.shape)
        cv2.multiply(first, second, dst=product)
        return self._means(product, out)

    def _quarter(self, first: Local, second: Local) -> Grey:
        """(mu1 mu2 + c1/2) (cov + c2/2) / ((mu1^2 + mu2^2 + c1) (var1 + var2 + c2))."""
        shape = first.mean.shape
        value = scratch("ssim value", shape)
        cv2.multiply(first.mean, second.mean, dst=value)
        other = self._means_of_products(first.seen, second.seen, scratch("ssim other", shape))
        cv2.addWeighted(other, self._unbiased, value, -self._unbiased, self._half_c2, dst=other)
        value += self._half_c1
        cv2.multiply(value, other, dst=value)
        cv2.divide(value, cv2.add(first.mean_power, second.mean_power, dst=other), dst=value)
        cv2.divide(value, cv2.add(first.power, second.power, dst=other), dst=value)
        return value


class Similarity:
    """SSIM of fused images with two sources.

    Args:
        sources: (H, W) uint8 each.
        variant: window, data range, sum or mean.
    """

    def __init__(self, sources: Sequence[Image], variant: SsimVariant) -> None:
        self._sources, self._variant = sources, variant
        self._comparison = Comparison(variant, sources[0].shape)

    def jobs(self, fused: Sequence[Image]) -> list[Callable[[], Grey]]:
        """Jobs whose results, in their order, `values` takes."""
        return [partial(self._sums, fused, runs) for runs in parts(strips(self._comparison.shape))]

    def _sums(self, fused: Sequence[Image], runs: Sequence[slice]) -> Grey:
        sums = np.zeros((len(runs), len(fused)))
        for of_rows, rows in zip(sums, runs, strict=True):
            for number, quarter in self._comparison.maps(self._sources, fused, rows):
                of_rows[number] += 4.0 * quarter.sum()
        return sums

    def values(self, results: Sequence[Grey]) -> list[float]:
        """SSIM of each fused image, the sum or mean over the sources."""
        count = math.prod(self._comparison.shape) * (len(self._sources) if self._variant.mean else 1)
        return [float(of_image) / count for of_image in total(results)]
