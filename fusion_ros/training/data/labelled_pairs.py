"""Reads aligned visible and infrared pairs with COCO boxes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fusion_ros.errors import InputError
from fusion_ros.training.data.pictures import read_pictures

CLASS_NAMES = ("person", "bicycle", "car")
VALIDATION_SHARE = 5  # the last 1/5 of the sorted names


@dataclass(frozen=True)
class LabelledPair:
    """One aligned pair with its boxes.

    Attributes:
        name: file name, the same in `vi/` and `ir/`.
        visible: (H, W, 3) uint8 BGR, resized to the infrared image.
        infrared: (H, W) uint8.
        xyxy: (N, 4) float32, x_min, y_min, x_max, y_max in pixels, inside the image.
        class_id: (N,) int64, index into `CLASS_NAMES`.
    """

    name: str
    visible: NDArray[np.uint8]
    infrared: NDArray[np.uint8]
    xyxy: NDArray[np.float32]
    class_id: NDArray[np.int64]


def read_labelled_pairs(
    folder: Path, part: str, class_names: Sequence[str] = CLASS_NAMES, validation_share: int = VALIDATION_SHARE
) -> list[LabelledPair]:
    """Read the labelled pairs of one part of a data set.

    Args:
        folder: holds `vi/`, `ir/` and `labels.coco.json`, whose boxes are in pixels of `ir/`. An image entry with
            `"labelled": false` is left out; one without boxes is kept, as a picture with nothing to find.
        part: `training`, or `validation`: the last 1/`validation_share` of all sorted names.
        class_names: the classes to keep; boxes of other classes are ignored.
        validation_share: 5 means that the last fifth is for validation.

    Raises:
        InputError: files are missing or unreadable, no label is of a class in `class_names`, or a box lies wholly
            outside its image.
    """
    labels = _read_labels(folder)
    categories = {entry["id"]: entry["name"] for entry in labels["categories"]}
    if not set(class_names) & set(categories.values()):
        raise InputError(
            f"{folder / 'labels.coco.json'}: none of the classes {', '.join(class_names)} is among "
            f"{', '.join(categories.values())}; name classes that the labels have"
        )
    boxes: dict[int, list[tuple[int, list[float]]]] = {}
    for annotation in labels["annotations"]:
        name = categories.get(annotation["category_id"])
        if name in class_names:
            boxes.setdefault(annotation["image_id"], []).append((class_names.index(name), annotation["bbox"]))
    entries = sorted(labels["images"], key=lambda entry: entry["file_name"])
    split = len(entries) - len(entries) // validation_share
    chosen = {"training": entries[:split], "validation": entries[split:]}.get(part)
    if chosen is None:
        raise InputError(f"part: '{part}' is not one of training, validation")
    return [_read_pair(folder, entry, boxes.get(entry["id"], [])) for entry in chosen if entry.get("labelled", True)]


def _read_labels(folder: Path) -> dict:
    path = folder / "labels.coco.json"
    try:
        labels = json.loads(path.read_text())
        missing = [key for key in ("categories", "images", "annotations") if key not in labels]
    except FileNotFoundError as error:
        raise InputError(
            f"{path}: no such file; detection is trained on a folder with vi/, ir/ and labels.coco.json"
        ) from error
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{path}: {error}; expected COCO labels in JSON") from error
    if missing:
        raise InputError(f"{path}: {', '.join(missing)} missing; expected COCO labels")
    return labels


def _read_pair(folder: Path, entry: dict, boxes: list[tuple[int, list[float]]]) -> LabelledPair:
    name = entry["file_name"]
    visible, infrared = read_pictures(folder / "vi" / name, folder / "ir" / name)
    height, width = infrared.shape
    visible = np.asarray(cv2.resize(visible, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    xywh = np.array([box for _, box in boxes], np.float32).reshape(-1, 4)
    xyxy = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)
    outside = (
        (xyxy[:, 0] >= width)
        | (xyxy[:, 1] >= height)
        | (xyxy[:, 2] <= 0)
        | (xyxy[:, 3] <= 0)
        | (xywh[:, 2:] <= 0).any(axis=1)
    )
    if outside.any():
        raise InputError(
            f"{name}: box {xywh[outside][0].tolist()} (x, y, width, height) is empty or outside the image of "
            f"{width}x{height}; boxes are in pixels of ir/"
        )
    clipped = np.clip(xyxy, 0, [width, height, width, height]).astype(np.float32)
    return LabelledPair(name, visible, infrared, clipped, np.array([index for index, _ in boxes], np.int64))
