"""Reading the two pictures of a pair from files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fusion_ros.errors import InputError


def read_pictures(visible: Path, infrared: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Read a visible picture as (H, W, 3) uint8 BGR and an infrared one as (h, w) uint8 gray.

    Raises:
        InputError: a file is missing or no picture.
    """
    return _read(visible, cv2.IMREAD_COLOR), _read(infrared, cv2.IMREAD_GRAYSCALE)


def _read(path: Path, flags: int) -> NDArray[np.uint8]:
    image = cv2.imread(str(path), flags)
    if image is None:
        raise InputError(f"{path}: cannot be read as an image; missing or damaged")
    return np.asarray(image, np.uint8)
