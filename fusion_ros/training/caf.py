"""Training CAF's network with fixed or searched loss weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fusion_ros.configuration import section, setting, validate, values_of
from fusion_ros.networks.caf import CAFConfig, CAFNet
from fusion_ros.training.data.pairs import Pair, PairsConfig, RandomCrops, load_sets
from fusion_ros.training.losses.caf import CAFLoss, CAFLossWeights
from fusion_ros.training.losses.searched import SearchedLossConfig, searched_loss
from fusion_ros.training.trainer import Trainer, TrainerConfig, TrainingResult
from fusion_ros.training.validation import FusionValidation


@dataclass(frozen=True)
class Config:
    """Everything that can be set for `fusion-ros train caf`.

    The paper trains with Adam at 1e-4 for 100 epochs of 1000 patches (about 12,500 steps of 8); those are the
    defaults. `config/train/caf_quick.yaml` is what the shipped weights began with (their card says how they ended).
    """

    data: PairsConfig = section(PairsConfig, "data")
    loss: CAFLossWeights = section(CAFLossWeights, "loss")
    trainer: TrainerConfig = section(TrainerConfig, "")
    searched: SearchedLossConfig = section(SearchedLossConfig, "searched")
    validation_pairs: int = setting(12, "validation pairs that are fused and measured, spread over the sets", minimum=1)


class CAFTask:
    """CAF's network, loss and data for the trainer (see `TrainingTask`)."""

    def __init__(self, config: Config, training: Mapping[str, list[Pair]], validation: FusionValidation) -> None:
        self.network: nn.Module = CAFNet(CAFConfig(activation="sigmoid"))
        self._config = config
        self._training = dict(training)
        self._validation = validation
        self._loss = CAFLoss(config.loss)
        self._searched = searched_loss(config.searched)

    def training_set(self, seed: int, length: int) -> RandomCrops:
        return RandomCrops(self._training, self._config.data, seed, length)

    def loss(self, batch: Mapping[str, Tensor], step: int) -> tuple[Tensor, dict[str, Tensor]]:
        if self._searched:
            return self._searched(self.network, batch, step)
        fused = self.network(batch["visible"], batch["infrared"]).fused.float()
        return self._loss(fused, batch["visible"], batch["infrared"])

    def validate(self) -> dict[str, float]:
        return self._validation.measure(self.network)

    def examples(self) -> Tensor:
        return self._validation.pictures()


def train(config: Config, out: Path, resume: bool) -> TrainingResult:
    """Train into the folder `out`; see `Trainer`.

    Raises:
        InputError: for bad settings, missing data, or a folder that holds another run.
    """
    validate(config)
    # The seed has to be set before the network draws its initial weights.
    torch.manual_seed(config.trainer.seed)
    np.random.seed(config.trainer.seed)  # noqa: NPY002  (what libraries below draw from)
    training, held_out = load_sets(config.data)
    task = CAFTask(config, training, FusionValidation(held_out, config.validation_pairs))
    settings: dict[str, Any] = values_of(config)
    return Trainer(task, config.trainer, settings, out, resume, values_of(Config())).run()
