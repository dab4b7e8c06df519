"""Qabf: how much of the sources' edges, in strength and direction, the fused image keeps (Xydeas and Petrovic 2000)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from fusion_ros.metrics.parallel import parts
from fusion_ros.metrics.scratch import scratch
from fusion_ros.metrics.windows import strips, total

STRENGTH_GAIN, STRENGTH_SLOPE, STRENGTH_MIDDLE = 0.9994, -15.0, 0.5
ANGLE_GAIN, ANGLE_SLOPE, ANGLE_MIDDLE = 0.9879, -22.0, 0.8

Map = NDArray[np.float32]
Sums = NDArray[np.float64]


@dataclass(frozen=True)
class Edges:
    """Sobel edges in some rows of an 8-bit image, in scratch memory.

    Attributes:
        strength: (h, W) float32, 0 to 1443 grey levels. The root of a whole number below 2^24, so that two equal
            strengths are equal to the bit.
        angle: (h, W) float32, -pi/2 to pi/2, of the ascent from row to row over the descent along the row; pi/2 where
            the horizontal derivative is zero.
    """

    strength: Map
    angle: Map


class EdgeImage:
    """Edges of one image; the world outside it is black, as in all of the field's code.

    Args:
        image: (H, W) uint8.
    """

    def __init__(self, image: NDArray[np.uint8]) -> None:
        self._framed = cv2.copyMakeBorder(image, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)

    def at(self, rows: slice, role: str) -> Edges:
        """Edges in those rows, in the scratch memory of that name."""
        framed = self._framed[rows.start : rows.stop + 2]
        shape = framed.shape[0] - 2, framed.shape[1] - 2
        strength, angle = (scratch(f"{name} of {role}", shape, np.float32) for name in ("strength", "angle"))
        derivative = scratch("sobel", framed.shape, np.int16)
        across, square = scratch("across", shape, np.float32), scratch("edge square", shape, np.float32)
        cv2.Sobel(framed, cv2.CV_16S, 1, 0, dst=derivative, ksize=3)
        np.multiply(derivative[1:-1, 1:-1], np.float32(-1.0), out=across)
        cv2.Sobel(framed, cv2.CV_16S, 0, 1, dst=derivative, ksize=3)
        angle[...] = derivative[1:-1, 1:-1]
        np.multiply(across, across, out=strength)
        strength += np.multiply(angle, angle, out=square)
        np.sqrt(strength, out=strength)
        with np.errstate(divide="ignore", invalid="ignore"):
            angle /= across
            np.arctan(angle, out=angle)
        np.copyto(angle, np.float32(math.pi / 2), where=np.equal(across, 0.0, out=scratch("upright", shape, np.bool_)))
        return Edges(strength, angle)


def edge_preservation(source: Edges, fused: Edges, equal_strength: float | None = None) -> Map:
    """Q at every pixel, 0 to 0.975: strength preservation times direction preservation. In scratch memory.

    Args:
        source: edges of one source.
        fused: edges of the fused image in the same rows.
        equal_strength: None: the strength ratio of two equal edges is 1. A number: it is the strength of the fused
            edge divided by that number, a slip of published code that matters on images scaled to [0, 1].
    """
    shape = source.strength.shape
    ratio = np.minimum(source.strength, fused.strength, out=scratch("edge ratio", shape, np.float32))
    stronger = np.maximum(source.strength, fused.strength, out=scratch("edge square", shape, np.float32))
    # Strengths are roots of whole numbers, at least 1 where there is any edge; without an edge the weight is 0.
    np.maximum(stronger, np.float32(0.5), out=stronger)
    ratio /= stronger
    if equal_strength is not None:
        equal = source.strength == fused.strength
        ratio[equal] = fused.strength[equal] / np.float32(equal_strength)
    # Both logistics share one division: gain / ((1 + exp(slope_g (G - m_g))) (1 + exp(slope_a (A - m_a)))).
    ratio *= np.float32(STRENGTH_SLOPE)
    ratio -= np.float32(STRENGTH_SLOPE * STRENGTH_MIDDLE)
    np.exp(ratio, out=ratio)
    ratio += np.float32(1.0)
    turn = np.subtract(source.angle, fused.angle, out=stronger)
    np.abs(turn, out=turn)
    turn *= np.float32(ANGLE_SLOPE * -2.0 / math.pi)
    turn += np.float32(ANGLE_SLOPE * (1.0 - ANGLE_MIDDLE))
    np.exp(turn, out=turn)
    turn += np.float32(1.0)
    ratio *= turn
    return np.divide(np.float32(STRENGTH_GAIN * ANGLE_GAIN), ratio, out=ratio)  # type: ignore[no-any-return]


def edges_kept(
    sources: Sequence[EdgeImage], fused: Sequence[EdgeImage], rows: slice, equal_strength: float | None = None
) -> Iterator[tuple[int, Map, Map]]:
    """Edge strength of every source that every fused image keeps, and that was there, in some rows.

    Args:
        sources: both.
        fused: images of the same size.
        rows: of the image.
        equal_strength: see `edge_preservation`.

    Yields:
        Number of the fused image, strength kept and there, (h, W) each in scratch memory.
    """
    references = [source.at(rows, str(index)) for index, source in enumerate(sources)]
    for number, image in enumerate(fused):
        edges = image.at(rows, "fused")
        for reference in references:
            weighted = edge_preservation(reference, edges, equal_strength)
            weighted *= reference.strength
            yield number, weighted, reference.strength


def qabf(kept: float, there: float) -> float:
    """Qabf of whole images, 0 to 0.975 (an identical image does not reach 1); 0 where no source has an edge."""
    return kept / there if there > 0 else 0.0


class EdgePreservation:
    """Qabf of fused images for two sources.

    Args:
        sources: (H, W) uint8 each.
        equal_strength: see `edge_preservation`.
    """

    def __init__(self, sources: Sequence[NDArray[np.uint8]], equal_strength: float | None = None) -> None:
        self._rows = strips(sources[0].shape)
        self._equal_strength = equal_strength
        self._sources = [EdgeImage(source) for source in sources]

    def jobs(self, fused: Sequence[NDArray[np.uint8]]) -> list[Callable[[], Sums]]:
        """Jobs whose results, in their order, `values` takes."""
        images = [EdgeImage(image) for image in fused]
        return [partial(self._sums, images, runs) for runs in parts(self._rows)]

    def _sums(self, fused: Sequence[EdgeImage], runs: Sequence[slice]) -> Sums:
        sums = np.zeros((len(runs), len(fused), 2))
        for of_rows, rows in zip(sums, runs, strict=True):
            for number, kept, there in edges_kept(self._sources, fused, rows, self._equal_strength):
                # Few rows may be added in single precision; many may not.
                of_rows[number] += [edges.sum(axis=0).sum(dtype=np.float64) for edges in (kept, there)]
        return sums

    def values(self, results: Sequence[Sums]) -> list[float]:
        """Qabf of each fused image."""
        return [qabf(float(kept), float(there)) for kept, there in total(results)]
