"""Small recordings of a scene that moves."""

from __future__ import annotations

import numpy as np

from fusion_ros.bags.writer import BagWriter
from fusion_ros.types import Frame

HEIGHT, WIDTH = 48, 64
START = 1_700_000_000_000_000_000
PERIOD = 100_000_000


def scene(index: int) -> tuple[np.ndarray, np.ndarray]:
    """RGB (H, W, 3) and thermal (H, W) uint8 of one moment; every third picture has a saturated corner."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    rng = np.random.default_rng(index)
    base = 110 + 60 * np.sin((columns + 3 * index) / 7) * np.cos(rows / 9)
    rgb = np.stack([base, base + 8, base - 8], axis=2) + rng.normal(0, 4, (HEIGHT, WIDTH, 3))
    if index % 3 == 2:
        rgb[:16, :20] = 255
    thermal = 100 + 70 * np.cos((rows + columns + 2 * index) / 11) + rng.normal(0, 3, (HEIGHT, WIDTH))
    return rgb.clip(0, 255).astype(np.uint8), thermal.clip(0, 255).astype(np.uint8)


def write_bag(path, frames=8, thermal_delay=10_000_000, raw_counts=False, rgb_topic="/rgb/image"):
    """RGB at 10 Hz and a thermal image after each; with `raw_counts` in 16 bit, so that gain control has a memory."""
    with BagWriter(path) as bag:
        for index in range(frames):
            rgb, thermal = scene(index)
            counts = thermal.astype(np.uint16) * 20 + 7000 + 90 * index
            stamp = START + index * PERIOD
            bag.write_image(rgb_topic, Frame(rgb, stamp))
            bag.write_image("/thermal/image", Frame(counts if raw_counts else thermal, stamp + thermal_delay))
    return path
