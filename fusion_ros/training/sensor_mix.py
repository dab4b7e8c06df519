"""Turns one aligned pair into the many pictures that a detector or a segmenter may be shown.

A vehicle's fusion mode changes while it drives, so that both have to know visible, thermal and fused pictures alike, in
good light, in glare and in darkness.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from fusion_ros.configuration import section, setting
from fusion_ros.errors import InputError
from fusion_ros.fusion import FusionModel, load_model
from fusion_ros.training.data.darkness import DarknessConfig, darken
from fusion_ros.training.data.glare import GlareConfig, add_glare

INPUTS = ("rgb", "thermal", "average", "maximum", "guided", "caf", "epofusion", "dfvo")
# What glare or darkness hides in the visible image alone cannot be learned from it; a little shows how it looks.
_LIGHT_ON_RGB_ALONE = 0.6


@dataclass(frozen=True)
class SensorMixConfig:
    """How often each kind of picture is drawn in training."""

    inputs: tuple[float, ...] = setting(
        (0.16, 0.12, 0.08, 0.04, 0.08, 0.18, 0.18, 0.16),
        "how often rgb, thermal, average, maximum, guided, caf, epofusion and dfvo are drawn",
        length=len(INPUTS),
    )
    glare_share: float = setting(
        0.25, "share of pictures with glare on the visible image before it is fused", minimum=0.0, maximum=1.0
    )
    darkness_share: float = setting(
        0.25, "share of pictures with a darkened visible image before it is fused", minimum=0.0, maximum=1.0
    )
    lifted: float = setting(
        0.5,
        "share of darkened images that a camera at high gain brightens again, with their noise and a cast of colour",
        minimum=0.0,
        maximum=1.0,
    )
    thermal_gamma: float = setting(
        0.7, "thermal contrast is bent by a gamma of up to e to this", minimum=0.0, maximum=2.0
    )
    inverted: float = setting(0.0, "share of pictures with hot shown dark", minimum=0.0, maximum=1.0)
    glare: GlareConfig = section(GlareConfig, "glare")
    darkness: DarknessConfig = section(DarknessConfig, "darkness")


def mix(visible: NDArray[np.uint8], infrared: NDArray[np.uint8], kind: str) -> NDArray[np.uint8]:
    """Make the picture `kind` of a pair, as the fusion node would.

    Args:
        visible: (H, W, 3) uint8 BGR.
        infrared: (H, W) uint8.
        kind: one of `INPUTS`: `maximum` is the larger of both luminances with the visible image's chroma, everything
            else what `load_model` knows by that name, with the shipped weights.

    Returns:
        (H, W, 3) uint8 BGR, a new array.

    Raises:
        InputError: the kind is not known, or it is a network without weights.
    """
    if kind not in INPUTS:
        raise InputError(f"input: '{kind}' is not one of {', '.join(INPUTS)}")
    return _model(kind).fuse(visible, infrared)


def random_mix(
    visible: NDArray[np.uint8],
    infrared: NDArray[np.uint8],
    config: SensorMixConfig,
    random: np.random.Generator,
    boxes: NDArray[np.float32] | None = None,
) -> NDArray[np.uint8]:
    """Draw one picture of a pair: the light on the visible image first, then the kind of picture; see `mix`.

    Args:
        visible: (H, W, 3) uint8 BGR.
        infrared: (H, W) uint8.
        config: how often what is drawn.
        random: decides.
        boxes: (N, 4) objects that glare is put on; None looks for warm ones.
    """
    probabilities = np.asarray(config.inputs) / sum(config.inputs)
    kind = INPUTS[int(random.choice(len(INPUTS), p=probabilities))]
    draw = random.random() / (_LIGHT_ON_RGB_ALONE if kind == "rgb" else 1.0)
    if draw < config.glare_share:
        visible = add_glare(visible, infrared, random, config.glare, boxes).visible
    elif draw < config.glare_share + config.darkness_share:
        visible = darken(visible, random, config.darkness)
        if random.random() < config.lifted:
            visible = _lifted(visible, random)
    infrared = _bent(infrared, float(random.uniform(-config.thermal_gamma, config.thermal_gamma)))
    if random.random() < config.inverted:
        infrared = 255 - infrared
    return mix(visible, infrared, kind)


def _lifted(visible: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
    """Night as a camera with automatic gain shows it: bright enough, noisy, and tinted by the lamps."""
    brightest = max(float(np.percentile(visible, 99.5)), 8.0)
    gains = random.uniform(0.5, 1.1) * random.uniform(0.75, 1.25, 3)
    levels = np.clip(np.arange(256)[:, None] / brightest * gains, 0, 1) ** random.uniform(0.5, 1.0)
    table = np.rint(255 * levels).astype(np.uint8).reshape(1, 256, 3)
    return np.asarray(cv2.LUT(visible, table), np.uint8)


def _bent(image: NDArray[np.uint8], logarithm: float) -> NDArray[np.uint8]:
    """What another gain control might have made of the same thermal image: (v / 255) ** e^logarithm."""
    table = np.rint(255 * (np.arange(256) / 255) ** np.exp(logarithm)).astype(np.uint8)
    return np.asarray(cv2.LUT(image, table), np.uint8)


@cache
def _model(kind: str) -> FusionModel:
    if kind == "maximum":
        return FusionModel(kind, np.maximum)
    return load_model(kind, device="cpu", threads=1)
