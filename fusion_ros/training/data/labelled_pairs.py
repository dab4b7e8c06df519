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
from fusion_ros.training.data.pairs import split_names
from fusion_ros.training.data.pictures import read_pictures

CLASS_NAMES = ("person", "bicycle", "car")
LABELS_NAME = "labels.coco.json"


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
    folder: Path,
    part: str,
    class_names: Sequence[str] = CLASS_NAMES,
    longer_side: int = 0,
    labels: Path | None = None,
) -> list[LabelledPair]:
    """Read the labelled pairs of one part of a data set.

    Args:
        folder: holds `vi/`, `ir/` and `labels.coco.json`, whose boxes are in pixels of `ir/`. An image entry with
            `"labelled": false` is left out; one without boxes is kept, as a picture with nothing to find.
        part: `training` or `validation`, see `split_names`; all names count, also those without labels. Or `all`.
        class_names: the classes to keep; boxes of other classes are ignored.
        longer_side: size of the pairs, pixels; 0 leaves them on the infrared image's grid. The visible image, which may
            be finer than the infrared one, keeps what this size can show.
        labels: the file of boxes, where it is not `labels.coco.json` in the folder.

    Raises:
        InputError: files are missing or unreadable, no label is of a class in `class_names`, or a box lies wholly
            outside its image.
    """
    path = labels or folder / LABELS_NAME
    document = _read_labels(path)
    boxes = _boxes_by_image(path, document, class_names)
    entries = {entry["file_name"]: entry for entry in document["images"]}
    training, validation = split_names(list(entries))
    names = {"all": sorted(entries), "training": training, "validation": validation}.get(part)
    if names is None:
        raise InputError(f"part: '{part}' is not one of training, validation, all")
    chosen = [entries[name] for name in names if entries[name].get("labelled", True)]
    return [_read_pair(folder, entry, boxes.get(entry["id"], []), longer_side) for entry in chosen]


def _boxes_by_image(path: Path, document: dict, class_names: Sequence[str]) -> dict[int, list[tuple[int, list[float]]]]:
    categories = {entry["id"]: entry["name"] for entry in document["categories"]}
    if not set(class_names) & set(categories.values()):
        raise InputError(
            f"{path}: none of the classes {', '.join(class_names)} is among {', '.join(categories.values())}; name "
            "classes that the labels have"
        )
    images = {entry["id"] for entry in document["images"]}
    boxes: dict[int, list[tuple[int, list[float]]]] = {}
    for annotation in document["annotations"]:
        category, image = annotation["category_id"], annotation["image_id"]
        if category not in categories or image not in images:
            what = f"category {category}" if category not in categories else f"image {image}"
            raise InputError(f"{path}: a box is of {what}, which the file does not describe")
        if categories[category] in class_names:
            boxes.setdefault(image, []).append((class_names.index(categories[category]), annotation["bbox"]))
    return boxes


def _read_labels(path: Path) -> dict:
    try:
        text = path.read_text(encoding="utf-8")
        labels = json.loads(text) if text.strip() else {}
        missing = [key for key in ("categories", "images", "annotations") if key not in labels]
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; a folder with vi/ and ir/ needs {LABELS_NAME} for this") from error
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{path}: {error}; expected COCO labels in JSON") from error
    if missing:
        raise InputError(f"{path}: {', '.join(missing)} missing; expected COCO labels")
    if not labels["images"]:
        raise InputError(f"{path}: labels no image; expected COCO labels of the pairs in vi/ and ir/")
    return labels


def _read_pair(folder: Path, entry: dict, boxes: list[tuple[int, list[float]]], longer_side: int) -> LabelledPair:
    name = entry["file_name"]
    visible, infrared = read_pictures(folder / "vi" / name, folder / "ir" / name)
    height, width = infrared.shape
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
    pair = LabelledPair(name, visible, infrared, clipped, np.array([index for index, _ in boxes], np.int64))
    return resized(pair, longer_side or max(width, height))


def resized(pair: LabelledPair, longer_side: int) -> LabelledPair:
    """The pair with both images, which may differ in size, on a grid of the infrared image's shape and this size."""
    height, width = pair.infrared.shape
    ratio = longer_side / max(height, width)
    size = (min(round(width * ratio), longer_side), min(round(height * ratio), longer_side))
    scale = np.array([size[0] / width, size[1] / height] * 2, np.float32)
    visible, infrared = (_at_size(image, size) for image in (pair.visible, pair.infrared))
    return LabelledPair(pair.name, visible, infrared, pair.xyxy * scale, pair.class_id)


def _at_size(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    shrinks = image.shape[1] >= size[0]
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR), np.uint8)
