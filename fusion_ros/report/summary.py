"""A run in numbers, for `summary.json`, `--json` and the report's tiles."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from fusion_ros.report.highlights import mode_switches
from fusion_ros.report.recall import RecallCount, recall_by_class_and_condition
from fusion_ros.report.record import DemoRecord, FrameRecord


def latency_summary(frames: Sequence[FrameRecord]) -> dict[str, float] | None:
    """Mean, median, 95th percentile and maximum of the latency in milliseconds; None without any."""
    values = [frame.latency_ms for frame in frames if frame.latency_ms is not None]
    if not values:
        return None
    mean, median = float(np.mean(values)), float(np.median(values))
    return {"mean": mean, "median": median, "p95": float(np.percentile(values, 95)), "max": float(max(values))}


def summary(record: DemoRecord) -> dict[str, object]:
    """The run in numbers, for `summary.json` and `--json`."""
    by_class, by_condition = recall_by_class_and_condition(record.frames)
    with_boxes = [frame.detections for frame in record.frames if frame.detections is not None]
    return {
        "source": record.source,
        "rgb_images": record.rgb_count,
        "thermal_images": record.thermal_count,
        "pairs": record.pair_count,
        "fused": len(record.frames),
        "detected_frames": len(with_boxes),
        "boxes": sum(len(boxes) for boxes in with_boxes),
        "segmented_frames": sum(frame.has_mask for frame in record.frames),
        "modes": dict(Counter(frame.mode for frame in record.frames)),
        "mode_switches": len(mode_switches(record.frames)),
        "latency_ms": latency_summary(record.frames),
        "processing_ms": {
            node: {
                "mean": float(np.mean([s.value for s in samples])),
                "p95": float(np.percentile([s.value for s in samples], 95)),
            }
            for node, samples in record.processing.items()
            if samples
        },
        "dropped": record.final_drops(),
        "recall_iou50": {name: _recall_row(count) for name, count in by_class.items()},
        "recall_iou50_by_condition": {name: _recall_row(count) for name, count in by_condition.items()},
        "facts": {heading: dict(rows) for heading, rows in record.facts.items()},
        "shortfalls": list(record.shortfalls),
    }


def _recall_row(count: RecallCount) -> dict[str, object]:
    return {"truth": count.truth, "found": count.found, "claimed": count.claimed, "recall": count.recall}
