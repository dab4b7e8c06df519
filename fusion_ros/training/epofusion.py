"""Training EPOFusion's paper configuration with the paper's loss on dazzled crops."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor, nn

from fusion_ros.configuration import section
from fusion_ros.networks.epofusion import EPOFusionNet
from fusion_ros.training.data.glare_crops import GlareCrops
from fusion_ros.training.data.pairs import PairsConfig
from fusion_ros.training.fusion_task import FusionTaskConfig, train_fusion
from fusion_ros.training.losses.epofusion import EPOFusionLoss, EPOFusionLossWeights
from fusion_ros.training.trainer import TrainerConfig, TrainingResult


@dataclass(frozen=True)
class Config:
    """Everything that can be set for `fusion-ros train epofusion`.

    Optimiser and schedule are the released configuration's: AdamW, 6e-5 falling linearly to 0 after 1500 steps of
    warm-up, 1e5 steps, batch 8 (paper; the code has 6). The paper's 1e-5 continues from weights of the authors' own.
    The mask is that of salient objects which over-exposure hides, as in the paper.
    """

    data: PairsConfig = field(
        default_factory=lambda: PairsConfig(crop=256), metadata={"section": PairsConfig, "parameter": "data"}
    )
    loss: EPOFusionLossWeights = section(EPOFusionLossWeights, "loss")
    trainer: TrainerConfig = field(
        default_factory=lambda: TrainerConfig(
            steps=100_000, learning_rate=6e-5, weight_decay=0.01, warm_up=1500, schedule="linear"
        ),
        metadata={"section": TrainerConfig, "parameter": ""},
    )
    task: FusionTaskConfig = section(FusionTaskConfig, "")


def train(config: Config, out: Path, resume: bool) -> TrainingResult:
    """Train into the folder `out`; see `Trainer`."""
    measure = EPOFusionLoss(config.loss)

    def loss(network: nn.Module, batch: Mapping[str, Tensor], _step: int) -> tuple[Tensor, dict[str, Tensor]]:
        output = network(batch["visible"], batch["infrared"])
        total, terms = measure(output, batch["visible"], batch["infrared"], batch["hidden"])
        return total, dict(terms)

    return train_fusion(config, EPOFusionNet, loss, GlareCrops, out, resume)
