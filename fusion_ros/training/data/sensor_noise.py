"""Fresh noise on what a network sees, so that it learns not to pass it on: fused video shimmers otherwise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LARGEST_DEVIATION = 1.5 / 255


def with_sensor_noise(image: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.float32]:
    """Gaussian noise of a random strength, up to a grey level and a half, on (H, W) float32 in [0, 1]."""
    deviation = np.float32(random.uniform(0.0, LARGEST_DEVIATION))
    noise = random.standard_normal(image.shape, dtype=np.float32)
    return np.clip(image + deviation * noise, 0.0, 1.0, dtype=np.float32)
