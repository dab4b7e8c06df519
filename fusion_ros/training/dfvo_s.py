"""Training DFVO-S: brighten the dark visible image, keep its noise down, and fuse it with the infrared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from fusion_ros.configuration import section, setting
from fusion_ros.networks.dfvo_s import DFVOSNet, DFVOSOutput
from fusion_ros.training.data.dark_crops import DarkCrops
from fusion_ros.training.data.pairs import PairsConfig
from fusion_ros.training.distillation import DistillationConfig, load_teacher, with_teacher
from fusion_ros.training.fusion_task import FusionTaskConfig, train_fusion
from fusion_ros.training.losses.dfvo import mutual_gradient_term, smoothness_term
from fusion_ros.training.losses.fidelity import FidelityWeights, correlation, fidelity_loss
from fusion_ros.training.losses.terms import gradient_magnitude, mean_absolute
from fusion_ros.training.trainer import TrainerConfig, TrainingResult

BRIGHTNESS_WINDOW = 15
BRIGHTEST = 0.95
LARGEST_GAIN = 4.0
# Sobel magnitude (per pixel, images in [0, 1]) below which a place counts as flat.
FLAT = 0.006


def _weight(default: float, description: str) -> Any:
    return setting(default, description, minimum=0.0)


@dataclass(frozen=True)
class DarknessWeights:
    """Weights of what the low-light mode adds to fidelity."""

    exponent: float = setting(0.72, "target of local brightness: this power of it", minimum=0.1, maximum=1.0)
    enhanced: float = _weight(2.0, "L1 of the enhanced image's local brightness to the target")
    brightness: float = _weight(2.0, "L1 of the fused image's local brightness to the target or the infrared's")
    saturation: float = _weight(5.0, "mean excess over .95")
    flatness: float = _weight(8.0, "Sobel magnitude of the fused image where both sources are flat but for noise")
    steadiness: float = _weight(
        15.0, "mean change of the fused image by the noise on its inputs: what shimmers in a video"
    )
    correlation: float = _weight(5.0, "1 - mean correlation with both sources")
    infrared: float = _weight(0.2, "L1 of the infrared reconstruction")
    mutual_gradient: float = _weight(0.135, "illumination has strong edges or none")
    smoothness: float = _weight(0.05, "illumination is smooth where the visible image is")


@dataclass(frozen=True)
class Config:
    """Everything that can be set for `fusion-ros train dfvo-s`."""

    data: PairsConfig = section(PairsConfig, "data")
    loss: FidelityWeights = section(FidelityWeights, "loss")
    darkness: DarknessWeights = section(DarknessWeights, "darkness")
    trainer: TrainerConfig = section(TrainerConfig, "")
    task: FusionTaskConfig = section(FusionTaskConfig, "")
    distillation: DistillationConfig = section(DistillationConfig, "")


def local_brightness(image: Tensor) -> Tensor:
    """Mean of a 15x15 window around each pixel: (N, 1, H, W) in and out."""
    size = BRIGHTNESS_WINDOW
    return functional.avg_pool2d(image, size, stride=1, padding=size // 2, count_include_pad=False)


def brightened(image: Tensor, exponent: float) -> Tensor:
    """What an image should look like in light: local brightness b becomes b^exponent, contrast grows along.

    At most `LARGEST_GAIN` times, and never beyond 1. (N, 1, H, W) in and out; no gradient flows through.
    """
    with torch.no_grad():
        gain = local_brightness(image).clamp_min(1e-4) ** (exponent - 1.0)
        return (image * gain.clamp(1.0, LARGEST_GAIN)).clamp(0.0, 1.0)


def darkness_terms(output: Any, batch: Mapping[str, Tensor], exponent: float) -> dict[str, Tensor]:
    """What the low-light mode asks for besides fidelity; scalars with gradient.

    Args:
        output: a `DFVOSOutput`.
        batch: `noiseless` and `clean_infrared`, (N, 1, H, W) each.
        exponent: local brightness b of the noiseless visible image should become b^exponent.
    """
    fused, noiseless, infrared = output.fused.float(), batch["noiseless"], batch["clean_infrared"]
    target = local_brightness(brightened(noiseless, exponent))
    wanted = torch.maximum(target, local_brightness(infrared))
    slopes = torch.maximum(gradient_magnitude(noiseless), gradient_magnitude(infrared))
    flat = (slopes < FLAT).to(fused.dtype)
    return {
        "enhanced": mean_absolute(local_brightness(output.enhanced.float()), target),
        "brightness": mean_absolute(local_brightness(fused), wanted),
        "saturation": (fused - BRIGHTEST).clamp_min(0).mean(),
        "flatness": mean_absolute(gradient_magnitude(fused), torch.zeros_like(fused), flat),
        "correlation": 1 - 0.5 * (correlation(fused, noiseless) + correlation(fused, infrared)).mean(),
        "infrared": mean_absolute(output.infrared.float(), infrared),
        "mutual_gradient": mutual_gradient_term(output.illumination.float()),
        "smoothness": smoothness_term(output.illumination.float(), noiseless),
    }


def fused_with_and_without_noise(network: nn.Module, batch: Mapping[str, Tensor]) -> tuple[DFVOSOutput, Tensor]:
    """What the network makes of the noisy inputs, and the fused images (n, 1, H, W) of the first n without their noise.

    A quarter of the batch is enough to tell what noise does. One pass over all, so that batch norm sees them as one.
    """
    count = len(batch["visible"])
    few = -(-count // 4)
    output = network(
        torch.cat([batch["visible"], batch["noiseless"][:few]]),
        torch.cat([batch["infrared"], batch["clean_infrared"][:few]]),
    )
    return DFVOSOutput(*(part[:count] for part in output)), output.fused[count:].float()


def train(config: Config, out: Path, resume: bool) -> TrainingResult:
    """Train into the folder `out`; see `Trainer`."""
    weights = config.darkness
    teacher = load_teacher(config.distillation, "DFVONet", config.data.crop)

    def loss(network: nn.Module, batch: Mapping[str, Tensor], _step: int) -> tuple[Tensor, dict[str, Tensor]]:
        output, quiet = fused_with_and_without_noise(network, batch)
        fused = output.fused.float()
        wanted = brightened(batch["noiseless"], weights.exponent)
        total, terms = fidelity_loss(fused, wanted, batch["clean_infrared"], config.loss)
        added = darkness_terms(output, batch, weights.exponent)
        added["steadiness"] = mean_absolute(fused[: len(quiet)], quiet)
        for name, term in added.items():
            total = total + getattr(weights, name) * term
        terms |= {name: term.detach() for name, term in added.items()}
        return with_teacher(total, terms, teacher, fused, batch["visible"], batch["infrared"])

    return train_fusion(config, DFVOSNet, loss, DarkCrops, out, resume)
