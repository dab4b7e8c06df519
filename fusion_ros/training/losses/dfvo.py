"""DFVO's loss (paper III-C): reconstruction, Retinex decomposition, and fusion, which fades in (Eq. 25).

The paper's numbers are not legible in the text at hand; the weights are the released code's:

    L = 10 L_ir + 500 L_retinex + 1.35 L_mg + 1.55 L_smooth + w L_his
        + min(0.1 epoch, 10) (0.65 L_struct + 1.75 L_content + 0.35 L_colour)

Where paper and released code differ from each other or from this module:

* D4 the code computes L_his without gradient for both images, so that it does nothing. Here the enhanced image has its
  gradient, and w is .1 instead of 2.5.
* D5 the ramp ends at 10.
* D6, D7 the dark channel is the original image's, and its filter computes with floats.
* D14 the structural loss is the code's mean square, not the text's absolute difference.
* The code's differences take a border of zeros along with the image; here only neighbours inside it are compared.
* L_his compares the images themselves, at four scales, instead of ResNet-18's features (`features` takes another
  extractor; none is built in): enough to say how bright a region should become, which is what the prior is for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from fusion_ros.configuration import setting
from fusion_ros.training.losses.low_light import equalise, overexposed, to_rgb
from fusion_ros.training.losses.terms import (
    cosine_colour,
    forward_differences,
    gradient_magnitude,
    mean_absolute,
    mean_square,
    ramp,
)

Features = Callable[[Tensor], list[Tensor]]
SMALLEST_GRADIENT = 0.01
MUTUAL_DECAY = 10.0


def _weight(default: float, description: str) -> Any:
    return setting(default, description, minimum=0.0)


@dataclass(frozen=True)
class DFVOLossWeights:
    """Weights of DFVO's terms; the defaults are the released code's, but for `histogram`."""

    infrared: float = _weight(10.0, "L1 of the infrared reconstruction")
    retinex: float = _weight(500.0, "mean |enhanced x illumination - visible|")
    mutual_gradient: float = _weight(1.35, "illumination has strong edges or none")
    smoothness: float = _weight(1.55, "illumination is smooth where the visible image is")
    histogram: float = _weight(0.1, "distance to the equalised image (released code: 2.5, without effect)")
    structure: float = _weight(0.65, "Sobel magnitudes of the fused image to the larger of the two")
    content: float = _weight(1.75, "squared distance to both images, weighed by their gradients")
    colour: float = _weight(0.35, "angle between fused and enhanced colours")
    ramp_per_epoch: float = _weight(0.1, "growth of the fusion terms' common weight per epoch (Eq. 25)")
    ramp_cap: float = _weight(10.0, "largest common weight of the fusion terms")
    dark_factor: float = _weight(7.0, "over-exposed: dark channel above this times its mean (Eq. 17-19)")


class Prediction(Protocol):
    """What every variant of the network returns in train mode, as far as the loss needs it."""

    @property
    def fused(self) -> Tensor: ...

    @property
    def enhanced(self) -> Tensor: ...

    @property
    def illumination(self) -> Tensor: ...

    @property
    def infrared(self) -> Tensor: ...


def mutual_gradient_term(illumination: Tensor) -> Tensor:
    """L_mg = mean g_x exp(-10 g_x) + mean g_y exp(-10 g_y) of absolute differences: small for none and for strong."""
    along_x, along_y = forward_differences(illumination)
    return (along_x * torch.exp(-MUTUAL_DECAY * along_x)).mean() + (along_y * torch.exp(-MUTUAL_DECAY * along_y)).mean()


def smoothness_term(illumination: Tensor, visible: Tensor) -> Tensor:
    """L_smooth: absolute differences of the illumination over the visible image's, the latter at least .01."""
    pairs = zip(forward_differences(illumination), forward_differences(visible), strict=True)
    return torch.stack([(own / other.clamp_min(SMALLEST_GRADIENT)).mean() for own, other in pairs]).sum()


def pyramid(images: Tensor) -> list[Tensor]:
    """Images at 1/2, 1/4, 1/8 and 1/16 of their size: the features of L_his where no network is given."""
    return [F.avg_pool2d(images, 2**level, ceil_mode=True) for level in range(1, 5)]


def histogram_term(enhanced: Tensor, visible: Tensor, chroma: Tensor | None, features: Features) -> Tensor:
    """L_his: squared distance between features of the enhanced image and of the equalised visible one, in RGB."""
    with torch.no_grad():
        prior = features(to_rgb(equalise(visible), chroma))
    own = features(to_rgb(enhanced, chroma))
    return torch.stack([mean_square(one, other) for one, other in zip(own, prior, strict=True)]).mean()


def content_weights(enhanced: Tensor, infrared: Tensor) -> Tensor:
    """(N, 2): softmax over the mean Sobel magnitudes of the enhanced and the infrared image of each sample."""
    means = [gradient_magnitude(image, False).flatten(1).mean(dim=1) for image in (enhanced, infrared)]
    return torch.stack(means, dim=1).softmax(dim=1)


def fusion_terms(
    fused: Tensor, enhanced: Tensor, infrared: Tensor, burnt: Tensor, chroma: Tensor | None
) -> dict[str, Tensor]:
    """Structure, content and colour of the fused image against targets that get no gradient.

    Args:
        fused: (N, 1, H, W).
        enhanced: (N, 1, H, W), enhanced visible luminance.
        infrared: (N, 1, H, W), reconstructed infrared.
        burnt: (N, 1, H, W) of booleans; there the infrared takes the enhanced image's place.
        chroma: Cb and Cr, (N, 2, H, W), or None for grey.
    """
    enhanced, infrared = enhanced.detach(), infrared.detach()
    weights = content_weights(enhanced, infrared)
    filtered = torch.where(burnt, infrared, enhanced)
    target = torch.maximum(gradient_magnitude(filtered, False), gradient_magnitude(infrared, False))
    distances = torch.stack([((fused - image) ** 2).flatten(1).mean(dim=1) for image in (filtered, infrared)], dim=1)
    return {
        "structure": mean_square(gradient_magnitude(fused, False), target),
        "content": (weights * distances).sum(dim=1).mean(),
        "colour": cosine_colour(to_rgb(fused, chroma), to_rgb(enhanced, chroma)),
    }


class DFVOLoss:
    """The weighted sum, for `DFVONet` in train mode.

    Args:
        weights: one weight per term; a term of weight 0 is not computed.
        features: feature extractor of L_his, from (N, 3, H, W) in [0, 1] to a list of maps. The paper's is ResNet-18 up
            to its last stage, without ImageNet normalisation.
    """

    def __init__(self, weights: DFVOLossWeights | None = None, features: Features = pyramid) -> None:
        self.weights = weights or DFVOLossWeights()
        self._features = features

    def fusion_weight(self, epoch: float) -> float:
        """Common weight of the fusion terms (Eq. 25), 0 at the start: the branches learn before they are fused."""
        return ramp(self.weights.ramp_per_epoch * epoch, self.weights.ramp_cap)

    def __call__(
        self,
        output: Prediction,
        visible: Tensor,
        infrared: Tensor,
        epoch: float,
        chroma: Tensor | None = None,
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Loss of a batch.

        Args:
            output: what the network returned in train mode.
            visible: (N, 1, H, W), luminance in [0, 1].
            infrared: (N, 1, H, W) in [0, 1].
            epoch: epochs done, for the ramp; may be a fraction.
            chroma: Cb and Cr of the visible image, (N, 2, H, W) in [0, 1]; None for grey images.

        Returns:
            The weighted sum (a scalar with gradient) and each term before its weight.
        """
        weights, common = self.weights, self.fusion_weight(epoch)
        fused, enhanced, illumination = output.fused.float(), output.enhanced.float(), output.illumination.float()
        reconstructed = output.infrared.float()
        terms = {
            "infrared": mean_absolute(reconstructed, infrared),
            "retinex": mean_absolute(enhanced * illumination, visible),
            "mutual_gradient": mutual_gradient_term(illumination),
            "smoothness": smoothness_term(illumination, visible),
        }
        if weights.histogram:
            terms["histogram"] = histogram_term(enhanced, visible, chroma, self._features)
        scales = {name: getattr(weights, name) for name in terms}
        if common:
            burnt = overexposed(to_rgb(visible, chroma), visible, weights.dark_factor)
            fusion = fusion_terms(fused, enhanced, reconstructed, burnt, chroma)
            terms |= fusion
            scales |= {name: common * getattr(weights, name) for name in fusion}
        total = torch.stack([scales[name] * term for name, term in terms.items()]).sum()
        return total, {name: term.detach() for name, term in terms.items()}
