"""Detections matched to labels image by image, so that precision and misses of any resampling of images are quick.

The rules are COCO's (boxes of one class, strongest first, each label found once; precision made monotonous and read at
101 recalls) and, for the miss rate, those of Dollar et al. ("Pedestrian Detection: An Evaluation of the State of the
Art", PAMI 2012).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusion_ros.types import Detections

IOU_THRESHOLDS = tuple(0.5 + 0.05 * step for step in range(10))
_RECALLS = np.linspace(0.0, 1.0, 101)
_FALSE_POSITIVES_PER_IMAGE = np.logspace(-2.0, 0.0, 9)
_MOST_BOXES = 100


@dataclass(frozen=True)
class Matches:
    """Detections of one class over a set of images, strongest first.

    Attributes:
        image: (N,) which image each lies in.
        hit: (T, N) whether it finds a label, at each of T thresholds of IoU.
        labels: (images,) labels of the class in each image.
    """

    image: NDArray[np.int64]
    hit: NDArray[np.bool_]
    labels: NDArray[np.int64]


def match(
    found: Sequence[Detections],
    truth: Sequence[Detections],
    class_id: int,
    thresholds: Sequence[float] = IOU_THRESHOLDS,
) -> Matches:
    """Match the boxes of one class.

    Args:
        found: detections of each image.
        truth: labelled boxes of the same images.
        class_id: the class, in the numbering of both.
        thresholds: least overlaps (IoU) that count as found.
    """
    confidence, image, hit = [np.zeros(0, np.float32)], [np.zeros(0, np.int64)], [np.zeros((len(thresholds), 0), bool)]
    labels = np.zeros(len(truth), np.int64)
    for index, (detected, labelled) in enumerate(zip(found, truth, strict=True)):
        boxes = labelled.xyxy[labelled.class_id == class_id]
        chosen = np.flatnonzero(detected.class_id == class_id)
        order = chosen[np.argsort(-detected.confidence[chosen], kind="stable")][:_MOST_BOXES]
        overlap = _iou(detected.xyxy[order].astype(np.float64), boxes.astype(np.float64))
        hit.append(
            np.array([_assign(overlap, threshold) for threshold in thresholds], bool).reshape(len(thresholds), -1)
        )
        confidence.append(detected.confidence[order])
        image.append(np.full(len(order), index, np.int64))
        labels[index] = len(boxes)
    strongest = np.argsort(-np.concatenate(confidence), kind="stable")
    return Matches(np.concatenate(image)[strongest], np.concatenate(hit, axis=1)[:, strongest], labels)


def precision_of(matches: Matches, weights: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
    """Average precision at each threshold, (T,); NaN where the class is labelled nowhere.

    Args:
        matches: of one class.
        weights: (images,) how often each image counts; None for once each.
    """
    times = np.ones(len(matches.labels), np.int64) if weights is None else weights
    count = int(times @ matches.labels)
    if not count:
        return np.full(len(matches.hit), np.nan)
    weight = times[matches.image]
    precisions = np.zeros(len(matches.hit))
    total = np.cumsum(weight)
    for index, hit in enumerate(matches.hit):
        hits = np.cumsum(weight * hit)
        precision = hits / np.maximum(total, 1)
        highest = np.maximum.accumulate(precision[::-1])[::-1]
        reached = np.searchsorted(hits / count, _RECALLS, side="left")
        precisions[index] = np.append(highest, 0.0)[np.minimum(reached, len(highest))].mean()
    return precisions


def miss_rate_of(matches: Matches, weights: NDArray[np.int64] | None = None, threshold: int = 0) -> float:
    """Log-average miss rate: geometric mean of the share missed at nine rates of 0.01 to 1 false box an image.

    Args:
        matches: of one class.
        weights: see `precision_of`.
        threshold: index of the threshold of IoU.
    """
    times = np.ones(len(matches.labels), np.int64) if weights is None else weights
    count, images = int(times @ matches.labels), int(times.sum())
    if not count:
        return float("nan")
    weight = times[matches.image]
    false = np.cumsum(weight * ~matches.hit[threshold]) / images
    missed = 1.0 - np.cumsum(weight * matches.hit[threshold]) / count
    # The curve before its first point misses everything.
    at = np.searchsorted(false, _FALSE_POSITIVES_PER_IMAGE, side="right") - 1
    rates = np.where(at >= 0, np.append(missed, 1.0)[at], 1.0)
    return float(np.exp(np.log(np.maximum(rates, 1e-10)).mean()))


def _assign(overlap: NDArray[np.float64], threshold: float) -> NDArray[np.bool_]:
    """Which of the (N, M) detections, strongest first, take a label: the one they cover best of those still free."""
    free = np.ones(overlap.shape[1], bool)
    hit = np.zeros(overlap.shape[0], bool)
    for index, row in enumerate(overlap):
        candidates = np.where(free & (row >= threshold - 1e-10), row, -1.0)
        if candidates.size and candidates.max() >= 0:
            # Of equal overlaps COCO takes the last.
            best = len(candidates) - 1 - int(candidates[::-1].argmax())
            free[best], hit[index] = False, True
    return hit


def _iou(boxes: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    areas = [(some[:, 2:] - some[:, :2]).prod(axis=1) for some in (boxes, others)]
    return np.asarray(shared / np.maximum(areas[0][:, None] + areas[1][None, :] - shared, 1e-9))
