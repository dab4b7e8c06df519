"""Crops as other cameras would have taken them, so that a network does not learn the cameras of a few data sets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fusion_ros.configuration import setting

Image = NDArray[np.uint8]

GAMMAS = (0.5, 2.5)
BLACKEST, WHITEST = 60, 160
BLURS = (0.6, 1.6)


def _share(default: float, description: str) -> Any:
    return setting(default, f"share of crops {description}", minimum=0.0, maximum=1.0)


@dataclass(frozen=True)
class VariationConfig:
    """How often a crop is varied in each way; each source on its own unless said otherwise."""

    gamma: float = _share(0.3, "with a random gamma: a darker or brighter scene is as good a scene to fuse")
    contrast: float = _share(0.1, "whose blacks are lifted or whites lowered: haze, or a thermal range set too wide")
    blur: float = _share(0.1, "whose infrared is softened: thermal cameras have fewer pixels")
    polarity: float = _share(0.02, "whose infrared is negative: black-hot cameras")
    displacement: float = _share(0.05, "whose infrared is displaced by up to `farthest`: registration is never perfect")
    farthest: float = setting(1.2, "largest displacement along each axis", unit="pixels", minimum=0.0, maximum=16.0)


def vary(visible: Image, infrared: Image, random: np.random.Generator, config: VariationConfig) -> tuple[Image, Image]:
    """Vary a crop.

    Args:
        visible: (H, W, 3) uint8 BGR.
        infrared: (H, W) uint8.
        random: decides what is done; the same state gives the same crop.
        config: how often.
    """
    if random.random() < config.polarity:
        infrared = np.asarray(255 - infrared, np.uint8)
    if random.random() < config.displacement:
        infrared = _displaced(infrared, random.uniform(-config.farthest, config.farthest, size=2))
    if random.random() < config.blur:
        infrared = np.asarray(cv2.GaussianBlur(infrared, (0, 0), random.uniform(*BLURS)), np.uint8)
    visible, infrared = (_toned(image, random, config) for image in (visible, infrared))
    return visible, infrared


def _toned(image: Image, random: np.random.Generator, config: VariationConfig) -> Image:
    levels = np.arange(256) / 255
    if random.random() < config.gamma:
        levels = levels ** np.exp(random.uniform(*np.log(GAMMAS)))
    if random.random() < config.contrast:
        black, white = random.uniform(0, BLACKEST) / 255, random.uniform(WHITEST, 255) / 255
        levels = black + (white - black) * levels
    return np.asarray(cv2.LUT(image, np.rint(255 * levels).astype(np.uint8)), np.uint8)


def _displaced(image: Image, offset: NDArray[np.float64]) -> Image:
    matrix = np.array([[1.0, 0.0, offset[0]], [0.0, 1.0, offset[1]]])
    size = (image.shape[1], image.shape[0])
    moved = cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.uint8)
