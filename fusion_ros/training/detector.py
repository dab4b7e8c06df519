"""Trains a YOLO detector on pictures of labelled pairs: visible, thermal and fused alike.

The network and its training loop are ultralytics' (AGPL-3.0); what is ours is the data: one detector is trained on a
mix of all inputs, so that it serves whichever fusion mode is in force.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fusion_ros.configuration import section, setting, validate
from fusion_ros.errors import InputError
from fusion_ros.metrics.detection import average_precision
from fusion_ros.perception.detector import Detector, DetectorConfig
from fusion_ros.perception.ultralytics_environment import import_ultralytics
from fusion_ros.training.data.labelled_pairs import CLASS_NAMES, LabelledPair, read_labelled_pairs
from fusion_ros.training.data.simulated_pairs import SimulationConfig, simulate_pairs
from fusion_ros.training.sensor_mix import INPUTS, SensorMixConfig, mix
from fusion_ros.training.trainer import TrainingResult
from fusion_ros.training.yolo_export import export_onnx
from fusion_ros.training.yolo_run import check_start, epochs_done, run_trainer
from fusion_ros.types import Detections

WEIGHTS_NAME = "detector.onnx"
# COCO's AP is taken over every box the network offers, however unsure.
LOWEST_CONFIDENCE = 0.001


@dataclass(frozen=True)
class Config:
    """Everything that can be set for `fusion-ros train detector`."""

    folder: str = setting(
        "../shared/data/roadscene", "folder with vi/, ir/ and labels.coco.json", parameter="data.folder"
    )
    simulation: SimulationConfig = section(SimulationConfig, "simulation")
    mix: SensorMixConfig = section(SensorMixConfig, "mix")
    network: str = setting("yolo11n.yaml", "ultralytics' description of the network, started from random weights")
    init: str = setting("", "a .pt whose weights are taken over where they fit, such as one trained on COCO")
    image_size: int = setting(
        480, "longer side of a picture, and of the shipped network's input", unit="px", minimum=64, maximum=2048
    )
    crop: int = setting(256, "side of what the network sees in training", unit="px", minimum=64, maximum=2048)
    batch: int = setting(8, "pictures per step", minimum=1)
    epochs: int = setting(150, "epochs; not used where minutes is given", minimum=1)
    minutes: float = setting(0.0, "train so long, and fit the schedule to it; 0: epochs", unit="min", minimum=0.0)
    views: int = setting(1, "pictures that are drawn of each pair in an epoch", minimum=1)
    learning_rate: float = setting(0.002, "AdamW's largest step", minimum=1e-6, maximum=0.1)
    seed: int = setting(0, "of weights, order and augmentation", minimum=0)
    threads: int = setting(2, "CPU threads", minimum=1)
    device: str = setting("cpu", "torch device, such as cpu or 0")

    def __post_init__(self) -> None:
        validate(self)


def train(config: Config, out: Path, resume: bool) -> TrainingResult:
    """Train a detector, write it as ONNX and score it on the validation part.

    Args:
        config: what to train on and how.
        out: the run's folder: `weights/last.pt` (checkpoint), `results.csv`, `detector.onnx`.
        resume: go on from the checkpoint.

    Raises:
        InputError: the data cannot be used, or there is nothing to resume.
        JobError: training did not leave a checkpoint.
    """
    folder = Path(config.folder)
    training, validation = read_labelled_pairs(folder, "training"), read_labelled_pairs(folder, "validation")
    if not training or not validation:
        raise InputError(f"{folder}: {len(training)} pairs to train on, {len(validation)} to validate on; need both")
    training += simulate_pairs(config.simulation)[0]
    checkpoint = fit(training, validation, out, config, resume)
    weights = export_onnx(checkpoint, out / WEIGHTS_NAME, config.image_size)
    scores = score(Detector(DetectorConfig(weights=str(weights), confidence=LOWEST_CONFIDENCE)), validation)
    metrics = {f"mAP50 {kind}": values["mAP50"] for kind, values in scores.items()}
    steps = epochs_done(out) * -(-len(training) * config.views // config.batch)
    return TrainingResult(step=steps, finished=True, weights=weights, metrics=metrics)


def fit(
    training: list[LabelledPair], validation: list[LabelledPair], out: Path, config: Config, resume: bool = False
) -> Path:
    """Train and return the checkpoint with the averaged weights, `out`/weights/last.pt.

    Raises:
        InputError: there is nothing to resume or to start from.
        JobError: training did not leave a checkpoint.
    """
    check_start(out, config.init, resume)
    import_ultralytics()
    from fusion_ros.training.detector_trainer import PairDetectionTrainer

    trainer_class = PairDetectionTrainer.with_pairs(
        pairs={"training": training, "validation": validation},
        class_names=CLASS_NAMES,
        views=config.views,
        image_size=config.image_size,
        mix=config.mix,
        threads=config.threads,
    )
    return run_trainer(trainer_class, out, config.network, config.init, resume, _settings(config))


def score(detector: Detector, pairs: list[LabelledPair]) -> dict[str, dict[str, float]]:
    """Average precision of a detector on each of `INPUTS`; see `average_precision` for the keys."""
    truth = [_as_detections(pair) for pair in pairs]
    scores = {}
    for kind in INPUTS:
        found = [detector.detect(mix(pair.visible, pair.infrared, kind)) for pair in pairs]
        scores[kind] = average_precision(found, truth)
    return scores


def _as_detections(pair: LabelledPair) -> Detections:
    import numpy as np

    certain = np.ones(len(pair.xyxy), np.float32)
    return Detections(pair.xyxy, certain, pair.class_id, dict(enumerate(CLASS_NAMES)))


def _settings(config: Config) -> dict[str, object]:
    return {
        "imgsz": config.crop,
        "batch": config.batch,
        "epochs": config.epochs,
        "time": config.minutes / 60 or None,
        "lr0": config.learning_rate,
        # The crops vary place and size already.
        "mosaic": 0.0,
        "scale": 0.0,
        "translate": 0.0,
        "seed": config.seed,
        "device": config.device,
        "max_det": 100,
    }
