"""Training CAF-S: what is kept of both sources, measured directly, on scenes that are neither dazzled nor dark."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from fusion_ros.configuration import section
from fusion_ros.networks.caf_s import CAFSNet
from fusion_ros.training.data.noisy_crops import NoisyCrops
from fusion_ros.training.data.pairs import PairsConfig
from fusion_ros.training.distillation import DistillationConfig, load_teacher, with_teacher
from fusion_ros.training.fusion_task import FusionTaskConfig, train_fusion
from fusion_ros.training.losses.fidelity import FidelityWeights, fidelity_loss
from fusion_ros.training.trainer import TrainerConfig, TrainingResult


@dataclass(frozen=True)
class Config:
    """Everything that can be set for `fusion-ros train caf-s`."""

    data: PairsConfig = section(PairsConfig, "data")
    loss: FidelityWeights = section(FidelityWeights, "loss")
    trainer: TrainerConfig = section(TrainerConfig, "")
    task: FusionTaskConfig = section(FusionTaskConfig, "")
    distillation: DistillationConfig = section(DistillationConfig, "")


def train(config: Config, out: Path, resume: bool) -> TrainingResult:
    """Train into the folder `out`; see `Trainer`."""
    teacher = load_teacher(config.distillation, "CAFNet", config.data.crop)

    def loss(network: nn.Module, batch: Mapping[str, Tensor], _step: int) -> tuple[Tensor, dict[str, Tensor]]:
        fused = network(batch["visible"], batch["infrared"]).fused.float()
        total, terms = fidelity_loss(fused, batch["clean"], batch["clean_infrared"], config.loss)
        return with_teacher(total, terms, teacher, fused, batch["visible"], batch["infrared"])

    return train_fusion(config, CAFSNet, loss, NoisyCrops, out, resume)
