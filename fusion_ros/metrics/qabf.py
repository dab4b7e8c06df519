"""Qabf: how much of the sources' edges, in strength and direction, the fused image keeps (Xydeas and Petrovic 2000)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

STRENGTH_GAIN, STRENGTH_SLOPE, STRENGTH_MIDDLE = 0.9994, -15.0, 0.5
ANGLE_GAIN, ANGLE_SLOPE, ANGLE_MIDDLE = 0.9879, -22.0, 0.8

Map = NDArray[np.float32]


@dataclass(frozen=True)
class Edges:
    """Sobel edges of an 8-bit image.

    Attributes:
        strength: (H, W) float32, 0 to 1443 grey levels. The root of a whole number below 2^24, so that two equal
            strengths are equal to the bit.
        angle: (H, W) float32, -pi/2 to pi/2, of the ascent from row to row over the descent along the row; pi/2 where
            the horizontal derivative is zero.
        total: sum of the strengths.
    """

    strength: Map
    angle: Map
    total: float


def sobel_edges(image: NDArray[np.uint8]) -> Edges:
    """Edges of (H, W) uint8; the world outside the image is black, as in all of the field's code."""
    across = cv2.Sobel(image, cv2.CV_32F, 1, 0, ksize=3, scale=-1.0, borderType=cv2.BORDER_CONSTANT)
    down = cv2.Sobel(image, cv2.CV_32F, 0, 1, ksize=3, borderType=cv2.BORDER_CONSTANT)
    strength = np.sqrt(across * across + down * down)
    upright = across == 0
    across[upright] = 1.0
    np.divide(down, across, out=down)
    angle = np.arctan(down, out=down)
    angle[upright] = math.pi / 2
    return Edges(strength, angle, float(strength.sum(dtype=np.float64)))


def edge_preservation(source: Edges, fused: Edges, equal_strength: float | None = None) -> Map:
    """Q at every pixel, 0 to 0.975: strength preservation times direction preservation.

    Args:
        source: edges of one source.
        fused: edges of the fused image.
        equal_strength: None: the strength ratio of two equal edges is 1. A number: it is the strength of the fused
            edge divided by that number, a slip of published code that matters on images scaled to [0, 1].
    """
    ratio = np.minimum(source.strength, fused.strength)
    stronger = np.maximum(source.strength, fused.strength)
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


def qabf(
    infrared: Edges,
    visible: Edges,
    fused: Edges,
    equal_strength: float | None = None,
    where: NDArray[np.bool_] | None = None,
) -> float:
    """Qabf, 0 to 0.975 (an identical image does not reach 1). 0 where no source has an edge.

    Args:
        infrared: edges of one source.
        visible: edges of the other.
        fused: edges of the fused image.
        equal_strength: see `edge_preservation`.
        where: (H, W) bool, the pixels that count; all of them by default.
    """
    kept = there_were = 0.0
    for source in (infrared, visible):
        weighted = edge_preservation(source, fused, equal_strength)
        weighted *= source.strength
        if where is None:
            kept += float(weighted.sum(dtype=np.float64))
            there_were += source.total
        else:
            kept += float(weighted[where].sum(dtype=np.float64))
            there_were += float(source.strength[where].sum(dtype=np.float64))
    return kept / there_were if there_were > 0 else 0.0
