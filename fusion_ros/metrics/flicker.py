"""Flicker: what moves in a fused video although nothing moved in its sources."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusion_ros.errors import InputError
from fusion_ros.metrics.scoring import as_grey


@dataclass(frozen=True)
class FlickerReading:
    """Temporal behaviour of a fused video.

    Attributes:
        excess: mean over pixels and frames of the change from frame to frame beyond the larger change of the two
            sources, in grey levels; 0 for a fused video that never changes more than its inputs.
        brightness_jitter: mean over frames of the same for the mean brightness of the whole frame: pumping.
        fused_deviation: mean over pixels of the standard deviation over time, in grey levels. For a static scene it
            should not exceed the sources'.
        visible_deviation: the same of the visible video.
        infrared_deviation: the same of the infrared video.
        frames: how many frames were seen.
    """

    excess: float
    brightness_jitter: float
    fused_deviation: float
    visible_deviation: float
    infrared_deviation: float
    frames: int


class _Deviation:
    """Running standard deviation of every pixel (Welford)."""

    def __init__(self) -> None:
        self.count = 0
        self.mean: NDArray[np.float64] | None = None
        self.squares: NDArray[np.float64] | None = None

    def add(self, image: NDArray[np.float64]) -> None:
        self.count += 1
        if self.mean is None or self.squares is None:
            self.mean, self.squares = image.copy(), np.zeros_like(image)
            return
        delta = image - self.mean
        self.mean += delta / self.count
        self.squares += delta * (image - self.mean)

    def result(self) -> float:
        return float(np.sqrt(self.squares / self.count).mean()) if self.squares is not None else 0.0


class FlickerMeter:
    """Add frames in the order of time, read at any moment. Memory does not grow with the number of frames."""

    def __init__(self) -> None:
        self._deviations = [_Deviation() for _ in range(3)]
        self._previous: list[NDArray[np.float64]] | None = None
        self._excess = self._jitter = 0.0
        self._changes = 0

    def add(self, visible: NDArray[np.uint8], infrared: NDArray[np.uint8], fused: NDArray[np.uint8]) -> None:
        """Add one frame, (H, W) uint8 each.

        Raises:
            InputError: an image is not (H, W) uint8 or a size differs from the other images' or from the first frame's.
        """
        named = (("visible", visible), ("infrared", infrared), ("fused", fused))
        images = [as_grey(image, name).astype(np.float64) for name, image in named]
        expected = images[0].shape if self._previous is None else self._previous[0].shape
        for (name, _), image in zip(named, images, strict=True):
            if image.shape != expected:
                raise InputError(f"{name}: size {image.shape} differs from {expected}; a video has one size")
        for deviation, image in zip(self._deviations, images, strict=True):
            deviation.add(image)
        if self._previous is not None:
            change = [image - before for image, before in zip(images, self._previous, strict=True)]
            allowed = np.maximum(np.abs(change[0]), np.abs(change[1]))
            self._excess += float(np.maximum(np.abs(change[2]) - allowed, 0.0).mean())
            brightness = [abs(float(c.mean())) for c in change]
            self._jitter += max(brightness[2] - max(brightness[0], brightness[1]), 0.0)
            self._changes += 1
        self._previous = images

    def read(self) -> FlickerReading:
        """The reading over all frames so far; all zero before the second frame."""
        changes = max(self._changes, 1)
        visible, infrared, fused = (deviation.result() for deviation in self._deviations)
        return FlickerReading(
            self._excess / changes, self._jitter / changes, fused, visible, infrared, self._deviations[0].count
        )
