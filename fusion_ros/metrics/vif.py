"""VIFp: pixel-domain visual information fidelity (Sheikh and Bovik), four scales.

This is what tables of this field print as VIF, summed over the two sources. The window of scale 1 to 4 is a Gaussian
of 17, 9, 5, 3 pixels with sigma N/5, applied without padding; before scales 2 to 4 the images are blurred with that
scale's window and every second pixel is kept. The noise variance of 2 is in squared grey levels: images are 0..255.

With the gain g = cov / (var_r + 1e-10), the residual var_d - g cov and the noise n, the information kept at a window is
ln(1 + g^2 var_r / (residual + n)). As cov^2 <= var_r var_d, the residual is never negative and this is
ln(p / (p - e)) with p = var_d + n and e = g^2 var_r, which differs from g cov by 1e-10 / var_r of it. So where var_r is
not faint, the product over many windows needs one logarithm, and little is left that depends on both images.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from fusion_ros.metrics.levels import Levels
from fusion_ros.metrics.parallel import in_parallel, parts
from fusion_ros.metrics.scratch import scratch
from fusion_ros.metrics.windows import SlidingWindow, as_float, strips, total

Grey = NDArray[np.float64]
Image = NDArray[np.uint8] | Grey

WINDOWS = tuple(
    SlidingWindow(np.asarray(cv2.getGaussianKernel(n, n / 5.0, cv2.CV_64F), np.float64).ravel()) for n in (17, 9, 5, 3)
)
NOISE_VARIANCE = 2.0
EPSILON = 1e-10
# Of a reference without any variance there is nothing to lose.
VIF_OF_CONSTANT_REFERENCE = 1.0
# At variances below 1e-5 the short formula is too coarse; one grey level in one pixel of the finest window makes 5e-5.
_FAINT_GAIN = 1e5
# Factors that clipped products leave reach 1e15: so many of them can be multiplied.
_ROWS_OF_FACTORS = 16


@dataclass(frozen=True)
class Scale:
    """An image at one scale.

    Attributes:
        image: (H, W) uint8 or float64, the image at this scale.
        window: of N pixels.
        origin: grey level that moments are taken about: the most frequent one, so that where an image is flat and its
            variance tiny, rounding does not hide it.
        clip: products of grey levels are clipped here (infinity but for the saturating variant).
    """

    image: Image
    window: SlidingWindow
    origin: float = 0.0
    clip: float = math.inf

    @property
    def shape(self) -> tuple[int, int]:
        """Windows down and across, (H - N + 1, W - N + 1)."""
        return self.window.valid(self.image.shape)

    def means_of_products(self, first: Grey, second: Grey, role: str) -> Grey:
        """Local means of products of grey levels, in scratch memory."""
        product = scratch("vif product", first.shape)
        cv2.multiply(first, second, dst=product)
        if self.clip < math.inf:
            np.minimum(product, self.clip, out=product)
        shape = first.shape[0] - self.window.size + 1, self.shape[1]
        return self.window.means(product, scratch(f"vif {role}", shape))


class Local:
    """Moments of an image in some rows of windows, in scratch memory.

    Args:
        scale: the image.
        rows: of windows.
        role: a name of its own for the scratch memory.

    Attributes:
        seen: (h + N - 1, W), the pixels under the windows.
        mean: (h, W - N + 1), local means.
        variance: same shape, local variances, 0 where they are below 1e-10.
        power: same shape, local variances plus the noise variance.
    """

    def __init__(self, scale: Scale, rows: slice, role: str) -> None:
        self.seen = as_float(scale.image[scale.window.rows(rows)], f"vif {role}", scale.origin)
        shape = rows.stop - rows.start, scale.shape[1]
        self.mean = scale.window.means(self.seen, scratch(f"vif mean of {role}", shape))
        self.variance = scale.means_of_products(self.seen, self.seen, f"variance of {role}")
        squared = scratch("vif square", shape)
        cv2.multiply(self.mean, self.mean, dst=squared)
        cv2.subtract(self.variance, squared, dst=self.variance)
        cv2.threshold(self.variance, EPSILON, 0.0, cv2.THRESH_TOZERO, dst=self.variance)
        self.power = np.add(self.variance, NOISE_VARIANCE, out=scratch(f"vif power of {role}", shape))


class Reference:
    """A source in some rows of windows.

    Args:
        scale, rows, role: see `Local`.

    Attributes:
        local: its moments.
        gain: (h, w), var / (var + 1e-10)^2: times the squared covariance, what the source explains of the variance.
        faint: whether a variance is so small that the 1e-10 counts beside it.
        there: information in the source, in nats.
    """

    def __init__(self, scale: Scale, rows: slice, role: str) -> None:
        self.local = Local(scale, rows, role)
        variance, power = self.local.variance, self.local.power
        gain = np.add(variance, EPSILON, out=scratch(f"vif gain of {role}", variance.shape))
        cv2.multiply(gain, gain, dst=gain)
        cv2.divide(variance, gain, dst=gain)
        self.gain = gain
        self.faint = float(gain.max()) > _FAINT_GAIN
        self.there = _sum_of_logarithms(np.multiply.reduce(power, axis=0) * NOISE_VARIANCE ** -len(power))


def finest(image: NDArray[np.uint8], saturating: bool = False) -> list[Scale]:
    """The image at the finest scale; nothing where its window does not fit.

    Args:
        image: (H, W) uint8.
        saturating: clip squares and products at 255, as 8-bit arithmetic did in one toolkit.
    """
    if not WINDOWS[0].fits(image.shape):
        return []
    # Clipped products depend on the origin.
    origin, clip = (0.0, 255.0) if saturating else (float(Levels.of(image).counts.argmax()), math.inf)
    return [Scale(image, WINDOWS[0], origin, clip)]


def pyramid(scales: Sequence[Scale]) -> list[Scale]:
    """The finest scale and the others whose windows fit."""
    scales = list(scales)
    for window in WINDOWS[1:] if scales else ():
        finer = scales[-1]
        image: Image = finer.image
        if window.fits(image.shape):
            half = np.empty(window.valid(image.shape, step=2))
            for rows in strips(half.shape):
                seen = as_float(image[window.rows(rows, step=2)], "vif finer", finer.origin)
                window.means(seen, half[rows], step=2)
            image = half
        if not window.fits(image.shape):
            break
        scales.append(Scale(image, window))
    return scales


def _sum_of_logarithms(products: Grey) -> float:
    return float(np.log(products).sum())


def _pairs(
    sources: Sequence[Scale], fused: Sequence[Scale], rows: slice
) -> Iterator[tuple[int, int, Local, Reference]]:
    """Every fused image with every source, in some rows of windows, after their numbers."""
    references = [Reference(source, rows, str(index)) for index, source in enumerate(sources)]
    for image, scale in enumerate(fused):
        local = Local(scale, rows, "fused")
        for index, reference in enumerate(references):
            yield image, index, local, reference


def information(sources: Sequence[Scale], fused: Sequence[Scale], rows: slice) -> Grey:
    """Information in nats that each fused image keeps of each source, and that was there, in some rows of windows.

    Args:
        sources: at one scale.
        fused: at the same scale.
        rows: one of `strips`.

    Returns:
        (fused images, sources, 2): kept and there, sums over the windows.
    """
    found = np.empty((len(fused), len(sources), 2))
    for image, index, local, reference in _pairs(sources, fused, rows):
        scale = fused[image]
        if scale.clip < math.inf or reference.faint:
            factors = _factors(scale, local, reference)
            parts = (factors[first : first + _ROWS_OF_FACTORS] for first in range(0, len(factors), _ROWS_OF_FACTORS))
            kept = sum(_sum_of_logarithms(np.multiply.reduce(part, axis=0)) for part in parts)
        else:
            products = np.multiply.reduce(local.power, axis=0)
            products /= np.multiply.reduce(_unexplained(scale, local, reference), axis=0)
            kept = _sum_of_logarithms(products)
        found[image, index] = kept, reference.there
    return found


def information_maps(
    sources: Sequence[Scale], fused: Sequence[Scale], rows: slice
) -> Iterator[tuple[int, int, Grey, Grey]]:
    """As `information` at every window: number of fused image and source, kept, there."""
    for image, index, local, reference in _pairs(sources, fused, rows):
        scale = fused[image]
        if scale.clip < math.inf or reference.faint:
            factors = _factors(scale, local, reference)
        else:
            factors = local.power / _unexplained(scale, local, reference)
        yield image, index, np.log(factors), np.log(reference.local.power / NOISE_VARIANCE)


def _covariance(scale: Scale, local: Local, reference: Reference) -> Grey:
    """Local covariances in scratch memory, 0 for negative ones: a negative gain explains nothing."""
    covariance = scale.means_of_products(reference.local.seen, local.seen, "covariance")
    means = scratch("vif square", covariance.shape)
    cv2.multiply(reference.local.mean, local.mean, dst=means)
    cv2.subtract(covariance, means, dst=covariance)
    return np.maximum(covariance, 0.0, out=covariance)


def _unexplained(scale: Scale, local: Local, reference: Reference) -> Grey:
    """What the source does not explain of the fused image's power, noise included: p - e."""
    explained = _covariance(scale, local, reference)
    cv2.multiply(explained, explained, dst=explained)
    cv2.multiply(explained, reference.gain, dst=explained)
    cv2.subtract(local.power, explained, dst=explained)
    return explained


def _factors(scale: Scale, local: Local, reference: Reference) -> Grey:
    """1 + g^2 var_r / (residual + noise), also for clipped products, whose covariance their variances do not bound."""
    covariance = _covariance(scale, local, reference)
    there, shown = reference.local.variance, local.variance
    gain = np.where((there > 0) & (shown > 0), covariance / (there + EPSILON), 0.0)
    residual = np.maximum(shown - gain * covariance, EPSILON)
    return np.asarray(1.0 + gain * gain * there / (residual + NOISE_VARIANCE))


class Fidelity:
    """VIF of fused images against two sources.

    A source that is constant, or smaller than the finest window (17 pixels), counts `VIF_OF_CONSTANT_REFERENCE`.

    Args:
        sources: (H, W) uint8 each.
        saturating: see `finest`.
    """

    def __init__(self, sources: Sequence[NDArray[np.uint8]], saturating: bool = False) -> None:
        self._saturating = saturating
        self._sources = in_parallel([partial(pyramid, finest(source, saturating)) for source in sources])

    def jobs(self, fused: Sequence[NDArray[np.uint8]]) -> list[Callable[[], Grey]]:
        """Jobs whose results, in their order, `values` takes."""
        images = [finest(image, self._saturating) for image in fused]
        runs = parts(strips(images[0][0].shape)) if images[0] else []
        return [partial(self._at_others, images), *(partial(self._at_scale, 0, images, run) for run in runs)]

    def _at_others(self, fused: Sequence[Sequence[Scale]]) -> Grey:
        pyramids = [pyramid(image) for image in fused]
        levels = range(1, len(pyramids[0]))
        found = [self._at_scale(level, pyramids, strips(pyramids[0][level].shape)) for level in levels]
        return np.concatenate([np.zeros((0, len(fused), len(self._sources), 2)), *found])

    def _at_scale(self, level: int, pyramids: Sequence[Sequence[Scale]], runs: Sequence[slice]) -> Grey:
        sources, fused = ([scales[level] for scales in of] for of in (self._sources, pyramids))
        return np.array([information(sources, fused, rows) for rows in runs])

    def values(self, results: Sequence[Grey]) -> list[float]:
        """VIF of each fused image, summed over the sources: 2 when all three are identical; can exceed 2."""
        return [sum(fidelity(float(kept), float(there)) for kept, there in of_image) for of_image in total(results)]


def fidelity(kept: float, there: float) -> float:
    """VIFp of the information kept over all scales and windows, and there was: 1 when identical, can exceed 1."""
    return kept / there if there > EPSILON else VIF_OF_CONSTANT_REFERENCE
