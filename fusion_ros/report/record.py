"""What a replay through the nodes left behind, in a form that needs neither ROS nor the bag to be reported.

The demo fills it from what its subscribers received and from the bag it replayed; tests fill it by hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fusion_ros.types import NANOSECONDS_PER_SECOND, Detections, ExposureReading


@dataclass(frozen=True)
class FrameRecord:
    """One fused frame as a subscriber saw it.

    Attributes:
        stamp_ns: header stamp of the fused image, nanoseconds on the bag's clock.
        mode: the mode in force when the frame was published.
        size: (height, width) of the fused image, pixels.
        exposure: the reading published with the frame, None where none came.
        condition: what the simulation says the scene was, None for recordings without ground truth.
        latency_ms: from the publication of the RGB image to the publication of the fused one, milliseconds of wall
            time; None where the RGB image was not seen.
        skew_ms: thermal stamp minus RGB stamp, milliseconds, None where the frame was not made from a pair.
        detections: boxes published for the frame, None where the detector skipped it.
        has_mask: a segmentation mask was published for the frame.
        truth: ground-truth boxes of the frame, their confidence the share that nothing covers; None where there
            is no ground truth.
    """

    stamp_ns: int
    mode: str
    size: tuple[int, int] = (0, 0)
    exposure: ExposureReading | None = None
    condition: str | None = None
    latency_ms: float | None = None
    skew_ms: float | None = None
    detections: Detections | None = None
    has_mask: bool = False
    truth: Detections | None = None


@dataclass(frozen=True)
class Pictures:
    """The images that belong to one fused frame; all on the grid of the fused image except `thermal`.

    Attributes:
        fused: (H, W, 3) uint8 BGR.
        rgb: (H, W, 3) uint8 BGR, None where no RGB frame has the stamp.
        thermal: (h, w) uint8 for viewing, None where no thermal frame was near.
        mask: (H, W) uint8 class ids, None where the segmenter skipped the frame.
    """

    fused: NDArray[np.uint8]
    rgb: NDArray[np.uint8] | None = None
    thermal: NDArray[np.uint8] | None = None
    mask: NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class Sample:
    """One number published by a node while the frame with `stamp_ns` was the newest fused one."""

    stamp_ns: int
    value: float


@dataclass(frozen=True)
class DiagnosticsNote:
    """A distinct diagnostics message: who, how bad (0 OK, 1 WARN, 2 ERROR, 3 STALE), what, when first, how often.

    `phase` is empty during the replay, else `before the replay` or `after the replay`.
    """

    node: str
    level: int
    message: str
    stamp_ns: int
    count: int = 1
    phase: str = ""


@dataclass(frozen=True)
class DropCount:
    """Totals of dropped input by reason, as one node reported them when `stamp_ns` was the newest fused frame."""

    stamp_ns: int
    node: str
    by_reason: Mapping[str, int]


@dataclass(frozen=True)
class LogNote:
    """A warning or error line of a process's log, with how often it was repeated; `phase` as in `DiagnosticsNote`."""

    process: str
    line: str
    count: int = 1
    phase: str = ""


@dataclass(frozen=True)
class DemoRecord:
    """Everything the demo's report shows.

    Attributes:
        source: what was replayed, in words.
        frames: the fused frames in order of their stamps.
        start_ns: stamp that the report's time axis starts at.
        rgb_count: RGB images in the bag.
        thermal_count: thermal images in the bag.
        pair_count: pairs that the matcher makes of the bag offline.
        pictures: images of the frames chosen for the report, by stamp.
        conditions: ground truth of the scene, (from stamp, condition) at each change, empty where unknown.
        processing: compute time of each node, milliseconds, by node name.
        drops: drop counters as they came in, in order.
        diagnostics: distinct diagnostics messages.
        log_notes: warnings and errors in the processes' logs.
        class_names: detector classes by id.
        mask_class_names: segmenter classes by id.
        thresholds: the selector's thresholds by parameter name, for the exposure plot.
        facts: configuration, versions, device: heading -> rows of (name, value).
        shortfalls: sentences about what did not go as asked.
    """

    source: str
    frames: Sequence[FrameRecord]
    start_ns: int
    rgb_count: int = 0
    thermal_count: int = 0
    pair_count: int = 0
    pictures: Mapping[int, Pictures] = field(default_factory=dict)
    conditions: Sequence[tuple[int, str]] = ()
    processing: Mapping[str, Sequence[Sample]] = field(default_factory=dict)
    drops: Sequence[DropCount] = ()
    diagnostics: Sequence[DiagnosticsNote] = ()
    log_notes: Sequence[LogNote] = ()
    class_names: Mapping[int, str] = field(default_factory=dict)
    mask_class_names: Mapping[int, str] = field(default_factory=dict)
    thresholds: Mapping[str, float] = field(default_factory=dict)
    facts: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict)
    shortfalls: Sequence[str] = ()

    def seconds(self, stamp_ns: int) -> float:
        """Time of a stamp on the report's axis, seconds."""
        return (stamp_ns - self.start_ns) / NANOSECONDS_PER_SECOND

    @property
    def end_s(self) -> float:
        """Time of the last fused frame on the report's axis, seconds; 0 without frames."""
        return self.seconds(self.frames[-1].stamp_ns) if self.frames else 0.0

    def final_drops(self) -> dict[str, dict[str, int]]:
        """Last reported drop counters, by node and reason."""
        return {drop.node: dict(drop.by_reason) for drop in self.drops}
