"""A loss that a search has found, in the place of a network's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from fusion_ros.configuration import section, setting
from fusion_ros.training.losses.caf import CAFLoss, CAFLossWeights
from fusion_ros.training.losses.features import load_features

Loss = Callable[[nn.Module, Mapping[str, Tensor], int], tuple[Tensor, dict[str, Tensor]]]


@dataclass(frozen=True)
class SearchedLossConfig:
    """The weights, as `fusion-ros search` writes them to `loss.yaml`."""

    use: bool = setting(False, "train with these weights of CAF's terms instead of the network's own loss")
    features: str = setting("auto", "network of the perceptual terms: auto, vgg16, detector, or an ONNX file")
    weights: CAFLossWeights = section(CAFLossWeights, "")


def searched_loss(config: SearchedLossConfig) -> Loss | None:
    """The loss of a network on a batch, or None where it is not to be used.

    The targets are the sources as they were before noise or darkness was added, where a batch has them.

    Raises:
        InputError: a perceptual term has a weight and its network is not there.
    """
    if not config.use:
        return None
    weights = config.weights
    perceptual = weights.perceptual_infrared or weights.perceptual_visible
    measure = CAFLoss(weights, load_features(config.features) if perceptual else None)

    def loss(network: nn.Module, batch: Mapping[str, Tensor], _step: int) -> tuple[Tensor, dict[str, Tensor]]:
        fused = network(batch["visible"], batch["infrared"]).fused.float()
        visible = batch.get("clean", batch["visible"])
        return measure(fused, visible, batch.get("clean_infrared", batch["infrared"]))

    return loss
