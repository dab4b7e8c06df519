"""The same pairs in other light: as they are, with glare on the objects, and darkened."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

from fusion_ros.errors import InputError
from fusion_ros.training.data.darkness import DarknessConfig, darken
from fusion_ros.training.data.glare import GlareConfig, add_glare

NORMAL, GLARE, DARK = "normal", "glare", "dark"
CONDITIONS = (NORMAL, GLARE, DARK)
# Light of a moonless road: what a camera still shows is little, and noisy.
_DARKNESS = DarknessConfig(weakest=3.0, strongest=4.5)


def parse_conditions(text: str) -> list[str]:
    """Conditions separated by commas, in the order given.

    Raises:
        InputError: an unknown one, or none.
    """
    names = list(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
    unknown = [name for name in names if name not in CONDITIONS]
    if unknown or not names:
        raise InputError(f"conditions: '{text}' is not a list of {', '.join(CONDITIONS)}")
    return names


def in_light(
    condition: str,
    name: str,
    visible: NDArray[np.uint8],
    infrared: NDArray[np.uint8],
    boxes: NDArray[np.float32],
    seed: int = 0,
) -> NDArray[np.uint8]:
    """The visible image of a pair in another light; the infrared image does not change with it.

    Glare is over-exposed Gaussian light on one or two of the objects, as EPOFusion's authors made it for their
    detection set (M3FD with glare); darkness takes 3 to 4.5 stops of exposure and adds the camera's noise.

    Args:
        condition: one of `CONDITIONS`.
        name: of the pair: with `seed` it decides where and how strong.
        visible: (H, W, 3) uint8 BGR.
        infrared: (H, W) uint8.
        boxes: (N, 4) the labelled objects; where there are none, glare goes to warm places.
        seed: another one gives other light.
    """
    random = np.random.default_rng((seed, zlib.crc32(name.encode()), CONDITIONS.index(condition)))
    if condition == GLARE:
        return add_glare(visible, infrared, random, GlareConfig(), boxes if len(boxes) else None).visible
    if condition == DARK:
        return darken(visible, random, _DARKNESS)
    return visible
