"""The frozen dataclasses that walk through the package, from a message's arrival to its answer.

Nothing here knows ROS, torch or files. Arrays are shared, not copied: treat them as read-only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

NANOSECONDS_PER_SECOND = 1_000_000_000


@dataclass(frozen=True)
class Frame:
    """One image of one sensor.

    Attributes:
        image: RGB camera: (H, W, 3) uint8 in BGR order. Thermal camera: (H, W), uint8 (already 8 bit), uint16 (raw
            counts) or float32 (degrees).
        stamp_ns: time of exposure in nanoseconds, on the clock of the message header.
        frame_id: coordinate frame of the sensor, copied to whatever is made from the image.
    """

    image: NDArray[np.generic]
    stamp_ns: int
    frame_id: str = ""

    def __post_init__(self) -> None:
        if self.image.ndim not in (2, 3) or 0 in self.image.shape:
            raise ValueError(
                f"image: shape {self.image.shape} is not an image; expected (H, W) or (H, W, 3) with no side of zero"
            )


@dataclass(frozen=True)
class FramePair:
    """An RGB and a thermal frame that show the same moment.

    Attributes:
        rgb: the RGB frame, (H, W, 3) uint8 BGR.
        thermal: the thermal frame, any size of its own.
    """

    rgb: Frame
    thermal: Frame

    @property
    def skew_ns(self) -> int:
        """Thermal stamp minus RGB stamp, in nanoseconds, as the headers give them."""
        return self.thermal.stamp_ns - self.rgb.stamp_ns


@dataclass(frozen=True)
class ExposureReading:
    """What the luminance of one RGB frame says about the light.

    Attributes:
        glare_fraction: share of pixels that are over-exposed, 0 to 1.
        dark_fraction: share of pixels that are too dark to see anything in, 0 to 1.
        mean_luma: mean luminance, 0 to 255.
    """

    glare_fraction: float
    dark_fraction: float
    mean_luma: float


@dataclass(frozen=True)
class FusedFrame:
    """A fused image and how it came about.

    Attributes:
        image: (H, W, 3) uint8 in BGR order, on the grid of the RGB camera.
        stamp_ns: stamp of the RGB frame (of the thermal frame where there was no RGB frame), in nanoseconds.
        frame_id: coordinate frame of the sensor that `stamp_ns` comes from.
        mode: the mode in force: a network's name, a classical mode, or the fallback that stood in for it.
        exposure: reading of the RGB frame, None where there was none.
        thermal: (H, W) uint8, the thermal image after gain control and registration, None where there was none.
        guidance: (H, W) uint8, predicted over-exposure mask of EPOFusion (0 or 255), None for other modes.
        fallback_reason: why `mode` is not what was asked for, or None.
        fading_from: shares of earlier modes that are still in `image` after a switch, by mode; empty at other times.
        timings_ms: compute time of each stage in milliseconds, in order.
    """

    image: NDArray[np.uint8]
    stamp_ns: int
    frame_id: str
    mode: str
    exposure: ExposureReading | None = None
    thermal: NDArray[np.uint8] | None = None
    guidance: NDArray[np.uint8] | None = None
    fallback_reason: str | None = None
    fading_from: Mapping[str, float] = field(default_factory=dict)
    timings_ms: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Detections:
    """Boxes found in one image.

    Attributes:
        xyxy: (N, 4) float32, x_min, y_min, x_max, y_max in pixels of the image that was searched.
        confidence: (N,) float32, 0 to 1.
        class_id: (N,) int64, keys of `class_names`.
        class_names: name of every class the detector knows.
    """

    xyxy: NDArray[np.float32]
    confidence: NDArray[np.float32]
    class_id: NDArray[np.int64]
    class_names: Mapping[int, str]

    def __post_init__(self) -> None:
        count = len(self.xyxy)
        if self.xyxy.shape != (count, 4):
            raise ValueError(f"xyxy: shape {self.xyxy.shape}, expected (N, 4)")
        for name, values in (("confidence", self.confidence), ("class_id", self.class_id)):
            if values.shape != (count,):
                raise ValueError(f"{name}: shape {values.shape}, expected ({count},) to go with {count} boxes")

    def __len__(self) -> int:
        return len(self.xyxy)


@dataclass(frozen=True)
class SegmentationMask:
    """A class for every pixel of one image.

    Attributes:
        class_id: (H, W) uint8, keys of `class_names`.
        class_names: name of every class the segmenter knows.
    """

    class_id: NDArray[np.uint8]
    class_names: Mapping[int, str]
