"""Outlines of objects by SAM, through ultralytics, from the user's own weights; nothing is downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fusion_ros.errors import InputError

# What ultralytics tells the variants by.
KNOWN_NAMES = (
    *(f"sam_{size}.pt" for size in "blh"),
    "mobile_sam.pt",
    *(f"{family}_{size}.pt" for family in ("sam2", "sam2.1") for size in "tsbl"),
)


class SegmentAnything:
    """SAM prompted with boxes.

    Args:
        weights: a file under one of ultralytics' names for SAM, such as `sam2_t.pt`. It is a pickle: take it from
            where ultralytics publishes it, nowhere else.
        device: `cpu`, or a GPU as torch names it.

    Raises:
        InputError: the file is missing, has another name or holds something else.
    """

    def __init__(self, weights: Path, device: str = "cpu") -> None:
        # Both would make ultralytics look for the name on its server.
        if not weights.is_file():
            raise InputError(f"{weights}: SAM's weights are not there and are not downloaded; put the file there first")
        if weights.name not in KNOWN_NAMES:
            raise InputError(f"{weights}: is not one of SAM's names that ultralytics knows: {', '.join(KNOWN_NAMES)}")
        self._device = device
        self._model = _load(weights)

    def outline(self, image: NDArray[np.uint8], boxes: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Pixels of the objects in the boxes.

        Args:
            image: (H, W) or (H, W, 3) uint8 BGR.
            boxes: (N, 4) x1 y1 x2 y2 in pixels.

        Returns:
            (H, W) bool: all objects' masks in one.
        """
        found = np.zeros(image.shape[:2], bool)
        if not len(boxes):
            return found
        colour = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR) if image.ndim == 2 else image
        # A faint object is still the one that was asked for: conf=0.
        results = self._model.predict(colour, bboxes=boxes.tolist(), conf=0.0, device=self._device, verbose=False)
        for result in results:
            if result.masks is not None:
                found |= np.asarray(result.masks.data.cpu().numpy() > 0.5).any(axis=0)
        return found


def _load(weights: Path) -> Any:
    from ultralytics import SAM

    try:
        return SAM(str(weights))
    except Exception as error:
        # Whatever unpickling and ultralytics raise for a file that is damaged or another network's.
        raise InputError(f"{weights}: cannot be loaded as SAM's weights: {error}") from error
