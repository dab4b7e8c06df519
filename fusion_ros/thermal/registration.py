"""Thermal image onto the grid of the RGB image, by a homography."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fusion_ros.configuration import setting, validate
from fusion_ros.errors import InputError

IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


@dataclass(frozen=True)
class RegistrationConfig:
    """Where thermal pixels lie in the RGB image.

    Raises:
        InputError: not 9 finite numbers, or a matrix that cannot be inverted.
    """

    homography: tuple[float, ...] = setting(
        IDENTITY,
        "thermal pixel to RGB pixel, 3x3 row by row; the identity stretches the thermal image over the RGB image",
        length=9,
    )

    def __post_init__(self) -> None:
        validate(self)
        _inverted(self.homography)


def _inverted(homography: Sequence[float]) -> NDArray[np.float64]:
    matrix = np.array(homography, dtype=np.float64).reshape(3, 3)
    # Scale-free: a homography times any factor is the same map.
    size = float(np.abs(matrix).max())
    if size == 0.0 or np.linalg.cond(matrix / size) > 1e12:
        raise InputError(
            f"homography: {[float(value) for value in homography]} has no inverse; it must map the thermal image onto "
            "the RGB image, row by row (identity: 1 0 0 0 1 0 0 0 1)"
        )
    return np.asarray(np.linalg.inv(matrix), dtype=np.float64)


class Registration:
    """Warps thermal images onto the RGB grid; the pixel maps are made once for each pair of sizes.

    With the identity and images of different size the thermal image is stretched to the RGB size (the two are taken to
    show the same view); with any other homography, thermal pixel (x, y) lands where the homography says, in RGB pixels
    of the incoming RGB image, and RGB pixels outside the thermal view become 0.
    """

    def __init__(self, config: RegistrationConfig | None = None) -> None:
        self.config = RegistrationConfig() if config is None else config
        self._inverse = _inverted(self.config.homography)
        self._identity = np.allclose(self._inverse / self._inverse[2, 2], np.eye(3)) if self._inverse[2, 2] else False
        self.reset()

    def reset(self) -> None:
        """Forget the cached maps."""
        self._shapes: tuple[tuple[int, int], tuple[int, int]] | None = None
        self._maps: tuple[NDArray[np.int16], NDArray[np.uint16]] | None = None

    def warp(self, thermal: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
        """Put `thermal` onto a grid of `shape`.

        Args:
            thermal: (h, w) uint8.
            shape: (H, W) of the RGB image.

        Returns:
            (H, W) uint8; `thermal` itself where there is nothing to do.
        """
        height, width = shape
        if self._identity:
            if thermal.shape == (height, width):
                return thermal
            # Averaging costs five times as much and only matters where whole pixels would be left out.
            how = cv2.INTER_AREA if thermal.shape[0] >= 2 * height else cv2.INTER_LINEAR
            return np.asarray(cv2.resize(thermal, (width, height), interpolation=how), dtype=np.uint8)
        first, second = self._maps_for((thermal.shape[0], thermal.shape[1]), (height, width))
        warped = cv2.remap(thermal, first, second, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
        return np.asarray(warped, dtype=np.uint8)

    def _maps_for(
        self, source: tuple[int, int], target: tuple[int, int]
    ) -> tuple[NDArray[np.int16], NDArray[np.uint16]]:
        if self._maps is None or self._shapes != (source, target):
            x, y = np.meshgrid(np.arange(target[1], dtype=np.float64), np.arange(target[0], dtype=np.float64))
            inverse = self._inverse
            depth = inverse[2, 0] * x + inverse[2, 1] * y + inverse[2, 2]
            # Points at infinity lie outside of every image.
            depth = np.where(np.abs(depth) < 1e-12, np.nan, depth)
            map_x = (inverse[0, 0] * x + inverse[0, 1] * y + inverse[0, 2]) / depth
            map_y = (inverse[1, 0] * x + inverse[1, 1] * y + inverse[1, 2]) / depth
            limit = 16384.0
            map_x = np.clip(np.nan_to_num(map_x, nan=-limit, posinf=limit, neginf=-limit), -limit, limit)
            map_y = np.clip(np.nan_to_num(map_y, nan=-limit, posinf=limit, neginf=-limit), -limit, limit)
            first, second = cv2.convertMaps(map_x.astype(np.float32), map_y.astype(np.float32), cv2.CV_16SC2)
            self._maps = np.asarray(first, dtype=np.int16), np.asarray(second, dtype=np.uint16)
            self._shapes = (source, target)
        return self._maps
