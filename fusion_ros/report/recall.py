"""How many of the true boxes were found: a plain count, not mAP (that is the evaluation's job)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusion_ros.report.record import FrameRecord
from fusion_ros.types import Detections


@dataclass(frozen=True)
class RecallCount:
    """True boxes, how many of them were found, and how many boxes were claimed, over a set of frames."""

    truth: int = 0
    found: int = 0
    claimed: int = 0

    @property
    def recall(self) -> float | None:
        """Share of true boxes that were found, 0 to 1; None without true boxes."""
        return self.found / self.truth if self.truth else None

    @property
    def precision(self) -> float | None:
        """Share of claimed boxes that are true, 0 to 1; None without claims."""
        return self.found / self.claimed if self.claimed else None

    def __add__(self, other: RecallCount) -> RecallCount:
        return RecallCount(self.truth + other.truth, self.found + other.found, self.claimed + other.claimed)


def box_iou(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float64]:
    """Intersection over union of every pair: (N, 4) and (M, 4) corner boxes -> (N, M), 0 to 1, 0 for empty boxes."""
    a, b = first[:, None].astype(np.float64), second[None].astype(np.float64)
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    intersection = np.clip(sides, 0, None).prod(axis=-1)
    area_a, area_b = (np.clip(box[..., 2:] - box[..., :2], 0, None).prod(axis=-1) for box in (a, b))
    union = area_a + area_b - intersection
    iou: NDArray[np.float64] = np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0)
    return iou


def count_found(detections: Detections, truth: Detections, minimum_iou: float = 0.5) -> dict[str, RecallCount]:
    """Match boxes of one frame by class name, most confident first, each true box at most once.

    Returns counts by class name, for every class that either side has a box of.
    """
    names = {int(c): truth.class_names.get(int(c), str(c)) for c in np.unique(truth.class_id)}
    claimed_names = {int(c): detections.class_names.get(int(c), str(c)) for c in np.unique(detections.class_id)}
    counts: dict[str, RecallCount] = {}
    for name in sorted(set(names.values()) | set(claimed_names.values())):
        true_boxes = truth.xyxy[[names[int(c)] == name for c in truth.class_id]]
        of_class = np.array([claimed_names[int(c)] == name for c in detections.class_id], dtype=bool)
        order = np.argsort(-detections.confidence[of_class], kind="stable")
        claims = detections.xyxy[of_class][order]
        overlap = box_iou(claims, true_boxes)
        found = 0
        for row in overlap:
            if row.size and row.max() >= minimum_iou:
                overlap[:, row.argmax()] = -1.0
                found += 1
        counts[name] = RecallCount(len(true_boxes), found, len(claims))
    return counts


def recall_by_class_and_condition(
    frames: Sequence[FrameRecord],
) -> tuple[dict[str, RecallCount], dict[str, RecallCount]]:
    """Sum over the frames that have both detections and ground truth: (by class name, by scene condition)."""
    by_class: dict[str, RecallCount] = {}
    by_condition: dict[str, RecallCount] = {}
    for frame in frames:
        if frame.detections is None or frame.truth is None:
            continue
        for name, count in count_found(frame.detections, frame.truth).items():
            by_class[name] = by_class.get(name, RecallCount()) + count
            condition = frame.condition or "unknown"
            by_condition[condition] = by_condition.get(condition, RecallCount()) + count
    return by_class, by_condition
