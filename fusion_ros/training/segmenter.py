"""Trains a semantic segmenter on masks that are estimated from boxes, and on simulated ones.

The network (YOLO11's backbone and neck with YOLO26's semantic head) and its training loop are ultralytics' (AGPL-3.0);
what is ours is the data: masks from boxes by GrabCut (`data/box_masks.py`), exact masks of the simulated drive, and
pictures of all inputs. It may start from the detector's weights, which already know the classes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fusion_ros.configuration import section, setting, validate
from fusion_ros.errors import InputError
from fusion_ros.metrics.segmentation import intersection_over_union
from fusion_ros.perception.segmenter import Segmenter, SegmenterConfig
from fusion_ros.perception.ultralytics_environment import import_ultralytics
from fusion_ros.training.data.box_masks import BACKGROUND, ROAD, SEGMENT_NAMES, with_road_ahead
from fusion_ros.training.data.labelled_pairs import read_labelled_pairs
from fusion_ros.training.data.masked_pairs import MaskedPair, with_box_masks
from fusion_ros.training.data.simulated_pairs import SimulationConfig, simulate_pairs
from fusion_ros.training.sensor_mix import INPUTS, SensorMixConfig, mix
from fusion_ros.training.trainer import TrainingResult
from fusion_ros.training.yolo_export import export_onnx
from fusion_ros.training.yolo_run import check_start, epochs_done, run_trainer

WEIGHTS_NAME = "segmenter.onnx"


@dataclass(frozen=True)
class Config:
    """Everything that can be set for `fusion-ros train segmenter`."""

    folder: str = setting(
        "../shared/data/roadscene", "folder with vi/, ir/ and labels.coco.json", parameter="data.folder"
    )
    simulation: SimulationConfig = section(SimulationConfig, "simulation")
    mix: SensorMixConfig = section(SensorMixConfig, "mix")
    network: str = setting(
        "yolo11n.yaml", "ultralytics' description; a detector's gets a semantic head: yolo11n.yaml, yolo26n-sem.yaml"
    )
    init: str = setting("", "a .pt whose weights are taken over where they fit, such as the detector's")
    image_size: int = setting(416, "longer side of a picture", unit="px", minimum=64, maximum=2048)
    crop: int = setting(320, "side of what the network sees in training", unit="px", minimum=64, maximum=2048)
    batch: int = setting(8, "pictures per step", minimum=1)
    epochs: int = setting(60, "epochs; not used where minutes is given", minimum=1)
    minutes: float = setting(0.0, "train so long, and fit the schedule to it; 0: epochs", unit="min", minimum=0.0)
    views: int = setting(1, "pictures that are drawn of each pair in an epoch", minimum=1)
    learning_rate: float = setting(0.003, "AdamW's largest step", minimum=1e-6, maximum=0.1)
    class_balance: float = setting(
        0.5, "how far rare classes count for more: 0 not at all, 1 fully", minimum=0.0, maximum=1.0
    )
    seed: int = setting(0, "of weights, order and augmentation", minimum=0)
    threads: int = setting(2, "CPU threads", minimum=1)
    device: str = setting("cpu", "torch device, such as cpu or 0")

    def __post_init__(self) -> None:
        validate(self)


def train(config: Config, out: Path, resume: bool) -> TrainingResult:
    """Train a segmenter, write it as ONNX and score it on the validation part.

    Args:
        config: what to train on and how.
        out: the run's folder: `weights/last.pt` (checkpoint), `results.csv`, `segmenter.onnx`.
        resume: go on from the checkpoint.

    Raises:
        InputError: the data cannot be used, or there is nothing to resume.
        JobError: training did not leave a checkpoint.
    """
    folder = Path(config.folder)
    training = with_box_masks(read_labelled_pairs(folder, "training"))
    validation = with_box_masks(read_labelled_pairs(folder, "validation"))
    if not training or not validation:
        raise InputError(f"{folder}: {len(training)} pairs to train on, {len(validation)} to validate on; need both")
    training = [replace(pair, class_id=with_road_ahead(pair.class_id)) for pair in training]
    training += simulate_pairs(config.simulation)[1]
    checkpoint = fit(training, validation, out, config, resume)
    weights = export_onnx(checkpoint, out / WEIGHTS_NAME, config.image_size)
    scores = score(Segmenter(SegmenterConfig(weights=str(weights))), validation)
    metrics = {f"mIoU {kind}": values["mIoU"] for kind, values in scores.items()}
    steps = epochs_done(out) * -(-len(training) * config.views // config.batch)
    return TrainingResult(step=steps, finished=True, weights=weights, metrics=metrics)


def fit(
    training: list[MaskedPair], validation: list[MaskedPair], out: Path, config: Config, resume: bool = False
) -> Path:
    """Train and return the checkpoint with the averaged weights, `out`/weights/last.pt.

    Raises:
        InputError: there is nothing to resume or to start from.
        JobError: training did not leave a checkpoint.
    """
    check_start(out, config.init, resume)
    import_ultralytics()
    from fusion_ros.training.segmenter_trainer import MaskedPairTrainer

    trainer_class = MaskedPairTrainer.with_pairs(
        pairs={"training": training, "validation": validation},
        class_names=SEGMENT_NAMES,
        views=config.views,
        image_size=config.image_size,
        mix=config.mix,
        threads=config.threads,
    )
    return run_trainer(trainer_class, out, config.network, config.init, resume, _settings(config))


def score(segmenter: Segmenter, pairs: list[MaskedPair]) -> dict[str, dict[str, float]]:
    """Intersection over union of a segmenter on each of `INPUTS`; see `intersection_over_union` for the keys.

    Where the true masks know no road, the road that is found counts as background.
    """
    truth = [pair.class_id for pair in pairs]
    knows_road = any((mask == ROAD).any() for mask in truth)
    scores = {}
    for kind in INPUTS:
        found = [segmenter.segment(mix(pair.visible, pair.infrared, kind)).class_id for pair in pairs]
        if not knows_road:
            found = [np.where(mask == ROAD, np.uint8(BACKGROUND), mask) for mask in found]
        scores[kind] = intersection_over_union(found, truth, SEGMENT_NAMES)
    return scores


def _settings(config: Config) -> dict[str, object]:
    return {
        "imgsz": config.crop,
        "batch": config.batch,
        "epochs": config.epochs,
        "time": config.minutes / 60 or None,
        "lr0": config.learning_rate,
        "mosaic": 0.5,
        "close_mosaic": 2,
        "scale": 0.4,
        "cls_pw": config.class_balance,
        "seed": config.seed,
        "device": config.device,
    }
