"""How far a figure over a set of images would move with other images of the same kind."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1000
COVERAGE = 0.95


def resamplings(images: int, count: int = RESAMPLES, seed: int = 0) -> NDArray[np.int64]:
    """(count, images): how often each image is drawn when as many as there are are drawn with replacement."""
    random = np.random.default_rng(seed)
    drawn = random.integers(images, size=(count, images))
    return np.stack([np.bincount(row, minlength=images) for row in drawn]).astype(np.int64)


def interval(
    figure: Callable[[NDArray[np.int64]], float], weights: NDArray[np.int64], coverage: float = COVERAGE
) -> tuple[float, float]:
    """Percentile bootstrap interval of a figure (Efron); NaN where it is not defined for most resamplings.

    Args:
        figure: of how often each image counts, (images,).
        weights: from `resamplings`.
        coverage: of the interval.
    """
    values = np.array([figure(row) for row in weights])
    values = values[np.isfinite(values)]
    if 2 * len(values) < len(weights):
        return float("nan"), float("nan")
    low, high = np.quantile(values, [(1 - coverage) / 2, (1 + coverage) / 2])
    return float(low), float(high)
