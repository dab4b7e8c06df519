"""Gives every pixel of an image a class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusion_ros.configuration import setting, validate
from fusion_ros.perception.drawing import PALETTES
from fusion_ros.perception.model_files import BACKENDS, find_model_file
from fusion_ros.perception.yolo import WARM_UP_SHAPE, YoloModel
from fusion_ros.types import SegmentationMask

SHIPPED_SEGMENTER = "segmenter"


@dataclass(frozen=True)
class SegmenterConfig:
    """How pixels are given their classes.

    Raises:
        InputError: a value out of range.
    """

    weights: str = setting(
        "",
        "a .onnx, .pt or .engine file or a name from models/manifest.yaml; empty: the shipped segmenter. Of a .pt, "
        "which is a pickle, ultralytics' own layers are read and nothing else",
        runtime=False,
    )
    device: str = setting("auto", "auto, cpu, cuda or cuda:N", runtime=False)
    backend: str = setting(
        "auto", "what runs the model; each file format has one, auto takes it", choices=BACKENDS, runtime=False
    )
    input_size: int = setting(
        0,
        "longer side of the network's input, a multiple of 32; 0: the model's own",
        unit="pixels",
        minimum=0,
        maximum=4096,
        runtime=False,
    )
    palette: str = setting("contrast", "colours of the overlay", choices=tuple(PALETTES))

    def __post_init__(self) -> None:
        validate(self)


class Segmenter:
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

    @property
    def class_names(self) -> Mapping[int, str]:
        """Name of every class the model knows."""
        return self._model.class_names

    @property
    def device(self) -> str:
        """Where it runs: `cpu` or `cuda:N`."""
        return self._model.device

    @property
    def backend(self) -> str:
        """What runs it: `onnx`, `torch` or `tensorrt`."""
        return self._model.backend

    @property
    def input_size(self) -> int:
        """Longer side of the network's input, pixels."""
        return self._model.input_size

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
