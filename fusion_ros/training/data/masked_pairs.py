"""Pairs with a class for every pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusion_ros.training.data.box_masks import masks_from_boxes
from fusion_ros.training.data.labelled_pairs import LabelledPair


@dataclass(frozen=True)
class MaskedPair:
    """One aligned pair with its mask.

    Attributes:
        name: name of the pair.
        visible: (H, W, 3) uint8 BGR.
        infrared: (H, W) uint8.
        class_id: (H, W) uint8, index of the class, 255 where nothing is to be learned.
    """

    name: str
    visible: NDArray[np.uint8]
    infrared: NDArray[np.uint8]
    class_id: NDArray[np.uint8]


def with_box_masks(pairs: list[LabelledPair]) -> list[MaskedPair]:
    """Pairs whose masks are estimated from boxes, see `masks_from_boxes`."""
    return [MaskedPair(pair.name, pair.visible, pair.infrared, masks_from_boxes(pair)) for pair in pairs]
