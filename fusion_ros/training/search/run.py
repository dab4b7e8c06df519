"""A whole run of `fusion-ros search`: the search, the loss it found, and the two trainings with it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import nn

from fusion_ros.configuration import validate, values_of
from fusion_ros.errors import InputError
from fusion_ros.fusion.network_loading import load_network
from fusion_ros.fusion.weights import models_directory
from fusion_ros.training.losses.caf import FIXED_TERMS, CAFLossWeights
from fusion_ros.training.losses.features import DETECTOR, VGG, load_features, resolve_features
from fusion_ros.training.run_folder import CHECKPOINT_NAME
from fusion_ros.training.search.config import NETWORKS, Config, search_settings
from fusion_ros.training.search.hierarchy import adapt_perception, train_fusion_with
from fusion_ros.training.search.loss_search import LossSearch, Trajectory
from fusion_ros.training.search.perception import load_perception
from fusion_ros.training.search.scenes import LabelledScenes, read_scenes

LOSS_NAME = "loss.yaml"
TRAJECTORY_NAME = "trajectory.json"
SEARCH, FUSION, ADAPTATION = "search", "fusion", "adaptation"


@dataclass(frozen=True)
class SearchOutcome:
    """What a run has come to.

    Attributes:
        finished: whether all three stages are done.
        step: of the search.
        features: what the perceptual terms compare, in words.
        weights: searched weights by term, which add to one, and the fixed ones.
        trajectory: every step of the search.
        scenes: what was searched on.
        fusion: metrics of the fusion network, empty before it is trained.
        figures: upper-level figures on the validation part, empty before the end.
        fused: the trained fusion network, in eval mode; None before it is trained.
    """

    finished: bool
    step: int
    features: str
    weights: CAFLossWeights
    trajectory: Trajectory
    scenes: LabelledScenes
    fusion: Mapping[str, float]
    figures: Mapping[str, float]
    fused: nn.Module | None


def run_search(config: Config, out: Path, resume: bool) -> SearchOutcome:
    """Search, write `loss.yaml` and `trajectory.json`, then train both networks, all into the folder `out`.

    Raises:
        InputError: bad settings, data without the task's labels, or a folder that holds another run.
        JobError: the search or a training diverged; the checkpoint before it stays.
        KeyboardInterrupt: after SIGINT or SIGTERM, once a checkpoint is written.
    """
    validate(config)
    if (out / SEARCH / CHECKPOINT_NAME).exists() and not resume:
        raise InputError(f"{out}: holds a search; continue it with --resume or choose another --out")
    if config.threads:
        torch.set_num_threads(config.threads)
    config = dataclasses.replace(config, features=resolve_features(config.features))
    started = time.monotonic()

    def minutes_left() -> float:
        spent = (time.monotonic() - started) / 60
        # 0 would be no limit.
        return max(config.max_minutes - spent, 1e-3) if config.max_minutes else 0.0

    features = load_features(config.features)
    scenes = read_scenes(config.data, config.task)
    search = LossSearch(
        new_fusion_network(config),
        load_perception(config.perception, config.task, len(scenes.class_names)),
        scenes,
        features,
        config,
        search_settings(values_of(config)),
        out / SEARCH,
        resume,
    )
    search.run(60 * minutes_left() or math.inf)
    weights = loss_weights(search.weights, config.search.fixed)
    write_loss(out / LOSS_NAME, weights, config, search.step)
    (out / TRAJECTORY_NAME).write_text(json.dumps(dict(vars(search.trajectory))) + "\n")
    outcome = SearchOutcome(
        False, search.step, describe_features(config.features), weights, search.trajectory, scenes, {}, {}, None
    )
    if not search.finished:
        return outcome
    network = new_fusion_network(config)
    trained = train_fusion_with(network, weights, features, scenes, config, out / FUSION, True, minutes_left())
    outcome = dataclasses.replace(outcome, fusion=trained.metrics, fused=network.eval())
    if not trained.finished:
        return outcome
    perception = load_perception(config.perception, config.task, len(scenes.class_names))
    adapted = adapt_perception(perception, network, scenes, config, out / ADAPTATION, True, minutes_left())
    return dataclasses.replace(outcome, figures=adapted.metrics, finished=adapted.finished)


def new_fusion_network(config: Config) -> nn.Module:
    """The fusion network with its first weights, which the seed determines, and that of everything drawn later.

    Raises:
        InputError: `start` is not a file of this network.
    """
    torch.manual_seed(config.seed)
    np.random.seed(config.seed)  # noqa: NPY002  (what libraries below draw from)
    network = NETWORKS[config.network]()
    multiple = getattr(network, "multiple_of", 1)
    if config.data.crop % multiple or config.data.crop % 32:
        raise InputError(f"data.crop: {config.data.crop} is not a multiple of 32, which the networks need")
    if config.start:
        network.load_state_dict(load_network(Path(config.start), type(network).__name__).state_dict())
    return network


def loss_weights(searched: Mapping[str, float], fixed: float) -> CAFLossWeights:
    """The whole loss: searched weights and the two that are not."""
    return CAFLossWeights(**searched, **dict.fromkeys(FIXED_TERMS, fixed))


def describe_features(name: str) -> str:
    """Where perceptual features are from, for people: a file's fingerprint says which version of it was used."""
    if name == VGG:
        return "VGG-16 (ImageNet), layers 1, 3, 5, 9, 13"
    path = models_directory() / "detector.onnx" if name == DETECTOR else Path(name)
    fingerprint = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    whose = "the shipped detector" if name == DETECTOR else path.name
    return f"backbone of {whose} (sha256 {fingerprint}), at 1/2, 1/4, 1/8 and 1/16"


def write_loss(path: Path, weights: CAFLossWeights, config: Config, step: int) -> None:
    """Write the loss as settings that `fusion-ros train NETWORK --config` takes; in place of a former one, or not."""
    document: dict[str, Any] = {
        "searched": {
            "use": True,
            "features": config.features,
            **{name: round(value, 6) for name, value in dataclasses.asdict(weights).items()},
        }
    }
    heading = (
        f"# Loss found by: fusion-ros search caf --task {config.task} --network {config.network} "
        f"(step {step} of {config.search.steps}, seed {config.seed}).\n"
        f"# Perceptual terms: {describe_features(config.features)}.\n"
        f"# To train with it: fusion-ros train {config.network} --config {path.name} --data ../shared/data\n"
    )
    temporary = path.with_suffix(f".{os.getpid()}")
    temporary.write_text(heading + yaml.safe_dump(document, sort_keys=False))
    temporary.replace(path)
