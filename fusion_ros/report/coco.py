"""Detections of a run as one COCO file."""

from __future__ import annotations

import json

from fusion_ros.report.record import DemoRecord
from fusion_ros.types import NANOSECONDS_PER_SECOND


def coco_detections(record: DemoRecord) -> str:
    """All boxes as COCO: images by stamp, annotations with `bbox` x, y, width, height in pixels and a `score`.

    `images[].stamp_ns` is the header stamp; an image that the detector skipped has `searched: false`.
    """
    images: list[dict[str, object]] = []
    annotations: list[dict[str, object]] = []
    for index, frame in enumerate(record.frames, start=1):
        images.append(
            {
                "id": index,
                "file_name": fused_file_name(frame.stamp_ns),
                "width": frame.size[1],
                "height": frame.size[0],
                "stamp_ns": frame.stamp_ns,
                "mode": frame.mode,
                "searched": frame.detections is not None,
            }
        )
        boxes = frame.detections
        if boxes is None:
            continue
        for box, score, class_id in zip(boxes.xyxy, boxes.confidence, boxes.class_id, strict=True):
            x, y, right, bottom = (round(float(value), 2) for value in box)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": index,
                    "category_id": int(class_id),
                    "bbox": [x, y, round(right - x, 2), round(bottom - y, 2)],
                    "area": round((right - x) * (bottom - y), 2),
                    "score": round(float(score), 4),
                    "iscrowd": 0,
                }
            )
    categories = [{"id": int(class_id), "name": name} for class_id, name in sorted(record.class_names.items())]
    body = {"images": images, "annotations": annotations, "categories": categories}
    return json.dumps(body, indent=1)


def fused_file_name(stamp_ns: int) -> str:
    """Name of a fused frame's file, seconds and nanoseconds of its stamp, so that names sort in order of time."""
    seconds, nanoseconds = divmod(stamp_ns, NANOSECONDS_PER_SECOND)
    return f"fused/{seconds:010d}.{nanoseconds:09d}.png"
