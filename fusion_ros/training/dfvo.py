"""Training DFVO's paper configuration with the paper's loss on dark and darkened crops."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor, nn

from fusion_ros.configuration import section, setting
from fusion_ros.networks.dfvo import DFVONet
from fusion_ros.training.data.dark_crops import DarkCrops
from fusion_ros.training.data.pairs import PairsConfig
from fusion_ros.training.fusion_task import FusionTaskConfig, Loss, train_fusion
from fusion_ros.training.losses.dfvo import DFVOLoss, DFVOLossWeights
from fusion_ros.training.trainer import TrainerConfig, TrainingResult


@dataclass(frozen=True)
class Config:
    """Everything that can be set for `fusion-ros train dfvo`.

    Adam at 1e-4 for 100 epochs of 240 pairs, as the paper; batches of 8 where the released code has 1 (batch norm's
    running statistics would be those of the last crop), and Adam's usual second decay where it has .8.
    """

    data: PairsConfig = field(
        default_factory=lambda: PairsConfig(crop=256, sets="llvip,msrs,roadscene"),
        metadata={"section": PairsConfig, "parameter": "data"},
    )
    loss: DFVOLossWeights = section(DFVOLossWeights, "loss")
    epoch_samples: int = setting(240, "samples of an epoch, which the loss's schedule counts in", minimum=1)
    trainer: TrainerConfig = field(
        default_factory=lambda: TrainerConfig(steps=24_000, learning_rate=1e-4),
        metadata={"section": TrainerConfig, "parameter": ""},
    )
    task: FusionTaskConfig = section(FusionTaskConfig, "")


def training_loss(config: Config) -> Loss:
    """DFVO's loss of a batch of `DarkCrops` in colour, its schedule counted in the epochs of `config`."""
    measure = DFVOLoss(config.loss)
    samples_per_step = config.trainer.batch * config.trainer.accumulate

    def loss(network: nn.Module, batch: Mapping[str, Tensor], step: int) -> tuple[Tensor, dict[str, Tensor]]:
        output = network(batch["visible"], batch["infrared"])
        epoch = step * samples_per_step / config.epoch_samples
        total, terms = measure(output, batch["visible"], batch["infrared"], epoch, batch["chroma"])
        return total, dict(terms)

    return loss


def train(config: Config, out: Path, resume: bool) -> TrainingResult:
    """Train into the folder `out`; see `Trainer`."""
    return train_fusion(config, DFVONet, training_loss(config), DarkCrops, out, resume)
