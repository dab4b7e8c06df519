"""Draws boxes and masks over images."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from fusion_ros.types import Detections, SegmentationMask

Colour = tuple[int, int, int]

# Colours in BGR, told apart on grey thermal and on coloured pictures alike; the classes take them in turn.
_CONTRAST: tuple[Colour, ...] = (
    (60, 200, 255),
    (255, 170, 40),
    (80, 255, 80),
    (200, 90, 255),
    (255, 255, 90),
    (70, 110, 255),
    (170, 230, 170),
    (230, 160, 230),
)
# Okabe and Ito, "Color Universal Design" (2008): told apart with every common kind of colour blindness.
_COLOUR_BLIND: tuple[Colour, ...] = (
    (0, 159, 230),
    (233, 180, 86),
    (115, 158, 0),
    (66, 228, 240),
    (178, 114, 0),
    (0, 94, 213),
    (167, 121, 204),
    (200, 200, 200),
)
# Cityscapes' colours by class name (Cordts et al., CVPR 2016), for people who are used to them.
_CITYSCAPES: dict[str, Colour] = {
    "road": (128, 64, 128),
    "sky": (180, 130, 70),
    "vegetation": (35, 142, 107),
    "person": (60, 20, 220),
    "car": (142, 0, 0),
    "vehicle": (142, 0, 0),
    "bicycle": (32, 11, 119),
}
PALETTES = ("contrast", "colour-blind", "cityscapes")
_BACKGROUND = ("background", "unlabelled", "unlabeled", "void")


def class_colour(class_id: int, name: str, palette: str = "contrast") -> Colour:
    """BGR colour of a class.

    Args:
        class_id: its number.
        name: its name.
        palette: one of `PALETTES`.

    Raises:
        ValueError: there is no such palette.
    """
    if palette not in PALETTES:
        raise ValueError(f"palette: '{palette}' is not one of {', '.join(PALETTES)}")
    if palette == "cityscapes" and name in _CITYSCAPES:
        return _CITYSCAPES[name]
    colours = _COLOUR_BLIND if palette == "colour-blind" else _CONTRAST
    return colours[class_id % len(colours)]


def draw_detections(bgr: NDArray[np.uint8], detections: Detections, palette: str = "contrast") -> NDArray[np.uint8]:
    """Draw boxes with class and confidence.

    Args:
        bgr: (H, W, 3) uint8 BGR; not changed.
        detections: boxes in pixels of `bgr`.
        palette: one of `PALETTES`.

    Returns:
        (H, W, 3) uint8 BGR, a new image.
    """
    drawn: NDArray[np.uint8] = np.ascontiguousarray(bgr).copy()
    thickness = max(1, round(min(bgr.shape[:2]) / 300))
    # The strongest last, so that its label is on top.
    for index in np.argsort(detections.confidence, kind="stable"):
        class_id = int(detections.class_id[index])
        name = detections.class_names.get(class_id, str(class_id))
        colour = class_colour(class_id, name, palette)
        left, top, right, bottom = (int(value) for value in np.rint(detections.xyxy[index]))
        cv2.rectangle(drawn, (left, top), (right, bottom), colour, thickness)
        _draw_label(drawn, f"{name} {detections.confidence[index]:.2f}", left, top, colour, thickness)
    return drawn


def draw_segmentation(
    bgr: NDArray[np.uint8], mask: SegmentationMask, palette: str = "contrast", opacity: float = 0.5
) -> NDArray[np.uint8]:
    """Lay the classes' colours over an image; background is left as it is.

    Args:
        bgr: (H, W, 3) uint8 BGR; not changed.
        mask: class of every pixel, (H, W).
        palette: one of `PALETTES`.
        opacity: 0 (nothing seen of the mask) to 1 (nothing seen of the image).

    Returns:
        (H, W, 3) uint8 BGR, a new image.

    Raises:
        ValueError: the mask has another size than the image.
    """
    if mask.class_id.shape != bgr.shape[:2]:
        raise ValueError(f"mask: size {mask.class_id.shape} is not that of the image, {bgr.shape[:2]}")
    colours = np.zeros((256, 1, 3), np.uint8)
    shown = np.zeros(256, np.uint8)
    for class_id, name in mask.class_names.items():
        if name not in _BACKGROUND:
            colours[class_id, 0] = class_colour(class_id, name, palette)
            shown[class_id] = 255
    painted = cv2.LUT(cv2.merge([mask.class_id] * 3), colours)
    blended = cv2.addWeighted(bgr, 1.0 - opacity, painted, opacity, 0.0)
    drawn: NDArray[np.uint8] = np.ascontiguousarray(bgr).copy()
    cv2.copyTo(blended, cv2.LUT(mask.class_id, shown), drawn)
    return drawn


def _draw_label(image: NDArray[np.uint8], text: str, left: int, top: int, colour: Colour, thickness: int) -> None:
    font, scale = cv2.FONT_HERSHEY_SIMPLEX, 0.4 * max(1.0, min(image.shape[:2]) / 480)
    (width, height), baseline = cv2.getTextSize(text, font, scale, 1)
    left = max(0, min(left, image.shape[1] - width))
    bottom = max(height + baseline, top - thickness)
    cv2.rectangle(image, (left, bottom - height - baseline), (left + width, bottom), colour, cv2.FILLED)
    cv2.putText(image, text, (left, bottom - baseline // 2 - 1), font, scale, (0, 0, 0), 1, cv2.LINE_AA)
