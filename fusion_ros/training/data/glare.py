"""Glare that was not there: over-exposed light spots on objects, with masks of what they hide (EPOFusion III-D)."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fusion_ros.configuration import setting
from fusion_ros.errors import InputError
from fusion_ros.fusion.color import luminance
from fusion_ros.training.data.salience import boxes_of, salient_infrared

# Chroma of a low sun or a halogen lamp relative to its green, in BGR.
_YELLOWISH = (0.62, 0.95, 1.0)
# A scene without objects gets its spot somewhere in the middle, where a driver looks.
_MIDDLE = (0.2, 0.8)


@dataclass(frozen=True)
class GlareConfig:
    """How glare is drawn. Intensities are the paper's; sizes are ours, the paper gives none."""

    weakest: float = setting(1.0, "lowest peak of a spot, as a share of full scale", minimum=0.1, maximum=4.0)
    strongest: float = setting(1.6, "highest peak of a spot, as a share of full scale", minimum=0.1, maximum=4.0)
    spots: int = setting(2, "at most so many spots on an image, at least one", minimum=1, maximum=16)
    smallest: float = setting(
        0.06, "smallest sigma of a spot, as a share of the short side", minimum=0.005, maximum=1.0
    )
    largest: float = setting(0.22, "largest sigma of a spot, as a share of the short side", minimum=0.005, maximum=1.0)
    yellowish: float = setting(0.5, "share of spots that are yellowish instead of white", minimum=0.0, maximum=1.0)
    veil: float = setting(0.3, "share of images with a glow over the whole of them besides", minimum=0.0, maximum=1.0)
    veil_strength: float = setting(0.35, "highest peak of that glow", minimum=0.0, maximum=1.0)
    saturated: int = setting(250, "luminance from which a pixel counts as over-exposed", minimum=1, maximum=255)


@dataclass(frozen=True)
class GlaredPair:
    """An image with glare.

    Attributes:
        visible: (H, W, 3) uint8 BGR with glare.
        overexposed: (H, W) bool, luminance at the saturation level or more.
        hidden: (H, W) bool, salient infrared objects inside the over-exposed regions.
        centres: (N, 2) float32, x and y of the spots in pixels.
    """

    visible: NDArray[np.uint8]
    overexposed: NDArray[np.bool_]
    hidden: NDArray[np.bool_]
    centres: NDArray[np.float32]


def add_glare(
    visible: NDArray[np.uint8],
    infrared: NDArray[np.uint8],
    random: np.random.Generator,
    config: GlareConfig | None = None,
    boxes: NDArray[np.float32] | None = None,
    salient: NDArray[np.bool_] | None = None,
) -> GlaredPair:
    """Put glare on an image.

    Args:
        visible: (H, W, 3) uint8 BGR.
        infrared: (H, W) uint8 on the same grid.
        random: decides everything that is left open; the same state gives the same image.
        config: sizes and strengths.
        boxes: (N, 4) x1 y1 x2 y2 of objects to dazzle; None takes the salient ones.
        salient: (H, W) bool, pixels of salient infrared objects; None finds them by threshold and contour.

    Raises:
        InputError: where the two images differ in size.
    """
    config = config or GlareConfig()
    if visible.shape[:2] != infrared.shape:
        raise InputError(f"glare: visible {visible.shape[:2]} and infrared {infrared.shape} differ in size")
    if salient is None:
        salient = salient_infrared(infrared)
    if boxes is None:
        boxes = boxes_of(salient)
    height, width = infrared.shape
    centres = _centres(boxes, height, width, int(random.integers(1, config.spots + 1)), random)
    light = np.zeros((height, width, 3), np.float32)
    for centre in centres:
        sigma = min(height, width) * _between(random, config.smallest, config.largest)
        spread = (sigma * random.uniform(0.8, 1.25), sigma * random.uniform(0.8, 1.25))
        peak = _between(random, config.weakest, config.strongest)
        tint = _YELLOWISH if random.random() < config.yellowish else (1.0, 1.0, 1.0)
        light += _gaussian(height, width, centre, spread)[..., None] * np.float32(255 * peak) * np.float32(tint)
    if random.random() < config.veil:
        wide = max(height, width) * random.uniform(0.5, 1.0)
        glow = _gaussian(height, width, centres[0], (wide, wide))
        light += glow[..., None] * np.float32(255 * random.uniform(0.05, max(0.05, config.veil_strength)))
    glared = np.clip(np.rint(visible + light), 0, 255).astype(np.uint8)
    overexposed = np.asarray(np.rint(255 * luminance(glared)) >= config.saturated)
    return GlaredPair(glared, overexposed, overexposed & salient, centres)


def _between(random: np.random.Generator, low: float, high: float) -> float:
    return float(random.uniform(low, max(low, high)))


def _centres(
    boxes: NDArray[np.float32], height: int, width: int, count: int, random: np.random.Generator
) -> NDArray[np.float32]:
    if not len(boxes):
        shares = random.uniform(*_MIDDLE, size=(count, 2))
        return np.asarray(shares * (width, height), np.float32)
    chosen = boxes[random.permutation(len(boxes))[:count]]
    return np.stack([chosen[:, [0, 2]].mean(axis=1), chosen[:, [1, 3]].mean(axis=1)], axis=1).astype(np.float32)


def _gaussian(
    height: int, width: int, centre: NDArray[np.float32] | tuple[float, float], sigma: tuple[float, float]
) -> NDArray[np.float32]:
    """exp(-(x - cx)^2 / 2 sx^2 - (y - cy)^2 / 2 sy^2) as (H, W) float32; it is separable."""
    across = np.exp(-((np.arange(width) - centre[0]) ** 2) / (2 * sigma[0] ** 2))
    down = np.exp(-((np.arange(height) - centre[1]) ** 2) / (2 * sigma[1] ** 2))
    return np.asarray(cv2.gemm(down[:, None], across[None], 1.0, None, 0.0), np.float32)
