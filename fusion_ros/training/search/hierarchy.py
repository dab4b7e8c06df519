"""What follows a search: a fusion network trained with fixed weights, then a perception network on its pictures."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fusion_ros.training.losses.caf import CAFLoss, CAFLossWeights
from fusion_ros.training.losses.features import Features
from fusion_ros.training.search.config import Config, StageConfig
from fusion_ros.training.search.judging import figures, fused_picture
from fusion_ros.training.search.perception import PerceptionLoss, PerceptionNetwork, recoloured
from fusion_ros.training.search.scenes import LabelledScenes, Scene, SceneCrops
from fusion_ros.training.trainer import Trainer, TrainerConfig, TrainingResult
from fusion_ros.training.validation import FusionValidation

_FUSION, _ADAPTATION = 4, 5
_EXAMPLES = 3
_EXAMPLE_SIZE = (240, 320)
_METRIC_PAIRS = 6


class FusionStage:
    """The fusion network, learning from the weighted terms on all training pairs (see `TrainingTask`)."""

    def __init__(
        self, network: nn.Module, weights: CAFLossWeights, features: Features, scenes: LabelledScenes, crop: int
    ) -> None:
        self.network = network
        self._loss = CAFLoss(weights, features)
        self._scenes, self._crop = scenes, crop
        pairs = {"validation": [scene.pair for scene in scenes.validation]}
        self._validation = FusionValidation(pairs, _METRIC_PAIRS)

    def training_set(self, seed: int, length: int) -> SceneCrops:
        return SceneCrops([*self._scenes.training, *self._scenes.upper], self._crop, (seed, _FUSION), length)

    def loss(self, batch: Mapping[str, Tensor], step: int) -> tuple[Tensor, dict[str, Tensor]]:
        fused = self.network(batch["visible"], batch["infrared"]).fused.float()
        return self._loss(fused, batch["visible"], batch["infrared"])

    def validate(self) -> dict[str, float]:
        return self._validation.measure(self.network)

    def examples(self) -> Tensor:
        return self._validation.pictures()


class AdaptationStage:
    """The perception network, learning on the pictures of a finished fusion network (see `TrainingTask`)."""

    def __init__(self, network: PerceptionNetwork, fusion: nn.Module, scenes: LabelledScenes, crop: int) -> None:
        self.network: nn.Module = network
        self._fusion = fusion.eval().requires_grad_(False)
        self._perception = network
        self._measure: PerceptionLoss | None = None
        self._scenes, self._crop = scenes, crop

    def training_set(self, seed: int, length: int) -> SceneCrops:
        return SceneCrops([*self._scenes.training, *self._scenes.upper], self._crop, (seed, _ADAPTATION), length)

    def loss(self, batch: Mapping[str, Tensor], step: int) -> tuple[Tensor, dict[str, Tensor]]:
        if self._measure is None:
            # Not before the trainer has moved the network: the loss keeps tensors beside it.
            self._measure = PerceptionLoss(self._perception)
            self._fusion.to(batch["visible"].device)
        with torch.no_grad():
            fused = self._fusion(batch["visible"], batch["infrared"]).float()
        return self._measure(self.network(recoloured(batch["color"], batch["visible"], fused)), batch), {}

    def validate(self) -> dict[str, float]:
        assert isinstance(self.network, PerceptionNetwork)
        self._fusion.to(next(self.network.parameters()).device)
        return figures(self._fusion, self.network, self._scenes, self._crop)

    def examples(self) -> Tensor:
        return examples(self._fusion, self._scenes.validation)


@torch.no_grad()
def examples(fusion: nn.Module, scenes: Sequence[Scene]) -> Tensor:
    """(n, 3, h, w) fused pictures of some pairs, spread over all, brought to one size."""
    chosen = scenes[:: max(1, len(scenes) // _EXAMPLES)][:_EXAMPLES]
    pictures = [fused_picture(fusion, scene).cpu() for scene in chosen]
    return torch.cat([nn.functional.interpolate(picture, _EXAMPLE_SIZE, mode="area") for picture in pictures])


def train_fusion_with(
    network: nn.Module,
    weights: CAFLossWeights,
    features: Features,
    scenes: LabelledScenes,
    config: Config,
    out: Path,
    resume: bool,
    minutes: float = 0.0,
) -> TrainingResult:
    """Train the fusion network with fixed weights; see `Trainer`."""
    task = FusionStage(network, weights, features, scenes, config.data.crop)
    trainer = _trainer_config(config, config.fusion, minutes)
    settings = {**_settings(config, trainer), **dataclasses.asdict(weights), "features": config.features}
    return Trainer(task, trainer, settings, out, resume).run()


def adapt_perception(
    network: PerceptionNetwork,
    fusion: nn.Module,
    scenes: LabelledScenes,
    config: Config,
    out: Path,
    resume: bool,
    minutes: float = 0.0,
) -> TrainingResult:
    """Train the perception network on fused pictures and take the upper-level figures; see `Trainer`, `figures`."""
    task = AdaptationStage(network, fusion, scenes, config.data.crop)
    trainer = _trainer_config(config, config.adaptation, minutes)
    settings = {**_settings(config, trainer), "init": config.perception.init}
    return Trainer(task, trainer, settings, out, resume).run()


def _trainer_config(config: Config, stage: StageConfig, minutes: float) -> TrainerConfig:
    return TrainerConfig(
        steps=stage.steps,
        batch=config.batch,
        learning_rate=stage.learning_rate,
        schedule=stage.schedule,
        clip=10.0,
        precision="fp32",
        device=config.device,
        seed=config.seed,
        threads=config.threads,
        # Figures over whole pairs take as long as many steps: once is enough.
        validate_every=stage.steps,
        checkpoint_every=config.checkpoint_every,
        log_every=config.log_every,
        max_minutes=minutes,
    )


def _settings(config: Config, trainer: TrainerConfig) -> dict[str, Any]:
    named = {"task": config.task, "network": config.network, **dataclasses.asdict(config.data)}
    return {**dataclasses.asdict(trainer), **named}
