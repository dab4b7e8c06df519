"""Average precision of detections, as COCO defines it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fusion_ros.types import Detections


def average_precision(found: Sequence[Detections], truth: Sequence[Detections]) -> dict[str, float]:
    """COCO average precision over a set of images, computed by torchmetrics and pycocotools.

    Args:
        found: detections of each image; for COCO's figure, with every box that the detector offers, however unsure.
        truth: labelled boxes of the same images, in the same order. The classes are those of its `class_names`.

    Returns:
        `mAP50` and `mAP50-95`, means over the classes that are labelled at least once; `AP50 <class>` and
        `AP50-95 <class>` for each of those; all 0 to 1. NaN where nothing is labelled.

    Raises:
        ValueError: the two do not have the same number of images.
    """
    if len(found) != len(truth):
        raise ValueError(f"{len(found)} images with detections and {len(truth)} with labels; expected the same number")
    names = dict(truth[0].class_names) if truth else {}
    labelled = {int(class_id) for image in truth for class_id in image.class_id}
    per_class = {class_id: _precision_of_class(found, truth, class_id) for class_id in sorted(labelled)}
    scores = {
        "mAP50": _mean([at_half for at_half, _ in per_class.values()]),
        "mAP50-95": _mean([over_all for _, over_all in per_class.values()]),
    }
    for class_id, (at_half, over_all) in per_class.items():
        scores[f"AP50 {names[class_id]}"] = at_half
        scores[f"AP50-95 {names[class_id]}"] = over_all
    return scores


def _precision_of_class(found: Sequence[Detections], truth: Sequence[Detections], class_id: int) -> tuple[float, float]:
    from torchmetrics.detection import MeanAveragePrecision

    metric = MeanAveragePrecision(iou_type="bbox", backend="pycocotools")
    metric.warn_on_many_detections = False
    metric.update(
        [_of_class(image, class_id, with_scores=True) for image in found],
        [_of_class(image, class_id, with_scores=False) for image in truth],
    )
    result = metric.compute()
    return float(result["map_50"]), float(result["map"])


def _of_class(image: Detections, class_id: int, with_scores: bool) -> dict[str, Any]:
    import torch

    chosen = image.class_id == class_id
    entry = {
        "boxes": torch.from_numpy(np.ascontiguousarray(image.xyxy[chosen], np.float32)),
        "labels": torch.zeros(int(chosen.sum()), dtype=torch.int64),
    }
    if with_scores:
        entry["scores"] = torch.from_numpy(np.ascontiguousarray(image.confidence[chosen], np.float32))
    return entry


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else float("nan")
