"""Gives every pixel of an image a class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusion_ros.configuration import setting, validate
from fusion_ros.perception.drawing import PALETTES
from fusion_ros.perception.model_files import find_model_file
from fusion_ros.perception.model_settings import (
    backend_setting,
    device_setting,
    input_size_setting,
    weights_setting,
)
from fusion_ros.perception.yolo import WARM_UP_SHAPE, RunsYolo, YoloModel
from fusion_ros.types import SegmentationMask

SHIPPED_SEGMENTER = "segmenter"


@dataclass(frozen=True)
class SegmenterConfig:
    """How pixels are given their classes.

    Raises:
        InputError: a value out of range.
    """

    weights: str = weights_setting("segmenter")
    device: str = device_setting()
    backend: str = backend_setting()
    input_size: int = input_size_setting()
    palette: str = setting("contrast", "colours of the overlay", choices=tuple(PALETTES))

    def __post_init__(self) -> None:
        validate(self)


class Segmenter(RunsYolo):
    """A segmenter ready to run. Use it from one thread at a time.

    Args:
        config: what to load.

    Raises:
        InputError: the weights or the device cannot be used.
    """

    def __init__(self, config: SegmenterConfig | None = None) -> None:
        self.config = SegmenterConfig() if config is None else config
        path = find_model_file(self.config.weights, "segmentation", SHIPPED_SEGMENTER)
        self._model = YoloModel(path, "semantic", self.config.device, self.config.backend, self.config.input_size)

    def segment(self, bgr: NDArray[np.uint8]) -> SegmentationMask:
        """Classify every pixel.

        Args:
            bgr: (H, W, 3) uint8 BGR, any size; it is shrunk with its aspect ratio kept.

        Returns:
            The class of every pixel of `bgr`, on its own grid.

        Raises:
            InputError: for another shape or dtype.
        """
        mask = self._model.predict(bgr).semantic_mask.cpu().numpy()
        class_id = np.ascontiguousarray(mask.data, np.uint8).reshape(bgr.shape[:2])
        return SegmentationMask(class_id=class_id, class_names=self.class_names)

    def warm_up(self, height: int = WARM_UP_SHAPE[0], width: int = WARM_UP_SHAPE[1]) -> None:
        """Run once on an empty image of the size to come, so that the first real one is not slow."""
        self.segment(np.zeros((height, width, 3), np.uint8))
