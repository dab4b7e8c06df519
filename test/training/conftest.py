"""A small folder of pairs, so that training tests need no data of others."""

from __future__ import annotations

import cv2
import numpy as np
import pytest


@pytest.fixture
def pairs_folder(tmp_path):
    """`data/set/{vi,ir}` with ten smooth pairs: 48x64, the visible images twice that size."""
    random = np.random.default_rng(0)
    for part, size in (("vi", (128, 96)), ("ir", (64, 48))):
        folder = tmp_path / "data" / "set" / part
        folder.mkdir(parents=True)
        for number in range(10):
            small = random.integers(0, 256, (6, 8, 3) if part == "vi" else (6, 8), dtype=np.uint8)
            cv2.imwrite(str(folder / f"{number:02}.png"), cv2.resize(small, size, interpolation=cv2.INTER_CUBIC))
    return tmp_path / "data"
