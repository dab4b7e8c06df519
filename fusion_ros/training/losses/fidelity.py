"""How much of both sources a fused image keeps, as terms with a gradient: VIF, Qabf, SCD.

The compact networks choose between sources pixel by pixel instead of painting them, and L1 distances to the maximum are
a poor teacher of that choice: they reward the brighter source where it is flat. These are the quantities themselves
(definitions as in `fusion_ros.metrics`, profile `textbook`), computed on crops, so none of them equals the metric of a
whole image to the last digit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor

from fusion_ros.configuration import setting
from fusion_ros.training.losses.terms import SSIM_K1, SSIM_K2, gaussian_window, gradient_magnitude, mean_absolute, sobel

VIF_WINDOWS = (17, 9, 5, 3)
VIF_NOISE = 2.0
EPSILON = 1e-10
# A source with less than this (natural logarithm, by pixel of the coarsest scale) has nothing to be faithful to.
LEAST_INFORMATION = 0.05
# Flat pixels have no direction; below this Sobel strength (grey levels) the angle's gradient is noise.
WEAKEST_EDGE = 1.0
FALSE_EDGE_SCALES = (4, 8)


def _weight(default: float, description: str) -> Any:
    return setting(default, description, minimum=0.0)


@dataclass(frozen=True)
class FidelityWeights:
    """Weight of each term of `fidelity_loss`."""

    vif: float = _weight(1.0, "visual information fidelity, summed over the sources")
    qabf: float = _weight(2.0, "preserved edges, Qabf")
    ssim: float = _weight(0.5, "1 - SSIM, mean over the sources")
    scd: float = _weight(0.2, "sum of the correlations of differences")
    intensity: float = _weight(2.0, "L1 to the brighter source")
    false_edges: float = _weight(40.0, "coarse gradients beyond those of both sources: halos and blotches")


@lru_cache(maxsize=64)
def _band(length: int, size: int, sigma: float, step: int) -> Tensor:
    """(length', length): a product with it is the correlation with a Gaussian, valid positions, every `step`-th."""
    taps = gaussian_window(size, sigma, torch.zeros(1))
    positions = range(0, length - size + 1, step)
    band = torch.zeros(len(positions), length)
    for row, start in enumerate(positions):
        band[row, start : start + size] = taps
    return band


def blurred(images: Tensor, size: int, sigma: float, step: int = 1) -> Tensor:
    """Gaussian means where the window fits, as two matrix products: much cheaper than depthwise convolution on a CPU.

    (..., H, W) -> (..., (H - size) // step + 1, (W - size) // step + 1).
    """
    down = _band(images.shape[-2], size, sigma, step).to(images)
    across = _band(images.shape[-1], size, sigma, step).to(images)
    return down @ images @ across.T


def visual_information_fidelity(reference: Tensor, distorted: Tensor) -> Tensor:
    """Pixel-domain VIF (Sheikh and Bovik 2006) of each sample: (N,).

    By sample, not pooled over the batch, where a night street would weigh nothing beside a sunlit one.

    Args:
        reference: (N, C, H, W) in [0, 1]; H and W at least 41.
        distorted: the same shape.
    """
    reference, distorted = 255.0 * reference, 255.0 * distorted
    kept = there_was = reference.new_zeros(len(reference))
    for scale, size in enumerate(VIF_WINDOWS):
        sigma = size / 5
        if scale:
            reference, distorted = blurred(reference, size, sigma, 2), blurred(distorted, size, sigma, 2)
        stacked = torch.stack([reference, distorted, reference**2, distorted**2, reference * distorted])
        mean_r, mean_d, square_r, square_d, product = blurred(stacked, size, sigma).unbind()
        variance_r = (square_r - mean_r**2).clamp_min(0)
        variance_d = (square_d - mean_d**2).clamp_min(0)
        covariance = product - mean_r * mean_d
        gain = (covariance / (variance_r + EPSILON)).clamp_min(0)
        flat = variance_r < 1e-4
        gain = torch.where(flat, torch.zeros_like(gain), gain)
        noise = (variance_d - gain * covariance).clamp_min(EPSILON)
        kept = kept + torch.log1p(gain**2 * variance_r / (noise + VIF_NOISE)).flatten(1).sum(dim=1)
        there_was = there_was + torch.log1p(variance_r / VIF_NOISE).flatten(1).sum(dim=1)
    return kept / there_was.clamp_min(LEAST_INFORMATION * reference[0].numel())


def structural_similarity(sources: tuple[Tensor, Tensor], fused: Tensor) -> Tensor:
    """Mean over the two sources of the mean SSIM (Wang et al. 2004, 11x11 Gaussian, sigma 1.5): a scalar."""
    visible, infrared = sources
    stacked = torch.stack(
        [fused, visible, infrared, fused**2, visible**2, infrared**2, fused * visible, fused * infrared]
    )
    mean, *means, square, square_v, square_i, product_v, product_i = blurred(stacked, 11, 1.5).unbind()
    c1, c2 = SSIM_K1**2, SSIM_K2**2
    similarity = fused.new_zeros(())
    for other, other_square, product in zip(means, (square_v, square_i), (product_v, product_i), strict=True):
        luminance = (2 * mean * other + c1) / (mean**2 + other**2 + c1)
        structure = (2 * (product - mean * other) + c2) / (square - mean**2 + other_square - other**2 + c2)
        similarity = similarity + (luminance * structure).mean()
    return similarity / 2


def preserved_edges(sources: tuple[Tensor, Tensor], fused: Tensor) -> Tensor:
    """Qabf (Xydeas and Petrovic 2000) of each sample: (N,), 0 to .975.

    The angle between two edges is taken from their gradients' products instead of a difference of arc tangents, so that
    it has no jump at vertical edges.
    """
    own_x, own_y = (255.0 * part for part in sobel(fused, normalised=False))
    own = torch.sqrt(own_x**2 + own_y**2 + EPSILON)
    kept = there_was = fused.new_zeros(len(fused))
    for source in sources:
        along_x, along_y = (255.0 * part for part in sobel(source, normalised=False))
        strength = torch.sqrt(along_x**2 + along_y**2 + EPSILON)
        ratio = torch.minimum(own, strength) / torch.maximum(own, strength).clamp_min(WEAKEST_EDGE)
        dot = (own_x * along_x + own_y * along_y).abs()
        cross = (own_x * along_y - own_y * along_x).abs()
        turn = torch.atan2(cross + WEAKEST_EDGE * 1e-3, dot + WEAKEST_EDGE)
        alignment = 1 - turn / (math.pi / 2)
        preserved = 0.9994 * torch.sigmoid(15 * (ratio - 0.5)) * 0.9879 * torch.sigmoid(22 * (alignment - 0.8))
        kept = kept + (preserved * strength).flatten(1).sum(dim=1)
        there_was = there_was + strength.flatten(1).sum(dim=1)
    return kept / there_was.clamp_min(EPSILON)


def correlation(first: Tensor, second: Tensor) -> Tensor:
    """Pearson's r of each sample, (N, C, H, W) twice -> (N,); near 0 where one of them is constant."""
    first, second = first.flatten(1), second.flatten(1)
    first = first - first.mean(dim=1, keepdim=True)
    second = second - second.mean(dim=1, keepdim=True)
    power = torch.sqrt((first**2).mean(dim=1) * (second**2).mean(dim=1) + 1e-8)
    return (first * second).mean(dim=1) / power


def correlations_of_differences(visible: Tensor, infrared: Tensor, fused: Tensor) -> Tensor:
    """SCD, mean over the samples: r(F - visible, infrared) + r(F - infrared, visible), -2 to 2."""
    return (correlation(fused - visible, infrared) + correlation(fused - infrared, visible)).mean()


def false_edges(sources: tuple[Tensor, Tensor], fused: Tensor) -> Tensor:
    """Mean excess of the fused image's gradient magnitudes over the larger of the sources', at 1/4 and 1/8 of the size.

    A choice between sources that changes from place to place draws its own borders where both are flat: blotches in a
    night sky, halos around lamps. The other terms hardly see them, for flat places weigh nothing there.
    """
    excess = []
    for size in FALSE_EDGE_SCALES:
        own, first, second = (gradient_magnitude(functional.avg_pool2d(image, size)) for image in (fused, *sources))
        excess.append((own - torch.maximum(first, second)).clamp_min(0).mean())
    return torch.stack(excess).mean()


def fidelity_loss(
    fused: Tensor, visible: Tensor, infrared: Tensor, weights: FidelityWeights, bright: Tensor | None = None
) -> tuple[Tensor, dict[str, Tensor]]:
    """Weighted sum of what is lost of either source.

    Args:
        fused: (N, 1, H, W).
        visible: (N, 1, H, W) in [0, 1]: the image to be kept, which may be another than the network saw.
        infrared: (N, 1, H, W) in [0, 1].
        weights: a term of weight 0 is not computed.
        bright: (N, 1, H, W), 1 where the brighter source's brightness is wanted; everywhere by default.

    Returns:
        A scalar with gradient, and each quantity before its weight.
    """
    terms: dict[str, Tensor] = {}
    parts: list[Tensor] = []
    if weights.vif:
        of_visible, of_infrared = (visual_information_fidelity(source, fused) for source in (visible, infrared))
        terms["vif"] = (of_visible + of_infrared).mean()
        parts.append(weights.vif * (2 - terms["vif"]))
    if weights.qabf:
        terms["qabf"] = preserved_edges((visible, infrared), fused).mean()
        parts.append(weights.qabf * (1 - terms["qabf"]))
    if weights.ssim:
        terms["ssim"] = structural_similarity((visible, infrared), fused)
        parts.append(weights.ssim * (1 - terms["ssim"]))
    if weights.scd:
        terms["scd"] = correlations_of_differences(visible, infrared, fused)
        parts.append(weights.scd * (2 - terms["scd"]))
    if weights.intensity:
        terms["intensity"] = mean_absolute(fused, torch.maximum(visible, infrared), bright)
        parts.append(weights.intensity * terms["intensity"])
    if weights.false_edges:
        terms["false_edges"] = false_edges((visible, infrared), fused)
        parts.append(weights.false_edges * terms["false_edges"])
    return torch.stack(parts).sum(), {name: term.detach() for name, term in terms.items()}
