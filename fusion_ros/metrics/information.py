"""Entropy and mutual information of 8-bit images."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray


def _entropy_bits(counts: NDArray[np.float64]) -> float:
    total = counts.sum()
    if total == 0:
        return 0.0
    share = counts[counts > 0] / total
    return float(-(share * np.log2(share)).sum()) + 0.0


def entropy(image: NDArray[np.uint8]) -> float:
    """EN: Shannon entropy of the 256-bin histogram, in bits, 0 to 8.

    Args:
        image: (H, W) uint8, or any shape: only the values count.
    """
    return _entropy_bits(np.bincount(image.ravel(), minlength=256).astype(np.float64))


def mutual_information(source: NDArray[np.uint8], fused: NDArray[np.uint8], in_nats: bool = False) -> float:
    """I(source; fused) from the 256x256 joint histogram, in bits, or in nats.

    Args:
        source: (H, W) uint8.
        fused: (H, W) uint8, same shape.
    """
    if source.ndim == 2:
        # OpenCV counts in float32, exact up to 2^24 pixels in one bin.
        joint = cv2.calcHist([source, fused], [0, 1], None, [256, 256], [0, 256, 0, 256]).astype(np.float64)
    else:
        index = source.ravel().astype(np.int64) * 256 + fused.ravel()
        joint = np.bincount(index, minlength=65536).reshape(256, 256).astype(np.float64)
    bits = _entropy_bits(joint.sum(axis=1)) + _entropy_bits(joint.sum(axis=0)) - _entropy_bits(joint.ravel())
    return max(bits, 0.0) * (math.log(2.0) if in_nats else 1.0)
