"""Padding for networks whose sides must be multiples of something, undone after them without a shift."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def pad_to_multiple(image: NDArray[np.float32], multiple: int) -> NDArray[np.float32]:
    """Extend a (H, W) image at the bottom and right until both sides are multiples of `multiple`.

    The border mirrors the image without repeating its edge, so that a network sees no seam. All padding is on two
    sides: the image keeps its place, and cropping is a view.

    Returns:
        The image itself where nothing is to be added.
    """
    height, width = image.shape
    bottom, right = -height % multiple, -width % multiple
    if not bottom and not right:
        return image
    return np.asarray(cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_REFLECT_101), np.float32)


def crop(image: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """The upper left (height, width) of an image: undoes `pad_to_multiple`."""
    return image[:height, :width]
