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
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
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
    perceptual_infrared: float = _weight(0.0, "squared distance of feature maps, infrared")
    perceptual_visible: float = _weight(0.0, "squared distance of feature maps, visible")
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

    def terms(self, fused: Tensor, visible: Tensor, infrared: Tensor, names: Collection[str]) -> dict[str, Tensor]:
        """The unweighted terms in `names`, each a scalar with gradient."""
        return terms_of(fused, Sources(visible, infrared, self._features), names)


class Measured:
    """An image and what terms take of it, computed once and only when asked for."""

    def __init__(self, image: Tensor, features: Features | None) -> None:
        self.image = image
        self._features = features

    @cached_property
    def gradient(self) -> Tensor:
        """Sobel magnitude, the image's shape."""
        return gradient_magnitude(self.image)

    @cached_property
    def maps(self) -> list[Tensor]:
        """Feature maps, fine to coarse."""
        assert self._features is not None
        return self._features(self.image.expand(-1, 3, -1, -1))


class Sources:
    """A batch of both sources, (N, 1, H, W) in [0, 1] each, and the targets that are made of them.

    One object may serve many fused images, as in a search, where the same batch is fused again and again.
    """

    def __init__(self, visible: Tensor, infrared: Tensor, features: Features | None = None) -> None:
        self.visible, self.infrared = Measured(visible, features), Measured(infrared, features)
        self.features = features

    @cached_property
    def brighter(self) -> Tensor:
        """The brighter of the two in each pixel."""
        return torch.maximum(self.visible.image, self.infrared.image)

    @cached_property
    def steeper(self) -> Tensor:
        """The larger of the two Sobel magnitudes in each pixel."""
        return torch.maximum(self.visible.gradient, self.infrared.gradient)

    @cached_property
    def share(self) -> Tensor:
        """The infrared's share of each pixel by saliency."""
        return infrared_share(self.visible.image, self.infrared.image)


def terms_of(fused: Tensor, sources: Sources, names: Collection[str]) -> dict[str, Tensor]:
    """The unweighted terms in `names`, each a scalar with gradient: what a search over the weights works on.

    Args:
        fused: (N, 1, H, W).
        sources: of the same batch.
        names: fields of `CAFLossWeights`; the result has their order there.
    """
    own = Measured(fused, sources.features)
    return {name: _term(name, own, sources) for name in _ALL_TERMS if name in names}


_ALL_TERMS = tuple(field.name for field in dataclasses.fields(CAFLossWeights))
_DISTANCES = {"l1": mean_absolute, "mse": mean_square}


def _term(name: str, own: Measured, sources: Sources) -> Tensor:
    kind, _, target = name.rpartition("_")
    if target == "max":
        if kind == "gradient":
            return mean_absolute(own.gradient, sources.steeper)
        return _DISTANCES[kind](own.image, sources.brighter)
    source = sources.infrared if target == "infrared" else sources.visible
    if kind.endswith("_masked"):
        share = sources.share if target == "infrared" else 1 - sources.share
        return _DISTANCES[kind.removesuffix("_masked")](share * own.image, share * source.image)
    if kind == "ssim":
        return one_minus_ssim(own.image, source.image)
    if kind == "gradient":
        return mean_absolute(own.gradient, source.gradient)
    if kind == "perceptual":
        return torch.stack([mean_square(*pair) for pair in zip(own.maps, source.maps, strict=True)]).mean()
    return _DISTANCES[kind](own.image, source.image)
