"""Detection and segmentation behind two small classes.

What imports ultralytics (AGPL-3.0) is here and in `training/`; the rest of the package sees these classes only.
"""

from __future__ import annotations

from fusion_ros.perception.detector import Detector, DetectorConfig
from fusion_ros.perception.drawing import PALETTES, class_colour, draw_detections, draw_segmentation
from fusion_ros.perception.segmenter import Segmenter, SegmenterConfig

__all__ = [
    "PALETTES",
    "Detector",
    "DetectorConfig",
    "Segmenter",
    "SegmenterConfig",
    "class_colour",
    "draw_detections",
    "draw_segmentation",
]
