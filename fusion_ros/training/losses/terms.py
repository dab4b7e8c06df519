"""Terms that several losses share. Images are (N, C, H, W) tensors in [0, 1]; a mask is (N, 1, H, W)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as functional
from torch import Tensor

SSIM_K1, SSIM_K2 = 0.01, 0.03


def mean_absolute(first: Tensor, second: Tensor, mask: Tensor | None = None) -> Tensor:
    """mean |first - second|, or the mean weighted by `mask` over all pixels (0 where the mask is empty)."""
    difference = (first - second).abs()
    return _mean(difference, mask)


def mean_square(first: Tensor, second: Tensor, mask: Tensor | None = None) -> Tensor:
    """mean (first - second)^2, or the mean weighted by `mask` over all pixels (0 where the mask is empty)."""
    return _mean((first - second) ** 2, mask)


def _mean(values: Tensor, mask: Tensor | None) -> Tensor:
    if mask is None:
        return values.mean()
    mask = mask.expand_as(values)
    return (values * mask).sum() / mask.sum().clamp_min(1.0)


def sobel(image: Tensor, normalised: bool = True) -> tuple[Tensor, Tensor]:
    """Sobel derivatives along x and y, each channel on its own, borders repeated: two tensors of the image's shape.

    Args:
        image: (N, C, H, W).
        normalised: divide by 8, so that a ramp of slope 1 per pixel has derivative 1; else the raw kernel sums.
    """
    channels = image.shape[1]
    smooth = image.new_tensor([1.0, 2.0, 1.0])
    slope = image.new_tensor([-1.0, 0.0, 1.0])
    kernel_x = torch.outer(smooth, slope) / (8.0 if normalised else 1.0)
    kernels = torch.stack([kernel_x, kernel_x.T]).unsqueeze(1).repeat(channels, 1, 1, 1)
    padded = functional.pad(image, (1, 1, 1, 1), mode="replicate")
    both = functional.conv2d(padded, kernels, groups=channels)
    return both[:, 0::2], both[:, 1::2]


def gradient_magnitude(image: Tensor, normalised: bool = True) -> Tensor:
    """|dx| + |dy| of the Sobel derivatives, as all three papers define it: the image's shape."""
    along_x, along_y = sobel(image, normalised)
    return along_x.abs() + along_y.abs()


def forward_differences(image: Tensor) -> tuple[Tensor, Tensor]:
    """|I(x+1) - I(x)| and |I(y+1) - I(y)|: (N, C, H, W-1) and (N, C, H-1, W)."""
    return (image[..., 1:] - image[..., :-1]).abs(), (image[..., 1:, :] - image[..., :-1, :]).abs()


def gaussian_window(size: int, sigma: float, like: Tensor) -> Tensor:
    """A Gaussian of `size` taps that add to one, on the device and in the type of `like`."""
    positions = torch.arange(size, device=like.device, dtype=like.dtype) - (size - 1) / 2
    taps = torch.exp(-(positions**2) / (2 * sigma**2))
    return taps / taps.sum()


def _filter(image: Tensor, taps: Tensor) -> Tensor:
    """Separable correlation of every channel with `taps`, valid pixels only."""
    channels, size = image.shape[1], len(taps)
    across = taps.view(1, 1, 1, size).expand(channels, 1, 1, size)
    down = taps.view(1, 1, size, 1).expand(channels, 1, size, 1)
    return functional.conv2d(functional.conv2d(image, across, groups=channels), down, groups=channels)


def ssim_map(first: Tensor, second: Tensor, window: int = 11, sigma: float = 1.5) -> Tensor:
    """Structural similarity (Wang et al. 2004) of images in [0, 1] at every position where the window fits.

    Returns:
        (N, C, H - window + 1, W - window + 1), -1 to 1.
    """
    taps = gaussian_window(window, sigma, first)
    mean_1, mean_2 = _filter(first, taps), _filter(second, taps)
    variance_1 = _filter(first * first, taps) - mean_1**2
    variance_2 = _filter(second * second, taps) - mean_2**2
    covariance = _filter(first * second, taps) - mean_1 * mean_2
    c1, c2 = SSIM_K1**2, SSIM_K2**2
    return ((2 * mean_1 * mean_2 + c1) * (2 * covariance + c2)) / (
        (mean_1**2 + mean_2**2 + c1) * (variance_1 + variance_2 + c2)
    )


def one_minus_ssim(first: Tensor, second: Tensor, window: int = 11, sigma: float = 1.5) -> Tensor:
    """1 - mean SSIM: 0 for equal images, up to 2."""
    return 1 - ssim_map(first, second, window, sigma).mean()


def histogram_contrast(image: Tensor, levels: int = 256) -> Tensor:
    """Saliency of each pixel: its mean distance in intensity from all pixels of its image, scaled to [0, 1].

    The histogram-contrast map (Zhai and Shah 2006) that TarDAL weighs its targets with: S(i) = sum_j h(j) |i - j|.

    Args:
        image: (N, 1, H, W) in [0, 1]; no gradient flows through.
    """
    with torch.no_grad():
        index = (image * (levels - 1)).round().long().clamp(0, levels - 1)
        scale = torch.arange(levels, device=image.device, dtype=torch.float32)
        distance = (scale[:, None] - scale[None, :]).abs()
        maps = []
        for single in index:
            histogram = torch.bincount(single.flatten(), minlength=levels).float()
            by_level = distance @ histogram
            highest = by_level[histogram > 0].max().clamp_min(1e-12)
            maps.append((by_level / highest)[single])
        return torch.stack(maps).to(image.dtype)


def infrared_share(visible: Tensor, infrared: Tensor) -> Tensor:
    """M = S_ir / (S_ir + S_vi) of the two saliency maps: the infrared's share of each pixel, (N, 1, H, W) in [0, 1].

    CAF's paper takes its masks from TarDAL and ships none; this normalised pair needs no weights.
    """
    own, other = histogram_contrast(infrared), histogram_contrast(visible)
    return (own + 1e-6) / (own + other + 2e-6)


def cosine_colour(first: Tensor, second: Tensor) -> Tensor:
    """Mean of 1 - cosine between the channel vectors of two (N, 3, H, W) images (DFVO's colour term)."""
    return (1 - functional.cosine_similarity(first, second, dim=1, eps=1e-6)).mean()


def ramp(value: float, cap: float = math.inf) -> float:
    """`value`, at least 0 and at most `cap`: for weights that grow with the epoch."""
    return min(max(value, 0.0), cap)
