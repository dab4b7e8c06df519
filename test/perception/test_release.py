"""Shipping a detector: what is added to the models folder is tried, has a checksum, and is found by its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fusion_ros.cli import main
from fusion_ros.errors import InputError
from fusion_ros.perception import Detector, DetectorConfig, Segmenter, SegmenterConfig


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty models folder."""
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "manifest.yaml").write_text("models: {}\n")
    monkeypatch.setenv("FUSION_ROS_MODELS", str(folder))
    return folder


def add(name: str, path: Path, task: str) -> int:
    return main(["weights", "add", name, str(path), "--task", task, "--licence", "AGPL-3.0"])


def test_a_model_that_was_added_is_found_by_its_name_and_as_the_default(
    models: Path, make_detector: Callable[..., Path]
) -> None:
    assert add("detector", make_detector(), "detection") == 0
    for weights in ("", "detector"):
        found = Detector(DetectorConfig(weights=weights)).detect(np.full((48, 64, 3), 255, np.uint8))
        assert len(found) == 2


def test_a_damaged_file_is_refused(models: Path, make_detector: Callable[..., Path]) -> None:
    assert add("detector", make_detector(), "detection") == 0
    path = models / "detector.onnx"
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(InputError, match=r"detector.onnx: sha256 .* the file is damaged or was changed"):
        Detector()
    path.unlink()
    with pytest.raises(InputError, match=r"detector.onnx: is missing"):
        Detector()


def test_a_model_of_another_task_is_neither_added_nor_taken(
    models: Path, make_detector: Callable[..., Path], make_segmenter: Callable[..., Path]
) -> None:
    before = (models / "manifest.yaml").read_text()
    assert add("detector", make_segmenter(), "detection") == 2
    assert (models / "manifest.yaml").read_text() == before
    assert not (models / "detector.onnx").exists()
    assert add("detector", make_detector(), "detection") == 0
    with pytest.raises(InputError, match="'detector' is a model for detection, not for segmentation"):
        Segmenter(SegmenterConfig(weights="detector"))
    assert add("detector", make_segmenter(), "segmentation") == 2


def test_a_name_that_is_not_shipped_is_refused_with_those_that_are(
    models: Path, make_detector: Callable[..., Path]
) -> None:
    with pytest.raises(InputError, match=r"'detector' is neither a file nor a detection model .*none"):
        Detector()
    add("night", make_detector(), "detection")
    with pytest.raises(InputError, match=r"'day' is neither a file nor a detection model .*night"):
        Detector(DetectorConfig(weights="day"))
