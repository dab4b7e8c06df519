"""Makes class masks out of boxes: GrabCut on thermal and visible edges, started from the shape of a class.

Such masks are estimates. They are right about where an object is and roughly right about its outline; pixels near an
outline are marked as not to be learned from.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from fusion_ros.training.data.labelled_pairs import CLASS_NAMES, LabelledPair

BACKGROUND, ROAD = 0, 1
IGNORED = 255
SEGMENT_NAMES = ("background", "road", "person", "bicycle", "vehicle")
_CLASS_OF_BOX = {"person": 2, "bicycle": 3, "car": 4}

_MARGIN = 0.35  # of the box's size: what is around it shows GrabCut the background
_SMALLEST = 14  # pixels: below, colours say nothing and the class's shape is taken as it is
_ITERATIONS = 3
_ROAD_FAR, _ROAD_HALF_WIDTH_FAR = 0.58, 0.08  # of the picture's height and width
_PLAUSIBLE_SHARE = (0.3, 0.95)  # of the box; a result outside has leaked or collapsed


def masks_from_boxes(pair: LabelledPair) -> NDArray[np.uint8]:
    """Estimate the class of every pixel of a pair.

    Each box is cut out by GrabCut (Rother, Kolmogorov and Blake, SIGGRAPH 2004) on a picture whose channels are
    thermal, luminance and their mean; it starts from an ellipse for persons and bicycles and a rounded rectangle for
    cars. Larger boxes are drawn first, so that what stands in front, mostly smaller, is kept. A band of 1 pixel
    (2 for objects over 60 pixels) along each outline is marked `IGNORED`.

    Args:
        pair: images and boxes.

    Returns:
        (H, W) uint8: index into `SEGMENT_NAMES`, or `IGNORED`. Boxes say nothing about the road: it is background here.
    """
    picture = edge_picture(pair)
    mask = np.full(pair.infrared.shape, BACKGROUND, np.uint8)
    areas = np.prod(pair.xyxy[:, 2:] - pair.xyxy[:, :2], axis=1)
    for index in np.argsort(-areas, kind="stable"):
        class_id = _CLASS_OF_BOX[CLASS_NAMES[int(pair.class_id[index])]]
        shape = _cut_out(picture, pair.xyxy[index], class_id).astype(np.uint8)
        width = 5 if min(_sides(pair.xyxy[index])) > 60 else 3
        band = cv2.morphologyEx(shape, cv2.MORPH_GRADIENT, np.ones((width, width), np.uint8))
        mask[shape > 0] = class_id
        mask[band > 0] = IGNORED
    return mask


def with_road_ahead(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Guess where the road is in the picture of a camera that looks ahead from a car.

    Of the background, what lies in a trapezoid from the whole lower edge to a little below the middle of the picture is
    called road. The rest of the lower half may be road or not and is marked `IGNORED`.
    """
    height, width = mask.shape
    down = (np.arange(height) + 0.5) / height
    across = np.abs((np.arange(width) + 0.5) / width - 0.5)
    far, near = _ROAD_FAR, 1.0
    half_width = _ROAD_HALF_WIDTH_FAR + (0.5 - _ROAD_HALF_WIDTH_FAR) * (down - far) / (near - far)
    ahead = (down[:, None] >= far) & (across[None, :] <= half_width[:, None])
    unknown = (down[:, None] >= 0.5) & ~ahead
    background = mask == BACKGROUND
    guessed = np.where(background & ahead, np.uint8(ROAD), mask)
    return np.where(background & unknown, np.uint8(IGNORED), guessed)


def edge_picture(pair: LabelledPair) -> NDArray[np.uint8]:
    """(H, W, 3) uint8: thermal, luminance, and their mean, each with its contrast evened out over regions."""
    even = cv2.createCLAHE(clipLimit=2.0, tileGridSize=(4, 4))
    thermal = even.apply(pair.infrared)
    luminance = even.apply(cv2.cvtColor(pair.visible, cv2.COLOR_BGR2GRAY))
    return cv2.merge([thermal, luminance, cv2.addWeighted(thermal, 0.5, luminance, 0.5, 0)])


def _sides(box: NDArray[np.float32]) -> tuple[float, float]:
    return float(box[2] - box[0]), float(box[3] - box[1])


def _cut_out(picture: NDArray[np.uint8], box: NDArray[np.float32], class_id: int) -> NDArray[np.bool_]:
    height, width = picture.shape[:2]
    shape = _shape_of_class((height, width), box, class_id, 1.0)
    if min(_sides(box)) < _SMALLEST:
        return shape
    pad_x, pad_y = (max(4, round(_MARGIN * side)) for side in _sides(box))
    left, top = max(0, int(box[0]) - pad_x), max(0, int(box[1]) - pad_y)
    right, bottom = min(width, int(np.ceil(box[2])) + pad_x), min(height, int(np.ceil(box[3])) + pad_y)
    window = np.s_[top:bottom, left:right]
    inside = _rectangle((height, width), box)[window]
    start = np.full(inside.shape, cv2.GC_BGD, np.uint8)
    start[inside] = cv2.GC_PR_BGD
    start[shape[window]] = cv2.GC_PR_FGD
    start[_shape_of_class((height, width), box, class_id, 0.45)[window]] = cv2.GC_FGD
    if not (start == cv2.GC_BGD).any():
        return shape
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(0)  # GrabCut's clusters start at random
    cv2.grabCut(np.ascontiguousarray(picture[window]), start, None, *models, _ITERATIONS, cv2.GC_INIT_WITH_MASK)
    found = ((start == cv2.GC_FGD) | (start == cv2.GC_PR_FGD)).astype(np.uint8)
    found = cv2.morphologyEx(found, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    low, high = _PLAUSIBLE_SHARE
    if not low <= found.sum() / max(1, inside.sum()) <= high:
        return shape
    whole = np.zeros((height, width), np.bool_)
    whole[window] = found > 0
    return whole


def _rectangle(size: tuple[int, int], box: NDArray[np.float32]) -> NDArray[np.bool_]:
    canvas = np.zeros(size, np.bool_)
    left, top, right, bottom = np.rint(box).astype(int)
    canvas[top : max(bottom, top + 1), left : max(right, left + 1)] = True
    return canvas


def _shape_of_class(size: tuple[int, int], box: NDArray[np.float32], class_id: int, scale: float) -> NDArray[np.bool_]:
    """A superellipse in the box, shrunk by `scale`: exponent 2 is an ellipse, 4 a rounded rectangle (cars)."""
    exponent = 4 if SEGMENT_NAMES[class_id] == "vehicle" else 2
    half_x, half_y = (max(side / 2 * scale, 0.5) for side in _sides(box))
    across = np.abs((np.arange(size[1]) + 0.5 - (box[0] + box[2]) / 2) / half_x) ** exponent
    down = np.abs((np.arange(size[0]) + 0.5 - (box[1] + box[3]) / 2) / half_y) ** exponent
    return np.asarray(across[None, :] + down[:, None] <= 1.0)
