"""Square crops around labelled objects: most of a road scene is sky and asphalt, which teaches a detector little."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_SCALES = (0.75, 1.33)  # of the crop's side before it is resized: an object appears up to a third larger or smaller
_SHARE_ON_OBJECT = 0.85  # the other crops lie anywhere
_VISIBLE_SHARE = 0.35  # of a box's area; less of it in the crop is not labelled
_GREY = 114  # what ultralytics pads with


def object_crop(
    image: NDArray[np.uint8],
    xyxy: NDArray[np.float32],
    class_id: NDArray[np.int64],
    side: int,
    random: np.random.Generator,
) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.int64]]:
    """Cut a square out of an image, mostly around one of its objects, and bring it to `side` pixels.

    Args:
        image: (H, W, 3) uint8.
        xyxy: (N, 4) boxes in pixels of `image`.
        class_id: (N,) their classes.
        side: width and height of the result.
        random: where the crop lies and how large it is.

    Returns:
        (side, side, 3) uint8, grey where the crop reaches beyond the image; the (M, 4) boxes that are seen well enough,
        in pixels of the crop; their classes.
    """
    window = round(side * float(np.exp(random.uniform(*np.log(_SCALES)))))
    left, top = _corner(image.shape[:2], xyxy, window, random)
    crop = np.full((window, window, 3), _GREY, np.uint8)
    part = image[top : top + window, left : left + window]
    crop[: part.shape[0], : part.shape[1]] = part
    boxes, seen = _boxes_in_window(xyxy, left, top, part.shape[1], part.shape[0])
    scale = side / window
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return cv2.resize(crop, (side, side), interpolation=interpolation), boxes[seen] * scale, class_id[seen]


def _corner(
    size: tuple[int, int], xyxy: NDArray[np.float32], window: int, random: np.random.Generator
) -> tuple[int, int]:
    highest = np.maximum([size[1] - window, size[0] - window], 0)
    corner = random.uniform(0, highest + 1)
    if len(xyxy) and random.random() < _SHARE_ON_OBJECT:
        box = xyxy[random.integers(len(xyxy))]
        centre = (box[:2] + box[2:]) / 2
        corner = centre - random.uniform(0.15, 0.85, 2) * window
    left, top = np.clip(corner, 0, highest).astype(int)
    return int(left), int(top)


def _boxes_in_window(
    xyxy: NDArray[np.float32], left: int, top: int, width: int, height: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    moved = xyxy - np.array([left, top, left, top], np.float32)
    clipped = np.clip(moved, 0, np.array([width, height, width, height])).astype(np.float32)
    sides, whole = clipped[:, 2:] - clipped[:, :2], xyxy[:, 2:] - xyxy[:, :2]
    seen = (sides >= 2).all(axis=1) & (sides.prod(axis=1) >= _VISIBLE_SHARE * whole.prod(axis=1))
    return clipped, seen
