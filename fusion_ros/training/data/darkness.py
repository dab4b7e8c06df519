"""Night made from day: less light, what the camera makes of it, and its noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusion_ros.configuration import setting

# Camera images are sRGB; light adds and noise arises in linear intensity.
_GAMMA = 2.2
_GREY_LEVELS = 255.0


@dataclass(frozen=True)
class DarknessConfig:
    """How an image is darkened."""

    weakest: float = setting(1.0, "least exposure taken away", unit="stops", minimum=0.0, maximum=10.0)
    strongest: float = setting(4.5, "most exposure taken away", unit="stops", minimum=0.0, maximum=10.0)
    gamma_spread: float = setting(0.25, "the camera's gamma is off by up to this share", minimum=0.0, maximum=0.9)
    shot_noise: float = setting(
        0.012, "standard deviation of photon noise at full scale, linear; grows with the root of light", minimum=0.0
    )
    read_noise: float = setting(0.002, "standard deviation of read noise, linear, share of full scale", minimum=0.0)
    colour_cast: float = setting(0.15, "largest change of a channel's gain, as a share", minimum=0.0, maximum=0.9)


def darken(
    visible: NDArray[np.uint8], random: np.random.Generator, config: DarknessConfig | None = None
) -> NDArray[np.uint8]:
    """Darken an image.

    Light is taken away in linear intensity, where photon noise (standard deviation with the root of the light) and read
    noise are added and the channels are unbalanced; then the camera's tone curve is applied again.

    Args:
        visible: (H, W, 3) uint8 BGR.
        random: decides amount, cast and noise; the same state gives the same image.
        config: limits.

    Returns:
        (H, W, 3) uint8 BGR.
    """
    config = config or DarknessConfig()
    stops = random.uniform(config.weakest, max(config.weakest, config.strongest))
    cast = 1.0 + config.colour_cast * random.uniform(-1.0, 1.0, size=3)
    gamma = _GAMMA * (1.0 + config.gamma_spread * random.uniform(-1.0, 1.0))
    linear = (np.arange(256, dtype=np.float32) / _GREY_LEVELS) ** _GAMMA * np.float32(2.0**-stops)
    light = linear[visible] * cast.astype(np.float32)
    deviation = np.sqrt(config.shot_noise**2 * light + config.read_noise**2)
    light += deviation * random.standard_normal(visible.shape, dtype=np.float32)
    np.clip(light, 0.0, 1.0, out=light)
    return np.rint(_GREY_LEVELS * light ** np.float32(1.0 / gamma)).astype(np.uint8)
