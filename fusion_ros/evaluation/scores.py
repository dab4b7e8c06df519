"""The scores of one frame: metrics of the whole image, of its over-exposed part, and from frame to frame."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fusion_ros.evaluation.contenders import Fused
from fusion_ros.exposure import ExposureAnalyzer, ModeSelector
from fusion_ros.exposure.selector import DARK_MODE, GLARE_MODE, NORMAL_MODE
from fusion_ros.metrics import (
    METRICS,
    FlickerMeter,
    FusionScorer,
    RegionScorer,
    gradient_retention,
    overexposure_mask,
    saturated_share,
)
from fusion_ros.metrics.profiles import LOWER_IS_BETTER
from fusion_ros.types import ExposureReading, FramePair

Scores = dict[str, float]

CONDITIONS = {GLARE_MODE: "glare", DARK_MODE: "dark", NORMAL_MODE: "normal"}
INSIDE = tuple(f"{name}_in" for name in METRICS)
OUTSIDE = tuple(f"{name}_out" for name in METRICS)
RETENTION = ("retention_r", "retention_ratio", "saturated")
TEMPORAL = ("flicker", "pumping")
LATENCY, PROCESSING = "latency_ms", "processing_ms"
LIVE = (LATENCY, PROCESSING)
TIME = "fusion_ms"
SCORES = (*METRICS, *INSIDE, *OUTSIDE, *RETENTION, *TEMPORAL, *LIVE, TIME)
# Smaller masks are a lamp or two: too few pixels for windows and histograms to mean anything.
SMALLEST_MASK = 0.005

MEANING = {
    "retention_r": "infrared gradients kept in the over-exposed part: correlation",
    "retention_ratio": "infrared gradients kept in the over-exposed part: fused over infrared magnitude",
    "saturated": "saturated share of the over-exposed part, 0 to 1",
    "flicker": "change from frame to frame beyond both sources', grey levels",
    "pumping": "change of mean brightness beyond both sources', grey levels",
    LATENCY: "from the pair's later image to the fused one, both at their publication, ms",
    PROCESSING: "the fusion node's compute time, ms",
    TIME: "fusion alone, ms",
}


def lower_is_better(score: str) -> bool:
    """Whether a smaller value is the better one."""
    return score.partition("_")[0] in LOWER_IS_BETTER or score in ("saturated", *TEMPORAL, *LIVE, TIME)


@dataclass(frozen=True)
class Scored:
    """Scores of one mode on one frame.

    Attributes:
        label: the mode.
        used: the mode in force, which differs where `auto` chose or another stood in.
        reason: why another stood in, or empty.
        values: by name of `SCORES`; NaN where a score does not apply.
    """

    label: str
    used: str
    reason: str
    values: Mapping[str, float]


@dataclass(frozen=True)
class SourceImages:
    """The two sources as the modes see them: (H, W) uint8 luminance and registered infrared, (H, W, 3) BGR."""

    visible: NDArray[np.uint8]
    infrared: NDArray[np.uint8]
    rgb: NDArray[np.uint8]


class FrameScorer:
    """Scores frame after frame; remembers the last one for flicker, and the light for the condition.

    Args:
        profile: of `fusion_ros.metrics`. Scores inside and outside the mask are always `textbook`.
        executor: scores modes at the same time.
    """

    def __init__(self, profile: str, executor: Executor) -> None:
        self._profile = profile
        self._executor = executor
        self._analyzer = ExposureAnalyzer()
        self.reset()

    def reset(self) -> None:
        """Forget the frames so far."""
        self._selector = ModeSelector()
        self._previous: dict[str, NDArray[np.uint8]] = {}

    def sources(self, made: Sequence[Fused]) -> SourceImages | None:
        """What the modes started from, taken from the baseline `rgb`; None where the thermal image was unusable."""
        frame = next(one.frame for one in made if one.label == "rgb")
        if frame.thermal is None:
            return None
        return SourceImages(grey(frame.image), frame.thermal, frame.image)

    def light(self, pair: FramePair) -> tuple[ExposureReading, str]:
        """Exposure of a frame, and `glare`, `dark` or `normal` with the selector's hysteresis."""
        reading = self._analyzer.analyze(np.asarray(pair.rgb.image, np.uint8))
        return reading, CONDITIONS[self._selector.update(reading, pair.rgb.stamp_ns)]

    def recall(self, selector: ModeSelector) -> None:
        """Go on with the light that the frames before have shown to another scorer or pipeline."""
        self._selector = copy.deepcopy(selector)

    def forget(self) -> None:
        """There is no frame before the next one: a pair between them could not be used."""
        self._previous = {}

    def remember(self, made: Sequence[Fused], images: SourceImages) -> None:
        """Take a frame as the one before, without scoring it."""
        self._previous = {one.label: grey(one.frame.image) for one in made}
        self._previous |= {"/visible": images.visible, "/infrared": images.infrared}

    def score(self, made: Sequence[Fused], images: SourceImages) -> list[Scored]:
        """Score every mode of one frame."""
        pictures = [grey(fused.frame.image) for fused in made]
        metrics = FusionScorer(images.visible, images.infrared, self._profile).score_all(pictures)
        mask = overexposure_mask(images.visible)
        parts = self._parts(pictures, mask, images) if mask.mean() >= SMALLEST_MASK else [{}] * len(made)

        def one(fused: Fused, picture: NDArray[np.uint8], whole: Scores, by_part: Scores) -> Scored:
            values = dict.fromkeys(SCORES, math.nan) | whole | by_part | {TIME: fused.milliseconds}
            values |= self._temporal(fused.label, picture, images)
            return Scored(fused.label, fused.frame.mode, fused.frame.fallback_reason or "", values)

        scored = list(self._executor.map(one, made, pictures, metrics, parts))
        self.remember(made, images)
        return scored

    def _parts(
        self, pictures: Sequence[NDArray[np.uint8]], mask: NDArray[np.bool_], images: SourceImages
    ) -> list[Scores]:
        """Scores inside and outside the over-exposed part, for each picture."""
        regions = RegionScorer(images.visible, images.infrared).score_all(pictures, [mask, ~mask])

        def one(picture: NDArray[np.uint8], inside: Scores, outside: Scores) -> Scores:
            values = {f"{name}_in": value for name, value in inside.items()}
            if not mask.all():
                values |= {f"{name}_out": value for name, value in outside.items()}
            kept = gradient_retention(images.infrared, picture, mask)
            values |= {"retention_r": kept.correlation, "retention_ratio": kept.magnitude_ratio}
            return values | {"saturated": saturated_share(picture, mask)}

        return list(self._executor.map(one, pictures, *zip(*regions, strict=True)))

    def _temporal(self, label: str, image: NDArray[np.uint8], images: SourceImages) -> dict[str, float]:
        before = self._previous.get(label)
        if before is None or before.shape != image.shape:
            return {}
        meter = FlickerMeter()
        meter.add(self._previous["/visible"], self._previous["/infrared"], before)
        meter.add(images.visible, images.infrared, image)
        reading = meter.read()
        return {"flicker": reading.excess, "pumping": reading.brightness_jitter}


def grey(bgr: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Luminance of (H, W, 3) uint8 BGR as (H, W) uint8, rounded."""
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY), np.uint8)
