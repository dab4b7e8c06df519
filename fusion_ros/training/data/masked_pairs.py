"""Pairs with a class for every pixel."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fusion_ros.training.data.box_masks import masks_from_boxes
from fusion_ros.training.data.labelled_pairs import LabelledPair, resized

_SMALLEST_OBJECT = 12  # pixels


@dataclass(frozen=True)
class MaskedPair:
    """One aligned pair with its mask.

    Attributes:
        name: name of the pair.
        visible: (H, W, 3) uint8 BGR.
        infrared: (H, W) uint8.
        class_id: (H, W) uint8, index of the class, 255 where nothing is to be learned.
        xyxy: (N, 4) float32, objects that crops are laid around.
    """

    name: str
    visible: NDArray[np.uint8]
    infrared: NDArray[np.uint8]
    class_id: NDArray[np.uint8]
    xyxy: NDArray[np.float32]


def with_box_masks(pairs: list[LabelledPair]) -> list[MaskedPair]:
    """Pairs whose masks are estimated from boxes, see `masks_from_boxes`."""
    return [MaskedPair(pair.name, pair.visible, pair.infrared, masks_from_boxes(pair), pair.xyxy) for pair in pairs]


def resized_with_mask(pair: MaskedPair, longer_side: int) -> MaskedPair:
    """The pair on a grid of this size."""
    boxes = LabelledPair(pair.name, pair.visible, pair.infrared, pair.xyxy, np.zeros(len(pair.xyxy), np.int64))
    larger = resized(boxes, longer_side)
    size = larger.infrared.shape[::-1]
    mask = np.asarray(cv2.resize(pair.class_id, size, interpolation=cv2.INTER_NEAREST), np.uint8)
    return MaskedPair(pair.name, larger.visible, larger.infrared, mask, larger.xyxy)


def boxes_of_mask(mask: NDArray[np.uint8], classes: list[int]) -> NDArray[np.float32]:
    """(N, 4) boxes of the connected regions of these classes, without specks."""
    found = []
    for class_id in classes:
        _, _, regions, _ = cv2.connectedComponentsWithStats((mask == class_id).astype(np.uint8))
        found += [(x, y, x + w, y + h) for x, y, w, h, area in regions[1:].tolist() if area >= _SMALLEST_OBJECT]
    return np.array(found, np.float32).reshape(-1, 4)
