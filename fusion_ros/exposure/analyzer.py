"""Luminance statistics of one RGB frame: how much of it is over-exposed, how much is too dark."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fusion_ros.configuration import setting, validate
from fusion_ros.errors import InputError
from fusion_ros.types import ExposureReading

# Share of the image, in percent, at or below its black level and at or above its white level: more than dead pixels and
# sparks, less than a shadow or a lamp.
_EXTREME_PERCENTILE = 0.5


@dataclass(frozen=True)
class ExposureConfig:
    """What counts as over-exposed and as dark.

    The defaults are derived from real pairs by `benchmarks/exposure_thresholds.py`.

    Raises:
        InputError: a value out of range, or a pixel could be dark and over-exposed at once.
    """

    glare_luma: int = setting(250, "luminance from which a pixel counts as over-exposed", minimum=1, maximum=255)
    dark_luma: int = setting(
        50, "luminance above the image's black level up to which a pixel counts as dark", minimum=0, maximum=254
    )
    black_limit: int = setting(
        80,
        "highest black level that is taken for lifted blacks",
        minimum=0,
        maximum=254,
    )
    grid: int = setting(
        160, "columns of the grid of pixels that is looked at; finer costs more", minimum=8, maximum=4096, runtime=False
    )

    def __post_init__(self) -> None:
        validate(self)
        if self.black_limit + self.dark_luma >= self.glare_luma:
            raise InputError(
                f"dark_luma: {self.dark_luma} above black_limit {self.black_limit} reaches glare_luma "
                f"{self.glare_luma}; their sum must be below it"
            )


class ExposureAnalyzer:
    """Reads the exposure of a frame from a regular grid of its pixels; has no memory.

    Dark is measured from the image's own black level, because cameras that brighten night scenes, and video with
    lifted blacks, put black at 50 or more where others have it at 5 (see `black_level`).
    """

    def __init__(self, config: ExposureConfig | None = None) -> None:
        self.config = ExposureConfig() if config is None else config

    def analyze(self, image: NDArray[np.uint8]) -> ExposureReading:
        """Measure one frame.

        Args:
            image: (H, W) uint8 luminance, or (H, W, 3) uint8 BGR, of which the BT.601 luminance is taken.

        Raises:
            InputError: another shape or dtype.
        """
        if image.dtype != np.uint8 or not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)):
            raise InputError(
                f"exposure: image of shape {image.shape} and type {image.dtype} cannot be measured; "
                "expected (H, W) or (H, W, 3) uint8"
            )
        step = max(1, image.shape[1] // self.config.grid)
        if step > 1:
            size = (max(1, image.shape[1] // step), max(1, image.shape[0] // step))
            image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_NEAREST), dtype=np.uint8)
        luma = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        cumulative = np.cumsum(cv2.calcHist([np.ascontiguousarray(luma)], [0], None, [256], [0, 256]), dtype=np.float64)
        total = float(luma.size)
        dark_up_to = black_level(cumulative, self.config.black_limit) + self.config.dark_luma
        return ExposureReading(
            glare_fraction=float(total - cumulative[self.config.glare_luma - 1]) / total,
            dark_fraction=float(cumulative[dark_up_to]) / total,
            mean_luma=cv2.mean(luma)[0],
        )


def black_level(cumulative: NDArray[np.generic], limit: int) -> int:
    """How far the blacks of an image are lifted.

    It is the image's lowest luminance (0.5th percentile), but no more than `limit`, and no more than half of the
    distance to the highest: in a night scene with lifted blacks there are lamps, whereas a flat image has a high
    minimum only because it is flat.

    Args:
        cumulative: (256,) number or share of pixels up to each luminance.
        limit: see `ExposureConfig.black_limit`.
    """
    total = float(cumulative[-1])
    black = int(np.searchsorted(cumulative, _EXTREME_PERCENTILE / 100.0 * total))
    white = int(np.searchsorted(cumulative, (1.0 - _EXTREME_PERCENTILE / 100.0) * total))
    return min(black, limit, (white - black) // 2)
