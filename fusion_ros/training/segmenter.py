"""Trains a semantic segmenter, on masks that a data set has or on masks that are estimated from boxes.

With ultralytics' networks (YOLO11's backbone and neck with YOLO26's semantic head, or YOLO26's own; AGPL-3.0) or with
SegFormer of the transformers library. What is ours is the data: masks of MFNet or MSRS where a user has them, else
masks from boxes by GrabCut (`data/box_masks.py`) and the exact ones of the simulated drive, and pictures of all inputs.
It may start from the detector's weights, which already know the classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fusion_ros.configuration import setting
from fusion_ros.metrics.segmentation import intersection_over_union
from fusion_ros.perception.segmenter import Segmenter, SegmenterConfig
from fusion_ros.perception.ultralytics_environment import import_ultralytics
from fusion_ros.training.data.box_masks import BACKGROUND, ROAD, SEGMENT_NAMES, with_road_ahead
from fusion_ros.training.data.labelled_pairs import read_labelled_pairs
from fusion_ros.training.data.masked_pairs import MaskedPair, resized_with_mask, with_box_masks
from fusion_ros.training.data.semantic_sets import MFNET_NAMES, is_semantic_set, read_semantic_set
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

WEIGHTS_NAME = "segmenter.onnx"
SEGFORMER = "segformer"


@dataclass(frozen=True)
class Config(PerceptionTrainingConfig):
    """Everything that can be set for `fusion-ros train segmenter`."""

    network: str = setting(
        "",
        "ultralytics' description (a detector's gets a semantic head): yolo11n.yaml, yolo26n-sem.yaml; or segformer-b0 "
        "to segformer-b5 of the transformers library; empty: that of init, else yolo11n.yaml",
    )
    learning_rate: float = setting(0.002, "AdamW's largest step", minimum=1e-6, maximum=0.1)
    class_balance: float = setting(
        0.5, "how far rare classes count for more: 0 not at all, 1 fully", minimum=0.0, maximum=1.0
    )


@dataclass(frozen=True)
class MaskedSet:
    """What is trained on: pairs of both parts, and the names of the classes of their masks."""

    training: list[MaskedPair]
    validation: list[MaskedPair]
    class_names: tuple[str, ...]


def train(config: Config, out: Path, resume: bool) -> TrainingResult:
    """Train a segmenter, write it as ONNX and score it on the validation part.

    Args:
        config: what to train on and how.
        out: the run's folder: `weights/last.pt` (checkpoint), `results.csv`, `segmenter.onnx`.
        resume: go on from the checkpoint.

    Raises:
        InputError: the data or the device cannot be used, or there is nothing to resume.
        JobError: training did not leave a checkpoint.
    """
    check_device(config.device)
    uses_segformer = config.network.startswith(SEGFORMER)
    if not uses_segformer:
        check_start(out, config.init, resume)  # before minutes go into making masks
    pairs = read_masked_set(config)
    if uses_segformer:
        from fusion_ros.training.segformer import fit_segformer

        weights, steps = fit_segformer(pairs, out, config, resume)
    else:
        weights = export_onnx(fit(pairs, out, config, resume), out / WEIGHTS_NAME, config.image_size)
        steps = steps_done(out, len(pairs.training), config)
    scores = score(Segmenter(SegmenterConfig(weights=str(weights))), pairs.validation, pairs.class_names)
    metrics = {f"mIoU {kind}": values["mIoU"] for kind, values in scores.items()}
    return TrainingResult(step=steps, finished=True, weights=weights, metrics=metrics)


def read_masked_set(config: Config) -> MaskedSet:
    """Read `config.folder`: MSRS or MFNet with their own classes, or boxes that masks are made of.

    Raises:
        InputError: the data cannot be used.
    """
    folder = Path(config.folder)
    if is_semantic_set(folder):
        training, validation = (read_semantic_set(folder, part) for part in ("training", "validation"))
        check_parts(folder, training, validation)
        names: tuple[str, ...] = MFNET_NAMES
    else:
        training, validation = (
            with_box_masks(read_labelled_pairs(folder, part)) for part in ("training", "validation")
        )
        check_parts(folder, training, validation)
        training = [replace(pair, class_id=with_road_ahead(pair.class_id)) for pair in training]
        training += simulate_pairs(config.simulation)[1]
        names = SEGMENT_NAMES
    training = [resized_with_mask(pair, config.image_size) for pair in training]
    return MaskedSet(training, validation, names)


def fit(pairs: MaskedSet, out: Path, config: Config, resume: bool = False) -> Path:
    """Train one of ultralytics' networks and return the checkpoint with the averaged weights, `out`/weights/last.pt.

    Raises:
        InputError: there is nothing to resume or to start from.
        JobError: training did not leave a checkpoint.
    """
    check_start(out, config.init, resume)
    import_ultralytics()
    from fusion_ros.training.segmenter_trainer import MaskedPairTrainer

    trainer_class = MaskedPairTrainer.with_pairs(
        pairs={"training": pairs.training, "validation": pairs.validation},
        class_names=pairs.class_names,
        image_size=config.image_size,
        threads=config.threads,
        data_options={"views": config.views, "mix": config.mix},
    )
    settings = {**yolo_settings(config), "cls_pw": config.class_balance}
    return run_trainer(trainer_class, out, config.network, config.init, resume, settings)


def score(
    segmenter: Segmenter, pairs: Sequence[MaskedPair], class_names: tuple[str, ...] = SEGMENT_NAMES
) -> dict[str, dict[str, float]]:
    """Intersection over union of a segmenter on each of `INPUTS`; see `intersection_over_union` for the keys.

    Where the true masks of our own classes know no road, the road that is found counts as background.
    """
    truth = [pair.class_id for pair in pairs]
    without_road = class_names == SEGMENT_NAMES and not any((mask == ROAD).any() for mask in truth)
    scores = {}
    for kind in INPUTS:
        found = [segmenter.segment(mix(pair.visible, pair.infrared, kind)).class_id for pair in pairs]
        if without_road:
            found = [np.where(mask == ROAD, np.uint8(BACKGROUND), mask) for mask in found]
        scores[kind] = intersection_over_union(found, truth, class_names)
    return scores
