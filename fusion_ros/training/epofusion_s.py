"""Training EPOFusion-S: half of the crops are dazzled, and what the glare hides must come from the infrared image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fusion_ros.configuration import section, setting
from fusion_ros.networks.epofusion_s import EPOFusionSNet
from fusion_ros.training.data.glare_crops import GlareCrops
from fusion_ros.training.data.pairs import PairsConfig
from fusion_ros.training.distillation import DistillationConfig, load_teacher, with_teacher
from fusion_ros.training.fusion_task import FusionTaskConfig, train_fusion
from fusion_ros.training.losses.epofusion import guidance_overlap_term, guidance_term
from fusion_ros.training.losses.fidelity import FidelityWeights, fidelity_loss
from fusion_ros.training.losses.terms import mean_absolute, sobel
from fusion_ros.training.trainer import TrainerConfig, TrainingResult

# Just under what counts as saturated (250 of 255).
BRIGHTEST = 0.94


def _weight(default: float, description: str) -> Any:
    return setting(default, description, minimum=0.0)


@dataclass(frozen=True)
class OverexposedWeights:
    """Weights of the terms on over-exposed pixels, and of the guidance."""

    gradient: float = _weight(20.0, "L1 between fused and infrared gradients, with their signs (Eq. 13, gamma = 1)")
    intensity: float = _weight(0.5, "L1 to the half-and-half image (Eq. 11)")
    saturation: float = _weight(40.0, "mean excess over .94")
    guidance: float = _weight(0.4, "phi: cross-entropy of the guidance (Eq. 14)")
    guidance_overlap: float = _weight(0.2, "1 - intersection over union of the guidance's mask")


@dataclass(frozen=True)
class Config:
    """Everything that can be set for `fusion-ros train epofusion-s`."""

    data: PairsConfig = section(PairsConfig, "data")
    loss: FidelityWeights = section(FidelityWeights, "loss")
    overexposed: OverexposedWeights = section(OverexposedWeights, "overexposed")
    trainer: TrainerConfig = section(TrainerConfig, "")
    task: FusionTaskConfig = section(FusionTaskConfig, "")
    distillation: DistillationConfig = section(DistillationConfig, "")


def overexposed_terms(fused: Tensor, visible: Tensor, infrared: Tensor, mask: Tensor) -> dict[str, Tensor]:
    """What is asked of over-exposed pixels: the infrared's gradients at full size, no burnt pixel.

    The paper compares gradient magnitudes; here the derivatives themselves, for a magnitude has no direction and a
    network that only has to match it may draw the negative.

    Args:
        fused, visible, infrared: (N, 1, H, W).
        mask: (N, 1, H, W), 1 where `visible` is saturated.

    Returns:
        Scalars with gradient, each a mean over the mask; 0 where it is empty.
    """
    differences = [mean_absolute(a, b, mask) for a, b in zip(sobel(fused), sobel(infrared), strict=True)]
    return {
        "gradient": differences[0] + differences[1],
        "intensity": mean_absolute(fused, 0.5 * (visible + infrared), mask),
        "saturation": mean_absolute((fused - BRIGHTEST).clamp_min(0), torch.zeros_like(fused), mask),
    }


def train(config: Config, out: Path, resume: bool) -> TrainingResult:
    """Train into the folder `out`; see `Trainer`."""
    weights = config.overexposed
    teacher = load_teacher(config.distillation, "EPOFusionNet", config.data.crop)

    def loss(network: nn.Module, batch: Mapping[str, Tensor], _step: int) -> tuple[Tensor, dict[str, Tensor]]:
        output = network(batch["visible"], batch["infrared"])
        fused, mask = output.fused.float(), batch["overexposed"]
        total, terms = fidelity_loss(fused, batch["clean"], batch["clean_infrared"], config.loss, 1 - mask)
        inside = overexposed_terms(fused, batch["visible"], batch["clean_infrared"], mask)
        inside["guidance"] = guidance_term(output.guidance, batch["hidden"])
        inside["guidance_overlap"] = guidance_overlap_term(output.guidance, batch["hidden"])
        for name, term in inside.items():
            total = total + getattr(weights, name) * term
        terms |= {f"overexposed_{name}": term.detach() for name, term in inside.items()}
        return with_teacher(total, terms, teacher, fused, batch["visible"], batch["infrared"])

    return train_fusion(config, EPOFusionSNet, loss, GlareCrops, out, resume)
