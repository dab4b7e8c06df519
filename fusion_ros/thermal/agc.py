"""Thermal counts or degrees to 8-bit grey levels (automatic gain control), steady over time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fusion_ros.configuration import setting, validate
from fusion_ros.errors import InputError

AGC_METHODS = ("none", "minmax", "percentile", "plateau")

# Limits are read from about this many pixels: their 1st percentile is the image's, give or take a tenth of a percent.
_SAMPLES = 20_000
_FEW_SAMPLES = 1_000
_PLATEAU_BINS = 1024


@dataclass(frozen=True)
class ThermalAgcConfig:
    """How thermal values become grey levels.

    Raises:
        InputError: a value out of range, or `low` not below `high`.
    """

    method: str = setting(
        "percentile",
        "thermal values to grey: none (8 bit as it is, 16 bit by its high byte), minmax, percentile, plateau (limited "
        "histogram equalisation)",
        choices=AGC_METHODS,
        parameter="agc",
    )
    low: float = setting(1.0, "percentile that becomes black", unit="%", minimum=0.0, maximum=100.0)
    high: float = setting(99.0, "percentile that becomes white", unit="%", minimum=0.0, maximum=100.0)
    smoothing: float = setting(
        0.8, "weight of the past in the limits, against flicker; 0 for each frame by itself", minimum=0.0, maximum=0.999
    )
    plateau: float = setting(
        4.0, "plateau: largest count of a histogram bin, in mean bins", minimum=1.0, maximum=1000.0
    )
    stretch_8bit: bool = setting(
        False, "apply the method to 8-bit thermal images as well, which the camera has already brought to grey"
    )

    def __post_init__(self) -> None:
        validate(self)
        if self.low >= self.high:
            raise InputError(f"low: percentile {self.low} is not below high {self.high}")


class ThermalAgc:
    """Turns thermal frames of one camera into grey levels.

    The limits (and for `plateau` the curve) follow the scene as an exponential average, so that a hot object that
    enters does not make the whole image flicker. The average starts anew with `reset`, another method or another dtype.
    """

    def __init__(self, config: ThermalAgcConfig | None = None) -> None:
        self.config = ThermalAgcConfig() if config is None else config
        self.reset()

    def reset(self) -> None:
        """Forget the limits: the next frame sets them by itself."""
        self._dtype: np.dtype[np.generic] | None = None
        self._limits: tuple[float, float] | None = None
        self._curve: NDArray[np.float64] | None = None

    def __call__(self, image: NDArray[np.generic]) -> NDArray[np.uint8]:
        """Convert one frame.

        Args:
            image: (H, W) uint8 grey levels, uint16 counts, or float degrees. NaN and infinite values are left out of
                the limits and become black.

        Returns:
            (H, W) uint8. 8-bit input is returned as it is, unless `stretch_8bit`. A uniform frame is black when no
            earlier frame says what its value means.

        Raises:
            InputError: another shape or dtype, or no finite value.
        """
        if image.ndim != 2 or not (image.dtype in (np.uint8, np.uint16) or image.dtype.kind == "f"):
            raise InputError(
                f"thermal: image of shape {image.shape} and type {image.dtype} is not a thermal image; "
                "expected (H, W) of uint8, uint16 or float32"
            )
        if image.dtype == np.uint8 and not (self.config.stretch_8bit and self.config.method != "none"):
            return image.astype(np.uint8, copy=False)
        valid = self._finite(image)
        if self.config.method == "none":
            return _as_it_is(image)
        if image.dtype != self._dtype:
            self.reset()
            self._dtype = image.dtype
        low, high = self._smooth_limits(self._measure(image, valid))
        if self.config.method == "plateau":
            return self._equalise(image, low, high, valid)
        # Rounds, and saturates at white.
        return np.asarray(cv2.convertScaleAbs(_above(image, low, valid), alpha=_gain(low, high, 255.0)), dtype=np.uint8)

    def _finite(self, image: NDArray[np.generic]) -> NDArray[np.bool_] | None:
        if image.dtype.kind != "f":
            return None
        valid = np.isfinite(image)
        if valid.all():
            return None
        if not valid.any():
            raise InputError(f"thermal: none of the {image.size} values of the image is finite")
        return np.asarray(valid)

    def _measure(self, image: NDArray[np.generic], valid: NDArray[np.bool_] | None) -> tuple[float, float]:
        """Limits of this frame alone."""
        if self.config.method == "minmax":
            values = image if valid is None else image[valid]
            return float(values.min()), float(values.max())
        step = max(1, int((image.size / _SAMPLES) ** 0.5))
        values = image[::step, ::step]
        if valid is not None:
            values = values[valid[::step, ::step]]
            # Rare valid pixels can lie beside the grid.
            values = values if values.size >= _FEW_SAMPLES else image[valid]
        if image.dtype.kind == "f":
            low, high = np.percentile(values.astype(np.float32), (self.config.low, self.config.high))
            return float(low), float(high)
        # Stable means radix sort for integers of up to 16 bit, which is cheaper than a histogram of up to 65536 bins.
        ordered = np.sort(values.ravel(), kind="stable")
        low, high = (max(1, math.ceil(share / 100.0 * ordered.size)) for share in (self.config.low, self.config.high))
        return float(ordered[low - 1]), float(ordered[high - 1])

    def _smooth_limits(self, measured: tuple[float, float]) -> tuple[float, float]:
        past = self.config.smoothing
        if self._limits is None:
            self._limits = measured
        elif measured[1] > measured[0] or self._limits[1] <= self._limits[0]:
            # A uniform frame (shutter closed) has no contrast to learn from: it is shown with the limits so far.
            low, high = (past * old + (1.0 - past) * new for old, new in zip(self._limits, measured, strict=True))
            self._limits = (low, high)
        return self._limits

    def _equalise(
        self, image: NDArray[np.generic], low: float, high: float, valid: NDArray[np.bool_] | None
    ) -> NDArray[np.uint8]:
        """Plateau equalisation: histogram bins are cut at a plateau before they are summed up to the curve."""
        top = _PLATEAU_BINS - 1.0
        index = np.minimum(_above(image, low, valid) * np.float32(_gain(low, high, top)), top).astype(np.uint16)
        counts = cv2.calcHist([index], [0], None, [_PLATEAU_BINS], [0, _PLATEAU_BINS]).ravel()
        counts = np.minimum(counts, self.config.plateau * image.size / _PLATEAU_BINS)
        cumulative = np.cumsum(counts)
        # Black for the lowest bin, white for the highest, whatever share of the image they have.
        span = cumulative[-1] - cumulative[0]
        curve = (cumulative - cumulative[0]) / span * 255.0 if span > 0.0 else np.zeros(_PLATEAU_BINS)
        past = self.config.smoothing
        if self._curve is None:
            self._curve = curve
        elif span > 0.0:
            self._curve = past * self._curve + (1.0 - past) * curve
        grey = np.rint(self._curve).astype(np.uint8)
        return np.asarray(grey.take(index), dtype=np.uint8)


def _as_it_is(image: NDArray[np.generic]) -> NDArray[np.uint8]:
    if image.dtype == np.uint16:
        return np.asarray(image.view(np.uint16) >> 8, dtype=np.uint8)
    finite = np.nan_to_num(image.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    return np.asarray(np.rint(np.clip(finite, 0.0, 255.0)), dtype=np.uint8)


def _above(image: NDArray[Any], low: float, valid: NDArray[np.bool_] | None) -> NDArray[Any]:
    """How far values are above `low`, 0 where they are below or not finite; counts in whole numbers."""
    if image.dtype.kind == "u":
        # Saturates at 0, in a third of the time that numpy takes for the two steps.
        lowest: Any = float(round(low))
        depth = cv2.CV_8U if image.dtype == np.uint8 else cv2.CV_16U
        return np.asarray(cv2.subtract(image, lowest, dtype=depth))
    above = image.astype(np.float32)
    above -= np.float32(low)
    np.maximum(above, np.float32(0.0), out=above)
    if valid is not None:
        above[~valid] = 0.0
    return above


def _gain(low: float, high: float, top: float) -> float:
    """Factor that takes the span from `low` to `high` to 0 to `top`; 0 for a span of nothing."""
    return top / (high - low) if high > low else 0.0
