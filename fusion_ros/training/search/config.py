"""Everything that can be set for `fusion-ros search`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from fusion_ros.configuration import section, setting
from fusion_ros.networks.caf import CAFConfig, CAFNet
from fusion_ros.networks.caf_s import CAFSNet
from fusion_ros.networks.dfvo import DFVONet
from fusion_ros.networks.dfvo_s import DFVOSNet
from fusion_ros.networks.epofusion import EPOFusionNet
from fusion_ros.networks.epofusion_s import EPOFusionSNet
from fusion_ros.training.losses.features import AUTO
from fusion_ros.training.search.perception import PerceptionConfig
from fusion_ros.training.search.scenes import DETECTION, SEGMENTATION, ScenesConfig

# Every fusion network there is: in train mode each returns something with `fused`.
NETWORKS: Mapping[str, Callable[[], nn.Module]] = {
    "caf": lambda: CAFNet(CAFConfig(activation="sigmoid")),
    "caf-s": CAFSNet,
    "dfvo": DFVONet,
    "dfvo-s": DFVOSNet,
    "epofusion": EPOFusionNet,
    "epofusion-s": EPOFusionSNet,
}
TASKS = (DETECTION, SEGMENTATION)


@dataclass(frozen=True)
class SearchConfig:
    """The bi-level search; rates of the weights are the paper's."""

    steps: int = setting(1500, "steps, each of the perception network, the fusion network and the weights", minimum=1)
    warm_up: int = setting(100, "first steps, in which the weights stay equal", minimum=0)
    rate: float = setting(0.05, "Adam's rate for the weights' logits", minimum=0.0)
    decay: float = setting(0.998, "factor of that rate after each of their steps", minimum=0.0, maximum=1.0)
    fusion_rate: float = setting(1e-3, "Adam's rate for the fusion network, and the size of the unrolled step")
    perception_rate: float = setting(1e-4, "Adam's rate for the perception network", minimum=0.0)
    epsilon: float = setting(0.01, "length of the way of the finite difference", minimum=1e-8)
    fixed: float = setting(0.5, "weight of the two terms that are not searched", minimum=0.0)


@dataclass(frozen=True)
class StageConfig:
    """One of the two trainings that follow."""

    steps: int = setting(2000, "optimiser steps", minimum=1)
    learning_rate: float = setting(1e-4, "Adam's rate", minimum=0.0)
    schedule: str = setting("constant", "how it goes on", choices=("constant", "cosine", "linear"))


@dataclass(frozen=True)
class Config:
    """A search, then a fusion network trained with the weights found, then a perception network on its pictures."""

    task: str = setting(DETECTION, "what the fused images are for", choices=TASKS)
    network: str = setting("caf", "which fusion network", choices=tuple(NETWORKS))
    start: str = setting("", "safetensors file whose weights the fusion network starts from; empty for random ones")
    data: ScenesConfig = section(ScenesConfig, "data")
    perception: PerceptionConfig = section(PerceptionConfig, "perception")
    features: str = setting(AUTO, "network of the perceptual terms: auto, vgg16, detector, or an ONNX file")
    search: SearchConfig = section(SearchConfig, "search")
    fusion: StageConfig = section(StageConfig, "fusion")
    adaptation: StageConfig = section(StageConfig, "adaptation")
    batch: int = setting(8, "crops of a step", minimum=1)
    seed: int = setting(0, "of initial weights and crops", minimum=0)
    threads: int = setting(0, "CPU threads; 0 leaves torch's choice", minimum=0)
    device: str = setting("auto", "a GPU where there is one", choices=("auto", "cpu", "cuda"))
    checkpoint_every: int = setting(50, "steps between checkpoints", minimum=1)
    log_every: int = setting(10, "steps between log entries", minimum=1)
    max_minutes: float = setting(0.0, "stop with a checkpoint after so many minutes; 0 is no limit", minimum=0.0)


# What may differ when a run goes on: none of it changes what a step does.
CHANGEABLE = ("search.steps", "threads", "device", "checkpoint_every", "log_every", "max_minutes")


def search_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a config's values that the search depends on."""
    later = ("fusion.", "adaptation.")
    return {name: value for name, value in values.items() if not name.startswith(later)}
