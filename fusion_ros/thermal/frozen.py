"""A thermal camera that repeats itself: during flat-field correction, or because it hangs."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusion_ros.configuration import setting, validate
from fusion_ros.types import NANOSECONDS_PER_SECOND

# Rows and columns of the grid that is compared first: sensor noise changes some of 4096 pixels in every new frame, so
# that the whole image need only be compared while the sensor seems frozen.
_GRID = 64


@dataclass(frozen=True)
class FrozenFrameConfig:
    """When a repeated thermal image means that the sensor has frozen.

    Raises:
        InputError: a value out of range.
    """

    frozen_frames: int = setting(
        5, "identical thermal frames in a row that mean a frozen sensor; 0 never", minimum=0, maximum=10000
    )
    frozen_time: float = setting(
        0.3, "and for how long they must have been identical", unit="s", minimum=0.0, maximum=3600.0
    )

    def __post_init__(self) -> None:
        validate(self)


class FrozenFrameDetector:
    """Says whether the last thermal frames are all the same image.

    A camera that repeats each frame a few times to reach a higher rate is not frozen, so both a count and a time must
    be exceeded. The first frame that differs ends it.
    """

    def __init__(self, config: FrozenFrameConfig | None = None) -> None:
        self.config = FrozenFrameConfig() if config is None else config
        self.reset()

    def reset(self) -> None:
        """Forget the last frame."""
        self._image: NDArray[np.generic] | None = None
        self._checksum = 0
        self._since_ns = 0
        self._count = 0

    def update(self, image: NDArray[np.generic], stamp_ns: int) -> bool:
        """Take one frame as it came from the camera; return whether the sensor has frozen.

        Args:
            image: (H, W) of any dtype; it is kept until the next call and must not be written to.
            stamp_ns: its stamp.
        """
        rows, columns = (max(1, side // _GRID) for side in image.shape[:2])
        checksum = zlib.crc32(_bytes_of(image[::rows, ::columns]).data)
        repeated = self._image is not None and checksum == self._checksum and _are_same(image, self._image)
        self._image, self._checksum = image, checksum
        if not repeated or stamp_ns < self._since_ns:
            self._since_ns, self._count = stamp_ns, 1
            return False
        self._count += 1
        if self.config.frozen_frames == 0 or self._count < self.config.frozen_frames:
            return False
        return stamp_ns - self._since_ns >= self.config.frozen_time * NANOSECONDS_PER_SECOND


def _bytes_of(image: NDArray[np.generic]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(image).view(np.uint8)


def _are_same(one: NDArray[np.generic], other: NDArray[np.generic]) -> bool:
    """Whether two images are the same bytes: a NaN is the same as itself here."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    return np.array_equal(_bytes_of(one), _bytes_of(other))
