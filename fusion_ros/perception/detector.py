"""Finds objects in one image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusion_ros.configuration import setting, validate
from fusion_ros.errors import InputError
from fusion_ros.perception.model_files import find_model_file
from fusion_ros.perception.model_settings import (
    backend_setting,
    device_setting,
    input_size_setting,
    weights_setting,
)
from fusion_ros.perception.yolo import WARM_UP_SHAPE, RunsYolo, YoloModel
from fusion_ros.types import Detections

SHIPPED_DETECTOR = "detector"


@dataclass(frozen=True)
class DetectorConfig:
    """How objects are looked for.

    Raises:
        InputError: a value out of range.
    """

    weights: str = weights_setting("detector")
    device: str = device_setting()
    backend: str = backend_setting()
    confidence: float = setting(0.25, "boxes below this confidence are left out", minimum=0.0, maximum=1.0)
    iou: float = setting(
        0.5, "of two boxes of one class that overlap more, the weaker is left out", minimum=0.0, maximum=1.0
    )
    classes: str = setting("", "names of the classes to look for, separated by commas; empty: all")
    max_detections: int = setting(100, "at most so many boxes, the strongest", minimum=1, maximum=1000)
    input_size: int = input_size_setting()

    def __post_init__(self) -> None:
        validate(self)


class Detector(RunsYolo):
    """A detector ready to run. Use it from one thread at a time.

    Args:
        config: what to load and how to use it.

    Raises:
        InputError: the weights, the device or a class name cannot be used.
    """

    def __init__(self, config: DetectorConfig | None = None) -> None:
        config = DetectorConfig() if config is None else config
        path = find_model_file(config.weights, "detection", SHIPPED_DETECTOR)
        self._model = YoloModel(path, "detect", config.device, config.backend, config.input_size)
        self.configure(config)

    def configure(self, config: DetectorConfig) -> None:
        """Take confidence, iou, classes and max_detections from `config` for the next image.

        Raises:
            InputError: a class that the model does not know; everything stays as it was.
        """
        wanted = _class_ids(config.classes, self.class_names)
        self._options = {
            "conf": config.confidence,
            "iou": config.iou,
            "max_det": config.max_detections,
            "classes": wanted or None,
        }
        self.config = config

    def detect(self, bgr: NDArray[np.uint8]) -> Detections:
        """Find objects.

        Args:
            bgr: (H, W, 3) uint8 BGR, any size; it is shrunk with its aspect ratio kept.

        Returns:
            Boxes in pixels of `bgr`, strongest first; none where there is nothing.

        Raises:
            InputError: for another shape or dtype.
        """
        found = self._model.predict(bgr, **self._options).boxes.cpu().numpy()
        return Detections(
            xyxy=np.asarray(found.xyxy, np.float32).reshape(-1, 4),
            confidence=np.asarray(found.conf, np.float32),
            class_id=np.asarray(found.cls, np.int64),
            class_names=self.class_names,
        )

    def warm_up(self, height: int = WARM_UP_SHAPE[0], width: int = WARM_UP_SHAPE[1]) -> None:
        """Run once on an empty image of the size to come, so that the first real one is not slow."""
        self.detect(np.zeros((height, width, 3), np.uint8))


def _class_ids(names: str, known: Mapping[int, str]) -> list[int]:
    ids = {name: index for index, name in known.items()}
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    for name in wanted:
        if name not in ids:
            raise InputError(f"classes: '{name}' is not a class of this detector ({', '.join(known.values())})")
    return [ids[name] for name in wanted]
