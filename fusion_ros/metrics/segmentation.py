"""Intersection over union of class masks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

IGNORED = 255


def intersection_over_union(
    found: Sequence[NDArray[np.uint8]], truth: Sequence[NDArray[np.uint8]], class_names: Sequence[str]
) -> dict[str, float]:
    """Intersection over union of each class, counted over all pixels of all images.

    Args:
        found: predicted class of every pixel, (H, W) uint8 each.
        truth: true class of the same images, (H, W) uint8 each; pixels of value 255 are not counted.
        class_names: names of the classes 0, 1, ...

    Returns:
        `mIoU`, the mean over the classes that occur in `truth`, and `IoU <class>` for each of those; 0 to 1.

    Raises:
        ValueError: the number of images or the size of one differs, or a class has no name.
    """
    if len(found) != len(truth):
        raise ValueError(f"{len(found)} masks found and {len(truth)} true ones; expected the same number")
    confusion = np.zeros((len(class_names), len(class_names)), np.int64)
    for predicted, actual in zip(found, truth, strict=True):
        confusion += confusion_matrix(predicted, actual, len(class_names))
    return scores_of_confusion(confusion, class_names)


def confusion_matrix(found: NDArray[np.uint8], truth: NDArray[np.uint8], count: int) -> NDArray[np.int64]:
    """Pixels by true class (row) and predicted class (column), (count, count).

    Args:
        found: (H, W) uint8.
        truth: (H, W) uint8; pixels of value 255 are not counted.
        count: number of classes.

    Raises:
        ValueError: the sizes differ, or a class is `count` or beyond.
    """
    if found.shape != truth.shape:
        raise ValueError(f"mask of {found.shape} against a true one of {truth.shape}; expected the same size")
    counted = truth != IGNORED
    if counted.any() and max(int(truth[counted].max()), int(found[counted].max())) >= count:
        raise ValueError(f"a mask has a class beyond the {count} that have names")
    pairs = truth[counted].astype(np.int64) * count + found[counted]
    return np.bincount(pairs, minlength=count * count).reshape(count, count)


def scores_of_confusion(confusion: NDArray[np.int64], class_names: Sequence[str]) -> dict[str, float]:
    """Intersection over union from a sum of confusion matrices; see `intersection_over_union`."""
    occurs = confusion.sum(axis=1) > 0
    union = confusion.sum(axis=0) + confusion.sum(axis=1) - np.diag(confusion)
    ratio = np.diag(confusion) / np.maximum(union, 1)
    scores = {"mIoU": float(ratio[occurs].mean()) if occurs.any() else float("nan")}
    return scores | {f"IoU {name}": float(ratio[i]) for i, name in enumerate(class_names) if occurs[i]}
