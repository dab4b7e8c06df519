"""Recordings to evaluate, and models that cost nothing."""

from __future__ import annotations

import cv2
import pytest
from recordings import scene, write_bag

from fusion_ros.fusion import load_model


@pytest.fixture
def pairs_folder(tmp_path):
    folder = tmp_path / "pairs"
    for part in ("vi", "ir"):
        (folder / part).mkdir(parents=True)
    for index in range(4):
        rgb, thermal = scene(index)
        cv2.imwrite(str(folder / "vi" / f"{index:02d}.png"), rgb)
        cv2.imwrite(str(folder / "ir" / f"{index:02d}.png"), thermal)
    return folder


@pytest.fixture
def bag(tmp_path):
    return write_bag(tmp_path / "bag", raw_counts=True)


@pytest.fixture
def loader():
    """Networks answer with the brighter of both images; the classical modes are the real ones."""

    class Brighter:
        def fuse(self, rgb, thermal):
            return cv2.max(rgb, cv2.merge([thermal] * 3))

        def warm_up(self, height, width):
            return 0.0

    def load(name, weights, device, backend, precision):
        return Brighter() if name in ("epofusion", "dfvo", "caf") else load_model(name, weights, device)

    return load
