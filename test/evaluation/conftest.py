"""Recordings to evaluate, and models that cost nothing."""

from __future__ import annotations

from typing import ClassVar

import cv2
import numpy as np
import pytest
from recordings import scene, write_bag

from fusion_ros.evaluation import run
from fusion_ros.fusion import load_model
from fusion_ros.types import Detections, SegmentationMask


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


def make_loader():
    """Networks answer with the brighter of both images; the classical modes are the real ones."""

    class Brighter:
        def fuse(self, rgb, thermal):
            return cv2.max(rgb, cv2.merge([thermal] * 3))

        def warm_up(self, height, width):
            return 0.0

    def load(name, weights, device, backend, precision):
        return Brighter() if name in ("epofusion", "dfvo", "caf") else load_model(name, weights, device)

    return load


@pytest.fixture
def loader():
    """See `make_loader`."""
    return make_loader()


@pytest.fixture(scope="module")
def module_loader():
    """See `make_loader`."""
    return make_loader()


class FoundModels:
    """Stands for detector and segmenter on the report's pictures: a person everywhere, on a road."""

    def __init__(self, device):
        self.detector, self.segmenter = self, self

    class_names: ClassVar = {0: "person", 1: "bicycle", 2: "car"}

    def detect(self, bgr):
        box = np.array([[4, 4, 20, 40]], np.float32)
        return Detections(box, np.array([0.9], np.float32), np.array([0]), self.class_names)

    def segment(self, bgr):
        return SegmentationMask(np.ones(bgr.shape[:2], np.uint8), {0: "background", 1: "road"})


@pytest.fixture(scope="module")
def module_search():
    """Put `FoundModels` in place of the shipped ones where the report's pictures are searched."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "PerceptionModels", FoundModels)
        yield


@pytest.fixture(autouse=True)
def search(module_search):
    """The same for every test."""
