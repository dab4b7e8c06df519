"""What the trainings of all fusion networks share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fusion_ros.configuration import section, setting, validate, values_of
from fusion_ros.fusion.network_loading import load_network
from fusion_ros.training.data.pairs import Pair, PairsConfig, RandomCrops, load_sets
from fusion_ros.training.losses.searched import SearchedLossConfig, searched_loss
from fusion_ros.training.trainer import Trainer, TrainerConfig, TrainingResult
from fusion_ros.training.validation import FusionValidation

Loss = Callable[[nn.Module, Mapping[str, Tensor], int], tuple[Tensor, dict[str, Tensor]]]


@dataclass(frozen=True)
class FusionTaskConfig:
    """What can be set for the training of every fusion network."""

    start: str = setting("", "safetensors file whose weights to start from; empty for random ones")
    validation_pairs: int = setting(12, "validation pairs that are fused and measured, spread over the sets", minimum=1)
    frozen_norms: bool = setting(
        False, "batch norm keeps its statistics: trains what is shipped, for the end of a training with `start`"
    )
    searched: SearchedLossConfig = section(SearchedLossConfig, "searched")


class FusionTask:
    """A network, its loss and its data for the trainer (see `TrainingTask`).

    Args:
        network: in train mode it returns what `loss` needs.
        loss: runs the network on a batch.
        crops: class of the training set.
        data: settings of the crops.
        training: pairs to train on by the set's name.
        validation: measures the network.
        frozen_norms: batch norm works with its running statistics while training, too.
    """

    def __init__(
        self,
        network: nn.Module,
        loss: Loss,
        crops: type[RandomCrops],
        data: PairsConfig,
        training: Mapping[str, list[Pair]],
        validation: FusionValidation,
        frozen_norms: bool = False,
    ) -> None:
        self.network = network
        self._loss, self._crops, self._data = loss, crops, data
        self._training = dict(training)
        self._validation = validation
        self._frozen_norms = frozen_norms

    def training_set(self, seed: int, length: int) -> RandomCrops:
        return self._crops(self._training, self._data, seed, length)

    def loss(self, batch: Mapping[str, Tensor], step: int) -> tuple[Tensor, dict[str, Tensor]]:
        if self._frozen_norms:
            for module in self.network.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self._loss(self.network, batch, step)

    def validate(self) -> dict[str, float]:
        return self._validation.measure(self.network)

    def examples(self) -> Tensor:
        return self._validation.pictures()


def train_fusion(
    config: Any,
    make_network: Callable[[], nn.Module],
    loss: Loss,
    crops: type[RandomCrops],
    out: Path,
    resume: bool,
) -> TrainingResult:
    """Train a fusion network into the folder `out`; see `Trainer`.

    Args:
        config: has `data`, `trainer` and `task` (a `FusionTaskConfig`); the last may name another loss, which a search
            found, to train with.
        make_network: builds the network once the seed is set.
        loss: see `FusionTask`.
        crops: class of the training set.
        out: folder of the run.
        resume: continue the run in it.

    Raises:
        InputError: for bad settings, missing data, or a folder that holds another run.
    """
    validate(config)
    trainer: TrainerConfig = config.trainer
    torch.manual_seed(trainer.seed)
    np.random.seed(trainer.seed)  # noqa: NPY002  (what libraries below draw from)
    training, held_out = load_sets(config.data)
    validation = FusionValidation(held_out, config.task.validation_pairs)
    network = make_network()
    if config.task.start:
        trained = load_network(Path(config.task.start), type(network).__name__)
        network.load_state_dict(trained.state_dict())
    loss = searched_loss(config.task.searched) or loss
    task = FusionTask(network, loss, crops, config.data, training, validation, config.task.frozen_norms)
    return Trainer(task, trainer, values_of(config), out, resume, values_of(type(config)())).run()
