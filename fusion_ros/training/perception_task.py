"""What trainings of the detector and of the segmenter have in common: settings, parts of the data, and the end."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fusion_ros.configuration import section, setting, validate
from fusion_ros.errors import InputError
from fusion_ros.training.data.simulated_pairs import SimulationConfig
from fusion_ros.training.sensor_mix import SensorMixConfig
from fusion_ros.training.yolo_run import epochs_done


@dataclass(frozen=True)
class PerceptionTrainingConfig:
    """Settings of both."""

    folder: str = setting("../shared/data/roadscene", "folder with vi/, ir/ and labels", parameter="data.folder")
    simulation: SimulationConfig = section(SimulationConfig, "simulation")
    mix: SensorMixConfig = section(SensorMixConfig, "mix")
    network: str = setting(
        "", "ultralytics' description of the network, such as yolo26n.yaml; empty: that of init, else yolo11n.yaml"
    )
    init: str = setting(
        "",
        "a .pt whose weights are taken over where they fit, such as one trained on COCO; ultralytics unpickles it, so "
        "take one from a source you trust",
    )
    image_size: int = setting(
        640, "longer side of a picture, and of the network's input afterwards", unit="px", minimum=64, maximum=2048
    )
    crop: int = setting(320, "side of what the network sees in training", unit="px", minimum=64, maximum=2048)
    batch: int = setting(8, "pictures per step", minimum=1)
    epochs: int = setting(100, "epochs; not used where minutes is given", minimum=1)
    minutes: float = setting(0.0, "train so long, and fit the schedule to it; 0: epochs", unit="min", minimum=0.0)
    views: int = setting(4, "pictures that are drawn of each pair in an epoch", minimum=1)
    learning_rate: float = setting(0.0015, "AdamW's largest step", minimum=1e-6, maximum=0.1)
    seed: int = setting(0, "of weights, order and augmentation", minimum=0)
    threads: int = setting(2, "CPU threads", minimum=1)
    device: str = setting("cpu", "torch device: cpu, mps, or a GPU such as 0")

    def __post_init__(self) -> None:
        validate(self)


def check_device(name: str) -> None:
    """Check that torch can train on `name`: `cpu`, `mps`, or one GPU as `0`, `cuda` or `cuda:0`.

    Raises:
        InputError: it is no such name, or torch does not find the device.
    """
    import torch

    gpu = re.fullmatch(r"cuda|(?:cuda:)?(\d+)", name)
    if gpu:
        if not torch.cuda.is_available():
            raise InputError(f"device {name!r}: torch finds no GPU here; use cpu")
        found = torch.cuda.device_count()
        if int(gpu[1] or 0) >= found:
            raise InputError(f"device {name!r}: torch finds {found} GPUs here, numbered from 0")
    elif name == "mps":
        if not torch.backends.mps.is_available():
            raise InputError("device 'mps': torch finds no Metal here; use cpu")
    elif name != "cpu":
        raise InputError(f"device {name!r}: is not cpu, mps, or one GPU such as 0")


def check_parts(folder: Path, training: Sequence[Any], validation: Sequence[Any]) -> None:
    """Check that there is something to train on and something to judge by.

    Raises:
        InputError: one part is empty.
    """
    if not training or not validation:
        raise InputError(f"{folder}: {len(training)} pairs to train on, {len(validation)} to validate on; need both")


def steps_done(out: Path, samples: int, config: PerceptionTrainingConfig) -> int:
    """Optimiser steps of the run of ultralytics' trainer in `out` over `samples` training pairs."""
    return epochs_done(out) * -(-samples * config.views // config.batch)


def yolo_settings(config: PerceptionTrainingConfig) -> dict[str, object]:
    """ultralytics' names for our settings. Crops vary place and size already, so that it need not."""
    return {
        "imgsz": config.crop,
        "batch": config.batch,
        "epochs": config.epochs,
        "time": config.minutes / 60 or None,
        "lr0": config.learning_rate,
        "mosaic": 0.0,
        "scale": 0.0,
        "translate": 0.0,
        "seed": config.seed,
        "device": config.device,
    }
