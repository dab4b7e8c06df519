"""CAF's loss (section 3.2 and figure 1): a weighted sum of 15 searchable terms and two fixed ones.

The released code lists the same 17. Where it and this module differ:

* its perceptual terms compare only the first convolution of VGG-16 and detach the features, so that no gradient
  reaches the network; here they need a feature extractor that the caller supplies, and gradients flow;
* its SSIM terms are (1 - SSIM) / 2; here 1 - SSIM, the scale being absorbed by the weight;
* its saliency masks were never released; here histogram contrast (see `terms.infrared_share`).

The paper searches the weights for a task. The defaults of `CAFLossWeights` are fixed weights of our own, chosen for
fused images that keep the stronger intensity and the stronger edge of either source.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from fusion_ros.configuration import setting
from fusion_ros.errors import InputError
from fusion_ros.training.losses.features import Features
from fusion_ros.training.losses.terms import (
    gradient_magnitude,
    infrared_share,
    mean_absolute,
    mean_square,
    one_minus_ssim,
)

FIXED_TERMS = ("mse_masked_visible", "mse_masked_infrared")


def _weight(default: float, description: str) -> Any:
    return setting(default, description, minimum=0.0)


@dataclass(frozen=True)
class CAFLossWeights:
    """Weight of each term: the 15 that CAF searches, in the paper's order (lambda a to o), then the two fixed ones."""

    l1_infrared: float = _weight(0.0, "L1 to the infrared image")
    l1_visible: float = _weight(0.0, "L1 to the visible luminance")
    l1_max: float = _weight(1.0, "L1 to the brighter of the two")
    l1_masked_infrared: float = _weight(0.0, "L1 to the infrared image where it is salient")
    l1_masked_visible: float = _weight(0.0, "L1 to the visible luminance where the infrared is not salient")
    mse_infrared: float = _weight(0.0, "squared distance to the infrared image")
    mse_visible: float = _weight(0.0, "squared distance to the visible luminance")
    mse_max: float = _weight(0.0, "squared distance to the brighter of the two")
    ssim_infrared: float = _weight(0.5, "1 - SSIM with the infrared image")
    ssim_visible: float = _weight(0.5, "1 - SSIM with the visible luminance")
    gradient_infrared: float = _weight(0.0, "L1 between Sobel magnitudes, infrared")
    gradient_visible: float = _weight(0.0, "L1 between Sobel magnitudes, visible")
    gradient_max: float = _weight(10.0, "L1 to the larger of the two Sobel magnitudes")
    perceptual_infrared: float = _weight(0.0, "squared distance of VGG-16 features, infrared")
    perceptual_visible: float = _weight(0.0, "squared distance of VGG-16 features, visible")
    mse_masked_visible: float = _weight(0.5, "fixed: squared distance to the visible where the infrared is not salient")
    mse_masked_infrared: float = _weight(0.5, "fixed: squared distance to the infrared where it is salient")


SEARCHED_TERMS = tuple(field.name for field in dataclasses.fields(CAFLossWeights) if field.name not in FIXED_TERMS)


class CAFLoss:
    """The weighted sum.

    Args:
        weights: one weight per term; a term of weight 0 is not computed.
        features: for the perceptual terms, a function from (N, 3, H, W) in [0, 1] to a list of feature maps.

    Raises:
        InputError: where a perceptual term has a weight and there is no feature extractor.
    """

    def __init__(self, weights: CAFLossWeights | None = None, features: Features | None = None) -> None:
        self.weights = weights or CAFLossWeights()
        self._features = features
        perceptual = self.weights.perceptual_infrared or self.weights.perceptual_visible
        if perceptual and features is None:
            raise InputError("loss.perceptual_*: needs VGG-16's or another network's features; set both to 0")

    def __call__(self, fused: Tensor, visible: Tensor, infrared: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of a batch.

        Args:
            fused, visible, infrared: (N, 1, H, W), the sources in [0, 1].

        Returns:
            The weighted sum (a scalar with gradient) and each computed term before its weight.
        """
        wanted = {name: weight for name, weight in dataclasses.asdict(self.weights).items() if weight}
        terms = self.terms(fused, visible, infrared, set(wanted))
        total = torch.stack([wanted[name] * term for name, term in terms.items()]).sum()
        return total, {name: term.detach() for name, term in terms.items()}

    def terms(self, fused: Tensor, visible: Tensor, infrared: Tensor, names: set[str]) -> dict[str, Tensor]:
        """The unweighted terms in `names`, each a scalar with gradient: what a search over the weights works on."""
        brighter = torch.maximum(visible, infrared)
        targets = {"infrared": infrared, "visible": visible, "max": brighter}
        makers: dict[str, Callable[[], Tensor]] = {}
        for target, image in targets.items():
            makers[f"l1_{target}"] = partial(mean_absolute, fused, image)
            makers[f"mse_{target}"] = partial(mean_square, fused, image)
        for target in ("infrared", "visible"):
            image = targets[target]
            makers[f"ssim_{target}"] = partial(one_minus_ssim, fused, image)
        makers |= _perceptual_terms(fused, visible, infrared, names, self._features)
        makers |= _gradient_terms(fused, visible, infrared, names)
        makers |= _masked_terms(fused, visible, infrared, names)
        return {name: makers[name]() for name in makers if name in names}


def _perceptual_terms(
    fused: Tensor, visible: Tensor, infrared: Tensor, names: set[str], features: Features | None
) -> Mapping[str, Callable[[], Tensor]]:
    if features is None or not any(name.startswith("perceptual_") for name in names):
        return {}
    own = features(fused.expand(-1, 3, -1, -1))

    def distance(image: Tensor) -> Tensor:
        others = features(image.expand(-1, 3, -1, -1))
        return torch.stack([mean_square(*pair) for pair in zip(own, others, strict=True)]).mean()

    return {
        "perceptual_infrared": lambda: distance(infrared),
        "perceptual_visible": lambda: distance(visible),
    }


def _gradient_terms(
    fused: Tensor, visible: Tensor, infrared: Tensor, names: set[str]
) -> Mapping[str, Callable[[], Tensor]]:
    if not any(name.startswith("gradient_") for name in names):
        return {}
    own, of_visible, of_infrared = (gradient_magnitude(image) for image in (fused, visible, infrared))
    return {
        "gradient_infrared": lambda: mean_absolute(own, of_infrared),
        "gradient_visible": lambda: mean_absolute(own, of_visible),
        "gradient_max": lambda: mean_absolute(own, torch.maximum(of_visible, of_infrared)),
    }


def _masked_terms(
    fused: Tensor, visible: Tensor, infrared: Tensor, names: set[str]
) -> Mapping[str, Callable[[], Tensor]]:
    if not any("_masked_" in name for name in names):
        return {}
    share = infrared_share(visible, infrared)
    return {
        "l1_masked_infrared": lambda: mean_absolute(share * fused, share * infrared),
        "l1_masked_visible": lambda: mean_absolute((1 - share) * fused, (1 - share) * visible),
        "mse_masked_infrared": lambda: mean_square(share * fused, share * infrared),
        "mse_masked_visible": lambda: mean_square((1 - share) * fused, (1 - share) * visible),
    }
