"""EPOFusion's loss (paper Eq. 8-15): adaptive fusion loss, guidance cross-entropy, diffusion loss.

L = zeta L_fusion + phi L_guidance + L_diff; L_fusion = delta L_in + L_grad, each over normal and over-exposed pixels.
The paper gives no value for zeta, phi, delta or gamma. phi = .4 is the only number the released configuration has; all
others default to 1.

Where paper and released code differ from each other or from this module:

* E2 the released diffusion loss asks the embedded fused image to equal the noise. Here the noise is derived from it
  (`EPOFusionNet`), compared by L1 as in the paper, and the factor a / s that this brings is capped.
* E3 the over-exposed gradient target is the infrared's, as in the paper; the code has one target for all pixels.
* E4 the code's SSIM term on normal pixels is there, with weight 0.
* E16 mask value 255 is left out of everything; the code counts it as over-exposed.
* E19 each region is averaged over its own pixels. The code divides by all pixels, so that the term of a small mask
  all but vanishes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor

from fusion_ros.configuration import setting
from fusion_ros.training.losses.terms import gradient_magnitude, mean_absolute, ssim_map

IGNORED = 255
SSIM_WINDOW = 11


def _weight(default: float, description: str) -> Any:
    return setting(default, description, minimum=0.0)


@dataclass(frozen=True)
class EPOFusionLossWeights:
    """Weights of EPOFusion's terms, under the paper's letters where it has one."""

    fusion: float = _weight(1.0, "zeta: fusion loss")
    guidance: float = _weight(0.4, "phi: cross-entropy of the guidance")
    diffusion: float = _weight(1.0, "diffusion loss")
    intensity: float = _weight(1.0, "delta: intensity, against the gradient's 1")
    normal: float = _weight(1.0, "pixels outside the over-exposure mask")
    overexposed: float = _weight(1.0, "pixels inside the over-exposure mask")
    gamma: float = _weight(1.0, "share of the infrared gradient that over-exposed pixels should have")
    ssim: float = _weight(0.0, "1 - SSIM with the visible luminance on normal pixels (released code: 0.1)")
    largest_ratio: float = setting(5.0, "cap on signal over noise in the diffusion loss", minimum=0.1)


class Prediction(Protocol):
    """What every variant of the network returns in train mode, as far as the loss needs it."""

    @property
    def fused(self) -> Tensor: ...

    @property
    def guidance(self) -> Tensor: ...


@runtime_checkable
class DiffusionPrediction(Protocol):
    """What a variant with a diffusion process returns besides."""

    @property
    def noise(self) -> Tensor: ...

    @property
    def predicted_noise(self) -> Tensor: ...

    @property
    def signal_to_noise(self) -> Tensor: ...


def fusion_terms(fused: Tensor, visible: Tensor, infrared: Tensor, mask: Tensor, gamma: float) -> dict[str, Tensor]:
    """The four terms of the adaptive fusion loss (Eq. 9-13).

    Args:
        fused, visible, infrared: (N, 1, H, W), the sources in [0, 1].
        mask: (N, 1, H, W), 1 where over-exposure hides a salient object, 0 elsewhere, 255 to leave a pixel out.
        gamma: share of the infrared gradient to keep in over-exposed pixels.

    Returns:
        Scalars with gradient. Normal pixels: L1 to max(visible, infrared), and of the Sobel magnitudes |x| + |y| to
        the larger. Over-exposed: L1 to the half-and-half image, and of the Sobel magnitudes to gamma times the
        infrared's. 0 for a region without pixels.
    """
    normal, overexposed = (mask == 0).to(fused.dtype), (mask == 1).to(fused.dtype)
    gradient, of_visible, of_infrared = (gradient_magnitude(image, False) for image in (fused, visible, infrared))
    return {
        "intensity_normal": mean_absolute(fused, torch.maximum(visible, infrared), normal),
        "intensity_overexposed": mean_absolute(fused, 0.5 * (visible + infrared), overexposed),
        "gradient_normal": mean_absolute(gradient, torch.maximum(of_visible, of_infrared), normal),
        "gradient_overexposed": mean_absolute(gradient, gamma * of_infrared, overexposed),
    }


def ssim_term(fused: Tensor, visible: Tensor, mask: Tensor) -> Tensor:
    """1 - SSIM with the visible luminance, over the windows whose centre is a normal pixel."""
    border = SSIM_WINDOW // 2
    centres = (mask == 0)[:, :, border:-border, border:-border].to(fused.dtype)
    similarity = ssim_map(fused, visible, SSIM_WINDOW)
    return mean_absolute(torch.ones_like(similarity), similarity, centres)


def guidance_term(logits: Tensor, mask: Tensor) -> Tensor:
    """Cross-entropy (Eq. 14) of logits (N, 2, h, w), enlarged bilinearly to the mask's size; 255 is ignored.

    0 where the whole mask is 255.
    """
    target = mask[:, 0].long()
    logits = F.interpolate(logits.float(), size=target.shape[1:], mode="bilinear", align_corners=False)
    counted = (target != IGNORED).sum().clamp_min(1)
    return F.cross_entropy(logits, target, ignore_index=IGNORED, reduction="sum") / counted


def guidance_overlap_term(logits: Tensor, mask: Tensor) -> Tensor:
    """1 - intersection over union of the predicted probability with the mask, pooled over the batch; 255 is ignored.

    Not in the paper. Hidden objects are one pixel in fifty: under cross-entropy alone it pays to miss most of them.

    Args:
        logits: (N, 2, h, w), enlarged bilinearly to the mask's size.
        mask: (N, 1, H, W), 0, 1 or 255.
    """
    logits = F.interpolate(logits.float(), size=mask.shape[2:], mode="bilinear", align_corners=False)
    wanted, counted = (mask == 1).to(logits.dtype), (mask != IGNORED).to(logits.dtype)
    found = logits.softmax(dim=1)[:, 1:] * counted
    shared = (found * wanted).sum()
    return 1 - (shared + 1) / (found.sum() + wanted.sum() - shared + 1)


def diffusion_term(noise: Tensor, predicted: Tensor, signal_to_noise: Tensor, largest_ratio: float) -> Tensor:
    """L1 between noise and predicted noise (Eq. 15), (N, C, h, w); samples of a high signal-to-noise ratio (N,) capped.

    The prediction is (x - a x_0) / s, so the difference is a / s times that of the embeddings: up to 316 towards t = 0,
    where it would drown everything else. Samples above `largest_ratio` are scaled down to it.
    """
    by_sample = (noise - predicted).abs().float().flatten(1).mean(dim=1)
    return (by_sample * (largest_ratio / signal_to_noise.float()).clamp(max=1.0)).mean()


class EPOFusionLoss:
    """The weighted sum, for `EPOFusionNet` and `EPOFusionSNet` in train mode."""

    def __init__(self, weights: EPOFusionLossWeights | None = None) -> None:
        self.weights = weights or EPOFusionLossWeights()

    def __call__(
        self, output: Prediction, visible: Tensor, infrared: Tensor, mask: Tensor
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Loss of a batch.

        Args:
            output: what the network returned in train mode.
            visible: (N, 1, H, W) in [0, 1], before photometric augmentation.
            infrared: (N, 1, H, W) in [0, 1].
            mask: (N, 1, H, W), 0, 1 or 255; see `fusion_terms`.

        Returns:
            The weighted sum (a scalar with gradient) and each term before its weight.
        """
        weights, fused = self.weights, output.fused.float()
        terms = fusion_terms(fused, visible, infrared, mask, weights.gamma)
        fusion = sum(
            getattr(weights, region) * (weights.intensity * terms[f"intensity_{region}"] + terms[f"gradient_{region}"])
            for region in ("normal", "overexposed")
        )
        terms["guidance"] = guidance_term(output.guidance, mask)
        total = weights.fusion * fusion + weights.guidance * terms["guidance"]
        if weights.ssim:
            terms["ssim"] = ssim_term(fused, visible, mask)
            total = total + weights.fusion * weights.ssim * terms["ssim"]
        if weights.diffusion and isinstance(output, DiffusionPrediction):
            terms["diffusion"] = diffusion_term(
                output.noise, output.predicted_noise, output.signal_to_noise, weights.largest_ratio
            )
            total = total + weights.diffusion * terms["diffusion"]
        return total, {name: term.detach() for name, term in terms.items()}
