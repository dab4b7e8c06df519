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
    count = len(class_names)
    confusion = np.zeros((count, count), np.int64)
    for predicted, actual in zip(found, truth, strict=True):
        if predicted.shape != actual.shape:
            raise ValueError(f"mask of {predicted.shape} against a true one of {actual.shape}; expected the same size")
        counted = actual != IGNORED
        if counted.any() and max(int(actual[counted].max()), int(predicted[counted].max())) >= count:
            raise ValueError(f"a mask has a class beyond the {count} that have names")
        pairs = actual[counted].astype(np.int64) * count + predicted[counted]
        confusion += np.bincount(pairs, minlength=count * count).reshape(count, count)
    occurs = confusion.sum(axis=1) > 0
    union = confusion.sum(axis=0) + confusion.sum(axis=1) - np.diag(confusion)
    ratio = np.diag(confusion) / np.maximum(union, 1)
    scores = {"mIoU": float(ratio[occurs].mean()) if occurs.any() else float("nan")}
    return scores | {f"IoU {class_names[index]}": float(ratio[index]) for index in range(count) if occurs[index]}
