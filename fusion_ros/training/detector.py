"""Trains a YOLO detector on pictures of labelled pairs: visible, thermal and fused alike.

The network and its training loop are ultralytics' (AGPL-3.0); what is ours is the data: one detector is trained on a
mix of all inputs, so that it serves whichever fusion mode is in force.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from fusion_ros.errors import InputError, JobError
from fusion_ros.perception.ultralytics_environment import import_ultralytics
from fusion_ros.training.labelled_pairs import CLASS_NAMES, read_labelled_pairs
from fusion_ros.training.sensor_mix import SensorMixConfig


@dataclass(frozen=True)
class DetectorTrainingConfig:
    """How the detector is trained.

    Attributes:
        network: ultralytics model description, trained from random weights.
        init: a checkpoint (`.pt`) to start from instead, e.g. one pretrained on COCO; None for random weights. A `.pt`
            is a pickle that can run code: use only files that you trust.
        input_size: pixels of the longer side.
        batch: pictures per step.
        epochs: passes; with `minutes` the learning rate's schedule is stretched to the time instead.
        minutes: time to train, 0 to train `epochs`.
        views: pictures drawn of each pair in an epoch.
        learning_rate: peak step of AdamW.
        mosaic: probability that a training picture is a mosaic of four.
        seed: of weights, order and augmentation.
        threads: CPU threads.
        device: torch device.
        mix: which pictures are drawn.
    """

    network: str = "yolo11n.yaml"
    init: Path | None = None
    input_size: int = 416
    batch: int = 8
    epochs: int = 40
    minutes: float = 0.0
    views: int = 4
    learning_rate: float = 0.002
    mosaic: float = 0.8
    seed: int = 0
    threads: int = 1
    device: str = "cpu"
    mix: SensorMixConfig = field(default_factory=SensorMixConfig)


def train_detector(data: Path, out: Path, config: DetectorTrainingConfig, resume: bool = False) -> Path:
    """Train a detector and return its checkpoint, `out`/weights/last.pt (the averaged weights).

    Args:
        data: folder with `vi/`, `ir/` and `labels.coco.json`; see `read_labelled_pairs`.
        out: folder for checkpoints and `results.csv`.
        config: how to train.
        resume: go on from `out`/weights/last.pt.

    Raises:
        InputError: the data cannot be used, or there is nothing to resume.
        JobError: training did not leave a checkpoint.
    """
    training = read_labelled_pairs(data, "training")
    validation = read_labelled_pairs(data, "validation")
    if not training or not validation:
        raise InputError(f"{data}: {len(training)} pairs to train on and {len(validation)} to validate on; need both")
    checkpoint = out / "weights" / "last.pt"
    if resume and not checkpoint.is_file():
        raise InputError(f"{checkpoint}: no such file; there is nothing to resume, start without --resume")
    if config.init is not None and not config.init.is_file():
        raise InputError(f"{config.init}: no such file; name a checkpoint to start from, or none")
    ultralytics = import_ultralytics()
    from fusion_ros.training.detector_trainer import PairDetectionTrainer

    trainer = PairDetectionTrainer.with_pairs(
        training, validation, CLASS_NAMES, config.views, config.mix, config.threads
    )
    start = checkpoint if resume else config.init or config.network
    ultralytics.YOLO(str(start), task="detect").train(
        trainer=trainer, resume=str(checkpoint) if resume else False, **_arguments(out, config)
    )
    if not checkpoint.is_file():
        raise JobError(f"{out}: training ended without a checkpoint")
    return checkpoint


def _arguments(out: Path, config: DetectorTrainingConfig) -> dict[str, object]:
    return {
        "data": "pairs.yaml",  # never read: the trainer has the pairs
        "project": str(out.resolve().parent),
        "name": out.name,
        "exist_ok": True,
        "pretrained": False,
        "imgsz": config.input_size,
        "batch": config.batch,
        "nbs": config.batch,  # step on every batch: steps are what a short training lacks
        "epochs": config.epochs,
        "time": config.minutes / 60 or None,
        "optimizer": "AdamW",
        "lr0": config.learning_rate,
        "lrf": 0.02,
        "cos_lr": True,
        "weight_decay": 0.01,
        "warmup_epochs": 1.0,
        "warmup_bias_lr": 0.0,
        "mosaic": config.mosaic,
        "close_mosaic": 3,
        "scale": 0.4,
        "translate": 0.1,
        "hsv_h": 0.015,
        "hsv_s": 0.5,
        "hsv_v": 0.3,
        "erasing": 0.0,
        "amp": False,
        "plots": False,
        "save": True,
        "val": False,
        "patience": 0,
        "seed": config.seed,
        "deterministic": True,
        "workers": 0,
        "device": config.device,
        "max_det": 100,
    }
