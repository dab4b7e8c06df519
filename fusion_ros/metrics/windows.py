"""Weighted means under a window that slides over an image, taken only where the whole window fits.

A pass along one axis is a product with a banded matrix. Cut into blocks that matrix is small, dense and always the
same, so that BLAS does the pass in double precision in less than half of the time of OpenCV's filter, which computes
the margin as well. Keeping every second window costs half as much again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from fusion_ros.metrics.scratch import scratch

Grey = NDArray[np.float64]

# Windows that one product of matrices computes, down and across, and the columns it takes: flat around these, and
# small enough for BLAS to stay on the thread that calls it.
_BLOCK_DOWN, _BLOCK_ACROSS, _COLUMNS = 8, 16, 1024
# Rows that are worked on together stay in the core's own cache with their intermediate results.
_STRIP_BYTES = 256 * 1024
_MOST_ROWS = 64


class SlidingWindow:
    """A separable window.

    Args:
        weights: (N,), the window along either axis; they sum to 1.
    """

    def __init__(self, weights: NDArray[np.float64]) -> None:
        self.weights = tuple(float(weight) for weight in weights)
        self.size = len(self.weights)

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether the window fits into an image of that shape at all."""
        return min(shape) >= self.size

    def valid(self, shape: tuple[int, ...], step: int = 1) -> tuple[int, int]:
        """How many windows there are in an image of that shape."""
        return (shape[0] - self.size) // step + 1, (shape[1] - self.size) // step + 1

    def rows(self, rows: slice, step: int = 1) -> slice:
        """The rows of an image that the windows in those rows of the result look at."""
        return slice(rows.start * step, (rows.stop - 1) * step + self.size)

    def means(self, image: Grey, out: Grey, step: int = 1) -> Grey:
        """Weighted mean of every window, or of every `step`-th in both directions.

        Args:
            image: (H, W) float64, H and W at least N.
            out: ((H - N) // step + 1, (W - N) // step + 1) float64, where to put it.
            step: 1 or 2.

        Returns:
            `out`.
        """
        height, width = out.shape
        down = scratch("means down", (height, image.shape[1]))
        for first, count, blocks in _blocks(height, _BLOCK_DOWN):
            bands = _bands(self.weights, count, step)
            below, onto = image[first * step :], down[first : first + blocks * count]
            for left in range(0, image.shape[1], _COLUMNS):
                part = below[:, left : left + _COLUMNS]
                row, column = part.strides
                span = as_strided(part, (blocks, bands.shape[1], part.shape[1]), (count * step * row, row, column))
                place = onto.reshape(blocks, count, -1)[:, :, left : left + _COLUMNS]
                np.matmul(bands, span, out=place)
        row, column = down.strides
        for first, count, blocks in _blocks(width, _BLOCK_ACROSS):
            bands = _bands(self.weights, count, step)
            right, onto = down[:, first * step :], out[:, first:]
            span = as_strided(right, (blocks, height, bands.shape[1]), (count * step * column, row, column))
            place = as_strided(onto, (blocks, height, count), (count * out.strides[1], *out.strides))
            np.matmul(span, bands.T, out=place)
        return out


def _blocks(windows: int, block: int) -> Iterator[tuple[int, int, int]]:
    """First window, windows to a block and number of blocks: the whole blocks, then what is left as one."""
    whole = windows // block
    if whole:
        yield 0, block, whole
    if windows % block:
        yield whole * block, windows % block, 1


@lru_cache(maxsize=256)
def _bands(weights: tuple[float, ...], windows: int, step: int) -> Grey:
    """(windows, (windows - 1) * step + N): row i holds the weights from column i * step on."""
    bands = np.zeros((windows, (windows - 1) * step + len(weights)))
    for index, row in enumerate(bands):
        row[index * step : index * step + len(weights)] = weights
    bands.flags.writeable = False
    return bands


def strips(shape: tuple[int, ...]) -> list[slice]:
    """The rows of a result of that shape in slices that stay in the cache, at most 64 rows each."""
    rows = max(8, min(_MOST_ROWS, _STRIP_BYTES // (8 * shape[1]) // 8 * 8))
    return [slice(first, min(first + rows, shape[0])) for first in range(0, shape[0], rows)]


def total(of_strips: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Sum over runs of strips, (strips, ...) each, rounded once: it does not depend on how they were divided."""
    together = np.concatenate(of_strips)
    sums = [math.fsum(column) for column in together.reshape(len(together), math.prod(together.shape[1:])).T]
    return np.array(sums).reshape(together.shape[1:])


def as_float(image: NDArray[np.uint8] | Grey, name: str, origin: float = 0.0) -> Grey:
    """Rows of an image as float64 above `origin`: themselves, or a copy in the scratch memory of that name."""
    if image.dtype == np.float64 and origin == 0.0:
        return image  # type: ignore[return-value]
    grey = scratch(name, image.shape)
    grey[...] = image
    grey -= origin
    return grey
