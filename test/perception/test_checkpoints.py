"""A user's own `.pt` drops in; one that would run code does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fusion_ros.errors import InputError
from fusion_ros.perception import Detector, DetectorConfig
from fusion_ros.perception.ultralytics_environment import import_ultralytics


class Trap:
    """Unpickles into a call that leaves a file behind."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("network", ["yolo11n", "yolo26n"])
def test_a_checkpoint_of_ultralytics_drops_in(tmp_path: Path, network: str) -> None:
    path = tmp_path / "own.pt"
    import_ultralytics().YOLO(f"{network}.yaml").save(str(path))
    detector = Detector(DetectorConfig(weights=str(path), input_size=64, device="cpu"))
    assert (detector.backend, detector.device) == ("torch", "cpu")
    assert len(detector.class_names) == 80  # COCO's, which the description of the network starts with
    assert len(detector.detect(np.zeros((48, 64, 3), np.uint8))) == 0


def test_a_pickle_that_runs_code_is_refused(tmp_path: Path) -> None:
    import torch

    mark, path = tmp_path / "mark", tmp_path / "trap.pt"
    torch.save({"model": Trap(mark), "ema": None}, path)
    with pytest.raises(InputError, match=r"trap.pt cannot be loaded"):
        Detector(DetectorConfig(weights=str(path)))
    assert not mark.exists()
