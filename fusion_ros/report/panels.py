"""One picture out of several: labelled panels side by side, as the demo's video shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from fusion_ros.perception.drawing import draw_detections, draw_segmentation
from fusion_ros.report.record import Pictures
from fusion_ros.types import Detections, SegmentationMask

STRIP_HEIGHT = 26
GAP = 4
BACKGROUND = (24, 20, 18)
INK = (235, 235, 235)


def as_bgr(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Grey (H, W) to (H, W, 3); a colour image is returned as it is."""
    return np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image


def fit(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Shrink or enlarge an image into a (height, width, 3) box without changing its aspect; the rest stays dark."""
    image = as_bgr(image)
    scale = min(height / image.shape[0], width / image.shape[1])
    size = (max(1, min(width, round(image.shape[1] * scale))), max(1, min(height, round(image.shape[0] * scale))))
    if size != (image.shape[1], image.shape[0]):
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        image = np.asarray(cv2.resize(image, size, interpolation=how), dtype=np.uint8)
    box = np.empty((height, width, 3), dtype=np.uint8)
    box[:] = BACKGROUND
    top, left = (height - size[1]) // 2, (width - size[0]) // 2
    box[top : top + size[1], left : left + size[0]] = image
    return box


def annotated(
    fused: NDArray[np.uint8],
    detections: Detections | None,
    mask: NDArray[np.uint8] | None,
    mask_class_names: Mapping[int, str],
) -> NDArray[np.uint8]:
    """The fused image with the mask's colours and the boxes over it; (H, W, 3) uint8 BGR."""
    image = fused
    if mask is not None and mask.shape == fused.shape[:2]:
        image = draw_segmentation(image, SegmentationMask(mask, mask_class_names))
    if detections is not None and len(detections):
        image = draw_detections(image, detections)
    return image


def side_by_side(
    panels: Sequence[tuple[str, NDArray[np.uint8] | None]], height: int, width: int, footer: str = ""
) -> NDArray[np.uint8]:
    """Lay out panels of (height, width) in a row, each under its label, with an optional line of text below.

    A panel without an image says so. Both sides of the result are even numbers, as H.264 with 4:2:0 colour wants.
    """
    columns = []
    for label, image in panels:
        if image is None:
            body = np.full((height, width, 3), BACKGROUND, dtype=np.uint8)
            _write(body, "no frame", (width // 2 - 36, height // 2), INK)
        else:
            body = fit(image, height, width)
        strip = np.full((STRIP_HEIGHT, width, 3), BACKGROUND, dtype=np.uint8)
        _write(strip, label, (6, 18), INK)
        columns.append(np.vstack([strip, body]))
        columns.append(np.full((height + STRIP_HEIGHT, GAP, 3), BACKGROUND, dtype=np.uint8))
    row = np.hstack(columns[:-1])
    if footer:
        strip = np.full((STRIP_HEIGHT, row.shape[1], 3), BACKGROUND, dtype=np.uint8)
        _write(strip, footer, (6, 18), INK)
        row = np.vstack([row, strip])
    bottom, right = row.shape[0] % 2, row.shape[1] % 2
    return np.pad(row, ((0, bottom), (0, right), (0, 0)), mode="edge")


def demo_panels(
    pictures: Pictures,
    detections: Detections | None,
    mask_class_names: Mapping[int, str],
    mode: str,
    footer: str,
    panel_size: tuple[int, int],
) -> NDArray[np.uint8]:
    """RGB, thermal and fused image with boxes and mask, side by side, each in a box of `panel_size` (height, width)."""
    height, width = panel_size
    fused = annotated(pictures.fused, detections, pictures.mask, mask_class_names)
    panels = [("RGB", pictures.rgb), ("thermal", pictures.thermal), (f"fused: {mode}", fused)]
    return side_by_side(panels, height, width, footer)


def _write(image: NDArray[np.uint8], text: str, origin: tuple[int, int], colour: tuple[int, int, int]) -> None:
    # Hershey fonts know ASCII only.
    plain = text.encode("ascii", "replace").decode("ascii")
    cv2.putText(image, plain, origin, cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, 1, cv2.LINE_AA)
