"""Turns one aligned pair into the many pictures that a detector may be shown.

A vehicle's fusion mode changes while it drives, so that the detector has to know visible, thermal and fused pictures
alike, in good light, in glare and in darkness.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fusion_ros.configuration import setting

INPUTS = ("rgb", "thermal", "average", "maximum")


@dataclass(frozen=True)
class SensorMixConfig:
    """How often each kind of picture is drawn in training."""

    inputs: tuple[float, ...] = setting(
        (0.25, 0.3, 0.3, 0.15), "how often rgb, thermal, average and maximum are drawn", length=4
    )
    glare: float = setting(0.1, "share of pictures with a glare spot on the visible image", minimum=0.0, maximum=1.0)
    darkness: float = setting(0.15, "share of pictures with a darkened visible image", minimum=0.0, maximum=1.0)
    inverted: float = setting(0.0, "share of pictures with hot shown dark", minimum=0.0, maximum=1.0)


def mix(visible: NDArray[np.uint8], infrared: NDArray[np.uint8], kind: str, weight: float = 0.5) -> NDArray[np.uint8]:
    """Make the picture `kind` of a pair.

    Args:
        visible: (H, W, 3) uint8 BGR.
        infrared: (H, W) uint8.
        kind: `rgb`; `thermal` (three equal channels); `average` (luminance `weight * Y + (1 - weight) * thermal`, with
            the visible image's chroma); `maximum` (the larger of both luminances, with chroma).
        weight: share of the visible luminance, 0 to 1, for `average`.

    Returns:
        (H, W, 3) uint8 BGR, a new array.
    """
    if kind == "rgb":
        return visible.copy()
    if kind == "thermal":
        return cv2.cvtColor(infrared, cv2.COLOR_GRAY2BGR)
    ycrcb = cv2.cvtColor(visible, cv2.COLOR_BGR2YCrCb)
    luminance = ycrcb[:, :, 0]
    if kind == "average":
        fused = cv2.addWeighted(luminance, weight, infrared, 1.0 - weight, 0.0)
    elif kind == "maximum":
        fused = np.maximum(luminance, infrared)
    else:
        raise ValueError(f"kind: '{kind}' is not one of {', '.join(INPUTS)}")
    ycrcb[:, :, 0] = fused
    return cv2.cvtColor(ycrcb, cv2.COLOR_YCrCb2BGR)


def random_mix(
    visible: NDArray[np.uint8], infrared: NDArray[np.uint8], config: SensorMixConfig, random: np.random.Generator
) -> NDArray[np.uint8]:
    """Draw one picture of a pair: the light on the visible image first, then the kind of picture; see `mix`."""
    draw = random.random()
    if draw < config.glare:
        visible = add_glare(visible, random)
    elif draw < config.glare + config.darkness:
        visible = darken(visible, random)
    probabilities = np.asarray(config.inputs) / sum(config.inputs)
    kind = INPUTS[int(random.choice(len(INPUTS), p=probabilities))]
    if random.random() < config.inverted:
        infrared = 255 - infrared
    return mix(visible, infrared, kind, weight=float(random.uniform(0.25, 0.75)))


def add_glare(visible: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
    """Add a white, Gaussian spot of light somewhere in the image; (H, W, 3) uint8 in and out."""
    height, width = visible.shape[:2]
    centre_x, centre_y = random.uniform(0, width), random.uniform(0, height)
    radius = random.uniform(0.08, 0.35) * max(height, width)
    across = np.exp(-((np.arange(width) - centre_x) ** 2) / (2 * radius**2))
    down = np.exp(-((np.arange(height) - centre_y) ** 2) / (2 * radius**2))
    light = (random.uniform(150, 400) * np.outer(down, across)).astype(np.float32)
    return np.clip(visible.astype(np.float32) + light[:, :, None], 0, 255).astype(np.uint8)


def darken(visible: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
    """Take light away and leave the noise of a sensor at high gain; (H, W, 3) uint8 in and out."""
    gain = random.uniform(0.05, 0.5)
    noise = random.normal(0.0, random.uniform(1.0, 8.0), visible.shape).astype(np.float32)
    return np.clip(visible.astype(np.float32) * gain + noise, 0, 255).astype(np.uint8)
