"""Masks drawn by hand, kept as polygons: names and outlines without any picture."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fusion_ros.errors import InputError

IGNORED = 255


def read_drawn_masks(path: Path, class_names: Sequence[str], longer_side: int = 0) -> dict[str, NDArray[np.uint8]]:
    """Read a file of drawn masks.

    The file is JSON: `classes`, names from far to near, and `images`, by file name with `width`, `height` and
    `polygons`: a list of `[class, [x0, y0, x1, y1, ...]]` in pixels, drawn one over the other in their order.

    Args:
        path: of the file.
        class_names: the numbering wanted; class 0 is what no polygon covers.
        longer_side: size of the masks, pixels; 0: as drawn.

    Returns:
        By file name (H, W) uint8 class ids.

    Raises:
        InputError: the file cannot be read, a class is not among `class_names`, or a point lies outside its image.
    """
    try:
        images = json.loads(path.read_text(encoding="utf-8"))["images"]
        return {name: _drawn(name, entry, class_names, longer_side) for name, entry in images.items()}
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: is no file of drawn masks: {error!r}") from error


def _drawn(name: str, entry: dict, class_names: Sequence[str], longer_side: int) -> NDArray[np.uint8]:
    width, height = int(entry["width"]), int(entry["height"])
    ratio = (longer_side or max(width, height)) / max(width, height)
    size = (round(width * ratio), round(height * ratio))
    mask = np.zeros(size[::-1], np.uint8)
    for kind, outline in entry["polygons"]:
        if kind != "unknown" and kind not in class_names:
            raise InputError(f"{name}: class '{kind}' is not one of {', '.join(class_names)}")
        points = np.array(outline, np.float64).reshape(-1, 2)
        if len(points) < 3 or (points < 0).any() or (points > [width, height]).any():
            raise InputError(f"{name}: an outline of {kind} has too few points or leaves the {width}x{height} image")
        value = IGNORED if kind == "unknown" else class_names.index(kind)
        # Corners lie on the grid between pixels: the centre of the first pixel is at 0.5.
        corners = np.rint((points * [size[0] / width, size[1] / height] - 0.5) * 16).astype(np.int32)
        cv2.fillPoly(mask, [corners], int(value), shift=4)
    return mask
