"""Trains a YOLO detector on pictures of labelled pairs: visible, thermal and fused alike.

The network and its training loop are ultralytics' (AGPL-3.0); what is ours is the data: one detector is trained on a
mix of all inputs, so that it serves whichever fusion mode is in force.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fusion_ros.configuration import setting
from fusion_ros.metrics.detection import average_precision
from fusion_ros.perception.detector import Detector, DetectorConfig
from fusion_ros.perception.ultralytics_environment import import_ultralytics
from fusion_ros.training.data.labelled_pairs import CLASS_NAMES, LabelledPair, read_labelled_pairs, resized
from fusion_ros.training.data.simulated_pairs import simulate_pairs
from fusion_ros.training.perception_task import (
    PerceptionTrainingConfig,
    check_device,
    check_parts,
    steps_done,
    yolo_settings,
)
from fusion_ros.training.sensor_mix import INPUTS, mix
from fusion_ros.training.trainer import TrainingResult
from fusion_ros.training.yolo_export import export_onnx
from fusion_ros.training.yolo_run import check_start, run_trainer
from fusion_ros.types import Detections

WEIGHTS_NAME = "detector.onnx"
# COCO's AP is taken over every box the network offers, however unsure.
LOWEST_CONFIDENCE = 0.001


@dataclass(frozen=True)
class Config(PerceptionTrainingConfig):
    """Everything that can be set for `fusion-ros train detector`."""

    pasted: float = setting(
        1.0, "objects of other pairs that are pasted into a crop, on average", minimum=0.0, maximum=20.0
    )


def train(config: Config, out: Path, resume: bool) -> TrainingResult:
    """Train a detector, write it as ONNX and score it on the validation part.

    Args:
        config: what to train on and how.
        out: the run's folder: `weights/last.pt` (checkpoint), `results.csv`, `detector.onnx`.
        resume: go on from the checkpoint.

    Raises:
        InputError: the data or the device cannot be used, or there is nothing to resume.
        JobError: training did not leave a checkpoint.
    """
    check_device(config.device)
    folder = Path(config.folder)
    training, validation = (
        read_labelled_pairs(folder, part, longer_side=config.image_size) for part in ("training", "validation")
    )
    check_parts(folder, training, validation)
    check_start(out, config.init, resume)
    simulated = [resized(pair, config.image_size) for pair in simulate_pairs(config.simulation)[0]]
    checkpoint = fit(training, simulated, validation, out, config, resume)
    weights = export_onnx(checkpoint, out / WEIGHTS_NAME, config.image_size)
    scores = score(Detector(DetectorConfig(weights=str(weights), confidence=LOWEST_CONFIDENCE)), validation)
    metrics = {f"mAP50 {kind}": values["mAP50"] for kind, values in scores.items()}
    steps = steps_done(out, len(training) + len(simulated), config)
    return TrainingResult(step=steps, finished=True, weights=weights, metrics=metrics)


def fit(
    training: list[LabelledPair],
    simulated: list[LabelledPair],
    validation: list[LabelledPair],
    out: Path,
    config: Config,
    resume: bool = False,
) -> Path:
    """Train and return the checkpoint with the averaged weights, `out`/weights/last.pt.

    Args:
        training: real pairs; objects that are pasted come from them.
        simulated: pairs to train on besides.
        validation: pairs that ultralytics validates on where it is told to.
        out, config, resume: as for `train`.

    Raises:
        InputError: there is nothing to resume or to start from.
        JobError: training did not leave a checkpoint.
    """
    check_start(out, config.init, resume)
    import_ultralytics()
    from fusion_ros.training.detector_trainer import PairDetectionTrainer

    trainer_class = PairDetectionTrainer.with_pairs(
        pairs={"training": training + simulated, "validation": validation},
        class_names=CLASS_NAMES,
        image_size=config.image_size,
        threads=config.threads,
        data_options={"views": config.views, "mix": config.mix, "pasted": config.pasted, "donors": training},
    )
    settings = {**yolo_settings(config), "max_det": 100}
    return run_trainer(trainer_class, out, config.network, config.init, resume, settings)


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
