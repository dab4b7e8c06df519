"""What a subscriber to the whole node graph has received so far. Nothing here imports rclpy.

Times of publication are those the middleware stamped on the messages: the wall clock of this machine, in nanoseconds,
which all nodes of a local graph share. They put messages without a header (mode, exposure, debug figures) in order.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from fusion_ros.types import Detections, ExposureReading


@dataclass(frozen=True)
class Timed:
    """A number and when it was published."""

    published_ns: int
    value: float


@dataclass(frozen=True)
class Health:
    """One node's entry on /diagnostics: level 0 to 3, message, and the values by key."""

    published_ns: int
    node: str
    level: int
    message: str
    values: Mapping[str, str]


@dataclass
class Received:
    """Everything received; filled from the subscriber's thread, read when it has stopped (`counts` at any time).

    Attributes:
        rgb: time of publication of every RGB image by header stamp.
        thermal: likewise of the thermal images.
        fused: likewise of the fused images.
        sizes: (height, width) of the fused images by header stamp.
        modes: (time of publication, mode), in order.
        exposures: (time of publication, reading), in order.
        skews: pair skew, milliseconds.
        processing: compute time by node, milliseconds.
        latencies: stamp to publication by node, milliseconds on the graph's clock.
        detections: boxes by header stamp.
        masks: header stamps of the segmentation masks.
        labels: class names by node.
        health: diagnostics in order.
    """

    rgb: dict[int, int] = field(default_factory=dict)
    thermal: dict[int, int] = field(default_factory=dict)
    fused: dict[int, int] = field(default_factory=dict)
    sizes: dict[int, tuple[int, int]] = field(default_factory=dict)
    modes: list[tuple[int, str]] = field(default_factory=list)
    exposures: list[tuple[int, ExposureReading]] = field(default_factory=list)
    skews: list[Timed] = field(default_factory=list)
    processing: dict[str, list[Timed]] = field(default_factory=dict)
    latencies: dict[str, list[Timed]] = field(default_factory=dict)
    detections: dict[int, Detections] = field(default_factory=dict)
    masks: set[int] = field(default_factory=set)
    labels: dict[str, dict[int, str]] = field(default_factory=dict)
    health: list[Health] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def counts(self) -> dict[str, int]:
        """How much of each kind has arrived."""
        with self.lock:
            return {
                "rgb": len(self.rgb),
                "thermal": len(self.thermal),
                "fused": len(self.fused),
                "detections": len(self.detections),
                "masks": len(self.masks),
                "diagnostics": len(self.health),
            }
