"""What DFVO's loss derives from the visible image: equalised luminance, dark channel, RGB from luminance and chroma."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

LEVELS = 256
DARK_PATCH = 10
GUIDED_BOX = 30
GUIDED_EPSILON = 0.01


def equalise(luminance: Tensor) -> Tensor:
    """Histogram equalisation of each image, as OpenCV does it on 8 bit: (N, 1, H, W) in [0, 1] to the same.

    A level v becomes (c(v) - h(v_0)) / (pixels - h(v_0)) with c the cumulative histogram and v_0 the darkest level that
    occurs. An image of one level stays as it is. No gradient flows through.
    """
    with torch.no_grad():
        index = (luminance * (LEVELS - 1)).round().long().clamp(0, LEVELS - 1)
        images = []
        for single in index:
            histogram = torch.bincount(single.flatten(), minlength=LEVELS)
            first = histogram[histogram > 0][0]
            spread = single.numel() - first
            table = (histogram.cumsum(0) - first) * (LEVELS - 1) / spread.clamp_min(1)
            table = table.round().clamp(0, LEVELS - 1) / (LEVELS - 1)
            images.append(table[single] if spread > 0 else single / (LEVELS - 1))
        return torch.stack(images).to(luminance.dtype)


def dark_channel(rgb: Tensor, patch: int = DARK_PATCH) -> Tensor:
    """Smallest value of all channels in a `patch` by `patch` window: (N, C, H, W) -> (N, 1, H, W).

    An even window reaches one pixel further to the left and up, as OpenCV's erosion does; borders do not count.
    """
    negated = -rgb.amin(dim=1, keepdim=True)
    before, after = patch // 2, patch - 1 - patch // 2
    padded = F.pad(negated, (before, after, before, after), value=float("-inf"))
    return -F.max_pool2d(padded, patch, stride=1)


def guided_filter(image: Tensor, guide: Tensor, box: int = GUIDED_BOX, epsilon: float = GUIDED_EPSILON) -> Tensor:
    """He et al.'s guided filter on floats in [0, 1], windows of about `box` pixels: (N, 1, H, W) of both to the same.

    The released code multiplies in uint8, which overflows.
    """

    def mean(values: Tensor) -> Tensor:
        size = box + 1 - box % 2
        return F.avg_pool2d(values, size, stride=1, padding=size // 2, count_include_pad=False)

    mean_guide, mean_image = mean(guide), mean(image)
    covariance = mean(guide * image) - mean_guide * mean_image
    slope = covariance / (mean(guide * guide) - mean_guide**2 + epsilon)
    return mean(slope) * guide + mean(mean_image - slope * mean_guide)


def overexposed(rgb: Tensor, luminance: Tensor, factor: float = 7.0) -> Tensor:
    """Where the refined dark channel is above `factor` times its mean (paper Eq. 17-19): (N, 1, H, W) of booleans.

    Nothing can be above once the mean is over 1 / `factor`: it acts on dark scenes with lamps, which is its purpose.
    """
    with torch.no_grad():
        dark = guided_filter(dark_channel(rgb), luminance)
        return dark > factor * dark.mean(dim=(1, 2, 3), keepdim=True)


def to_rgb(luminance: Tensor, chroma: Tensor | None) -> Tensor:
    """(N, 1, H, W) and Cb, Cr (N, 2, H, W), all in [0, 1], to (N, 3, H, W) RGB in [0, 1]; grey where chroma is None.

    Constants as in DFVO's and EPOFusion's code.
    """
    if chroma is None:
        return luminance.expand(-1, 3, -1, -1).clamp(0, 1)
    blue, red = (chroma - 0.5).split(1, dim=1)
    channels = (luminance + 1.403 * red, luminance - 0.714 * red - 0.344 * blue, luminance + 1.773 * blue)
    return torch.cat(channels, dim=1).clamp(0, 1)
