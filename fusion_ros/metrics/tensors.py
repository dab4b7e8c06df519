"""The twelve metrics of many triples as torch computes them, in double precision, where the tensors are.

The definitions and their variants are those of the modules beside this one, which say what is computed and why; here it
is written for whole batches. Whole numbers (histograms, squared distances) are summed there and evaluated here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from fusion_ros.errors import InputError
from fusion_ros.metrics import qabf, ssim, vif
from fusion_ros.metrics.levels import Levels
from fusion_ros.metrics.pixels import PixelSums, gradient_metrics
from fusion_ros.metrics.profiles import METRICS, Profile, SsimVariant
from fusion_ros.metrics.windows import SlidingWindow

# Triples that are worked on together: some 150 bytes of intermediate results for each pixel.
_PIXELS_AT_ONCE = 2**24


def metrics_of_tensors(
    visible: Tensor, infrared: Tensor, fused: Tensor, profile: Profile
) -> dict[str, NDArray[np.float64]]:
    """The metrics of (N, H, W) uint8 tensors on one device.

    Args:
        visible: (N, H, W) uint8 luminance.
        infrared: same.
        fused: same.
        profile: whose variants.

    Returns:
        For each metric an (N,) float64 array.

    Raises:
        InputError: a tensor is not (N, H, W) uint8, or sizes or devices differ.
    """
    named = {"visible": visible, "infrared": infrared, "fused": fused}
    for name, images in named.items():
        if images.dtype != torch.uint8 or images.ndim != 3 or 0 in images.shape[1:]:
            raise InputError(
                f"{name}: {images.dtype} of shape {tuple(images.shape)} cannot be scored; give grey images as "
                "(N, H, W) uint8"
            )
        if images.shape != visible.shape or images.device != visible.device:
            raise InputError(
                f"{name}: {tuple(images.shape)} on {images.device} differs from the visible images' "
                f"{tuple(visible.shape)} on {visible.device}; bring all three to one grid and one device first"
            )
    size = max(1, _PIXELS_AT_ONCE // (visible.shape[1] * visible.shape[2]))
    with torch.inference_mode():
        rows = [
            row
            for first in range(0, len(visible), size)
            for row in _rows(
                infrared[first : first + size], visible[first : first + size], fused[first : first + size], profile
            )
        ]
    return {name: np.array([row[name] for row in rows], np.float64) for name in METRICS}


def _rows(infrared: Tensor, visible: Tensor, fused: Tensor, profile: Profile) -> Iterator[dict[str, float]]:
    """The metrics of each triple."""
    shape = tuple(fused.shape[1:])
    a, b, f = (images.double() for images in (infrared, visible, fused))
    windowed = {
        "VIF": _vif((a, b), f, profile.saturating_vif),
        "SSIM": _ssim((a, b), f, profile.ssim),
        "Qabf": _qabf((a, b), f, profile.qabf_equal_strength),
    }
    numbers = {name: values.tolist() for name, values in windowed.items()}
    histograms = [_counts(images).cpu().numpy() for images in (infrared, visible, fused)]
    apart = [_sums((one - other) ** 2).tolist() for one, other in ((a, b), (a, f), (b, f))]
    joint = [_joint_entropies(source, fused).tolist() for source in (infrared, visible)]
    down, across = (_sums(torch.diff(f, dim=dim) ** 2).tolist() for dim in (1, 2))
    gradients = _gradient_sums(f).tolist()
    for i in range(len(fused)):
        levels = Levels(histograms[0][i]), Levels(histograms[1][i]), Levels(histograms[2][i])
        sums = PixelSums(levels, (int(apart[0][i]), int(apart[1][i]), int(apart[2][i])), (joint[0][i], joint[1][i]))
        values = sums.metrics(profile) | {name: of[i] for name, of in numbers.items()}
        values |= gradient_metrics((int(down[i]), int(across[i])), gradients[i], shape, profile)
        yield {name: values[name] for name in METRICS}


def _sums(images: Tensor) -> Tensor:
    """Sum over each image, (N,); exact for whole numbers below 2^53."""
    return images.sum(dim=(1, 2), dtype=torch.float64)


def _counts(images: Tensor, levels: int = 256) -> Tensor:
    """(N, levels): how often each value occurs in each image."""
    place = images.reshape(len(images), -1).long()
    place = place + torch.arange(len(images), device=images.device)[:, None] * levels
    return torch.bincount(place.ravel(), minlength=len(images) * levels).reshape(len(images), levels)


def _joint_entropies(source: Tensor, fused: Tensor) -> Tensor:
    """(N,) bits."""
    counts = _counts(source.long() * 256 + fused, 256 * 256).double()
    pixels = source[0].numel()
    weighted: Tensor = torch.special.xlogy(counts, counts).sum(dim=1)
    return math.log2(pixels) - weighted / (pixels * math.log(2.0))


def _gradient_sums(images: Tensor) -> Tensor:
    """(N,): central differences inside, one-sided ones at the border; a side of one pixel has none along it."""
    along = [_derivative(images, dim) for dim in (1, 2)]
    return _sums(torch.sqrt(along[0] ** 2 + along[1] ** 2))


def _derivative(images: Tensor, dim: int) -> Tensor:
    return torch.gradient(images, dim=dim)[0] if images.shape[dim] > 1 else torch.zeros_like(images)


def _means(images: Tensor, window: SlidingWindow, step: int = 1) -> Tensor:
    """Weighted mean of every window that fits, (N, (H - n) // step + 1, (W - n) // step + 1)."""
    weights = torch.tensor(window.weights, dtype=images.dtype, device=images.device)
    down = F.conv2d(images[:, None], weights[None, None, :, None], stride=(step, 1))
    return F.conv2d(down, weights[None, None, None, :], stride=(1, step))[:, 0]


def _vif(sources: tuple[Tensor, Tensor], fused: Tensor, saturating: bool) -> Tensor:
    """(N,), summed over the sources."""
    images = [*sources, fused]
    origins = [_counts(image).argmax(dim=1).double()[:, None, None] for image in images]
    kept = torch.zeros(len(sources), len(fused), dtype=torch.float64, device=fused.device)
    there = torch.zeros_like(kept)
    for level, window in enumerate(vif.WINDOWS):
        if level and window.fits(tuple(images[0].shape[1:])):
            images = [_means(image, window, step=2) for image in images]
        if not window.fits(tuple(images[0].shape[1:])):
            break
        clip = 255.0 if saturating and level == 0 else math.inf
        if level == (1 if saturating else 0):
            # About their most frequent value, so that rounding does not hide what little varies in flat parts.
            images = [image - origin for image, origin in zip(images, origins, strict=True)]
        means = [_means(image, window) for image in images]
        squares = zip(images, means, strict=True)
        variances = [_variance(_means((image * image).clamp(max=clip), window), mean) for image, mean in squares]
        for index in range(len(sources)):
            product = (images[index] * images[-1]).clamp(max=clip)
            covariance = _means(product, window) - means[index] * means[-1]
            reference, distorted = variances[index], variances[-1]
            gain = covariance.clamp(min=0.0) / (reference + vif.EPSILON)
            gain = torch.where((reference > 0) & (distorted > 0), gain, 0.0)
            residual = (distorted - gain * covariance).clamp(min=vif.EPSILON)
            kept[index] += _sums(torch.log1p(gain * gain * reference / (residual + vif.NOISE_VARIANCE)))
            there[index] += _sums(torch.log1p(reference / vif.NOISE_VARIANCE))
    some = there > vif.EPSILON
    ratios = torch.where(some, kept / torch.where(some, there, 1.0), vif.VIF_OF_CONSTANT_REFERENCE)
    return ratios.sum(dim=0)


def _variance(second_moment: Tensor, mean: Tensor) -> Tensor:
    """Local variances, 0 where they are below 1e-10: rounding leaves as much where there is none."""
    variance = second_moment - mean * mean
    return torch.where(variance > vif.EPSILON, variance, 0.0)


def _ssim(sources: tuple[Tensor, Tensor], fused: Tensor, variant: SsimVariant) -> Tensor:
    """(N,), mean or sum over the sources."""
    window = ssim.WINDOWS[variant.window]
    shape = tuple(fused.shape[1:])
    fits = window.fits(shape)
    count = min(window.size**2, math.prod(shape))
    unbiased = count / (count - 1) if variant.window == "uniform" and count > 1 else 1.0
    c1, c2 = ((k * variant.data_range) ** 2 for k in (ssim.K1, ssim.K2))

    def means(images: Tensor) -> Tensor:
        return _means(images, window) if fits else images.mean(dim=(1, 2), keepdim=True)

    mean_f = means(fused)
    variance_f = (means(fused * fused) - mean_f**2) * unbiased
    total = torch.zeros(len(fused), dtype=torch.float64, device=fused.device)
    for source in sources:
        mean = means(source)
        variance = (means(source * source) - mean**2) * unbiased
        covariance = (means(source * fused) - mean * mean_f) * unbiased
        value = (2 * mean * mean_f + c1) * (2 * covariance + c2)
        total += (value / ((mean**2 + mean_f**2 + c1) * (variance + variance_f + c2))).mean(dim=(1, 2))
    return total / len(sources) if variant.mean else total


def _qabf(sources: tuple[Tensor, Tensor], fused: Tensor, equal_strength: float | None) -> Tensor:
    """(N,)."""
    strength_f, angle_f = _edges(fused)
    kept = torch.zeros(len(fused), dtype=torch.float64, device=fused.device)
    there = torch.zeros_like(kept)
    for source in sources:
        strength, angle = _edges(source)
        stronger = torch.maximum(strength, strength_f)
        ratio = torch.minimum(strength, strength_f) / stronger.clamp(min=0.5)
        if equal_strength is not None:
            ratio = torch.where(strength == strength_f, strength_f / equal_strength, ratio)
        turn = 1.0 - (angle - angle_f).abs() * (2.0 / math.pi)
        quality = _logistic(ratio, qabf.STRENGTH_GAIN, qabf.STRENGTH_SLOPE, qabf.STRENGTH_MIDDLE)
        quality = quality * _logistic(turn, qabf.ANGLE_GAIN, qabf.ANGLE_SLOPE, qabf.ANGLE_MIDDLE)
        kept += _sums(quality * strength)
        there += _sums(strength)
    return torch.where(there > 0, kept / there.clamp(min=0.5), 0.0)


def _logistic(values: Tensor, gain: float, slope: float, middle: float) -> Tensor:
    return gain / (1.0 + torch.exp(slope * (values - middle)))


def _edges(images: Tensor) -> tuple[Tensor, Tensor]:
    """Strength and angle of Sobel edges, black beyond the border, (N, H, W) each."""
    rise = torch.tensor([1.0, 0.0, -1.0], dtype=images.dtype, device=images.device)
    smooth = torch.tensor([1.0, 2.0, 1.0], dtype=images.dtype, device=images.device)
    framed = F.pad(images[:, None], (1, 1, 1, 1))
    across = F.conv2d(framed, (smooth[:, None] * rise[None])[None, None])[:, 0]
    down = F.conv2d(framed, (-rise[:, None] * smooth[None])[None, None])[:, 0]
    upright = across == 0
    angle = torch.where(upright, math.pi / 2, torch.atan(down / torch.where(upright, 1.0, across)))
    return torch.sqrt(across**2 + down**2), angle
