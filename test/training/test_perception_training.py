"""Training the detector and the segmenter from labels to a file that the nodes load; tiny, on the real trainer."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from fusion_ros.configuration import configure
from fusion_ros.errors import InputError
from fusion_ros.perception import Detector, DetectorConfig, Segmenter, SegmenterConfig
from fusion_ros.perception.ultralytics_environment import import_ultralytics
from fusion_ros.training import detector, segmenter
from fusion_ros.training.data.labelled_pairs import LabelledPair, read_labelled_pairs
from fusion_ros.training.perception_task import check_device
from fusion_ros.training.sensor_mix import INPUTS

TINY = {"threads": 1, "epochs": 1, "batch": 4, "views": 1, "crop": 64, "image_size": 96, "simulation.drives": 0}


@pytest.fixture(scope="module")
def labelled_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten pairs with a bright square, labelled as a car."""
    folder = tmp_path_factory.mktemp("labelled")
    random = np.random.default_rng(0)
    images, annotations = [], []
    for number in range(10):
        left, top = (int(value) for value in random.integers(0, 40, 2))
        infrared = random.integers(0, 60, (72, 96)).astype(np.uint8)
        infrared[top : top + 24, left : left + 30] = 230
        for sensor, image in (("ir", infrared), ("vi", cv2.merge([infrared] * 3))):
            (folder / sensor).mkdir(exist_ok=True)
            cv2.imwrite(str(folder / sensor / f"{number}.png"), image)
        images.append({"id": number, "file_name": f"{number}.png"})
        annotations.append({"id": number, "image_id": number, "category_id": 3, "bbox": [left, top, 30, 24]})
    categories = [{"id": 3, "name": "car"}]
    labels = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "labels.coco.json").write_text(json.dumps(labels))
    return folder


def test_detector_training_ends_in_a_file_that_the_detector_loads(labelled_set: Path, tmp_path: Path) -> None:
    config = configure(detector.Config, {**TINY, "data.folder": str(labelled_set)})
    result = detector.train(config, tmp_path / "run", resume=False)
    assert result.finished
    assert result.weights == tmp_path / "run" / "detector.onnx"
    assert set(result.metrics) == {f"mAP50 {kind}" for kind in INPUTS}
    assert all(0.0 <= value <= 1.0 for value in result.metrics.values())
    loaded = Detector(DetectorConfig(weights=str(result.weights)))
    assert list(loaded.class_names.values()) == ["person", "bicycle", "car"]
    assert loaded.input_size == 96
    # Weights are stored in half precision: 2.6 million parameters of 2 bytes.
    assert result.weights.stat().st_size < 6_000_000
    assert result.step == 2  # 8 pairs in batches of 4
    with pytest.raises(InputError, match="cannot be resumed"):
        detector.train(config, tmp_path / "run", resume=True)
    with pytest.raises(InputError, match="holds a run already"):
        detector.train(config, tmp_path / "run", resume=False)


def test_segmenter_training_ends_in_a_file_that_the_segmenter_loads(labelled_set: Path, tmp_path: Path) -> None:
    config = configure(segmenter.Config, {**TINY, "data.folder": str(labelled_set)})
    result = segmenter.train(config, tmp_path / "run", resume=False)
    loaded = Segmenter(SegmenterConfig(weights=str(result.weights)))
    assert list(loaded.class_names.values()) == ["background", "road", "person", "bicycle", "vehicle"]
    assert loaded.segment(np.zeros((50, 90, 3), np.uint8)).class_id.shape == (50, 90)
    assert set(result.metrics) == {f"mIoU {kind}" for kind in INPUTS}


def test_training_starts_from_the_weights_of_a_checkpoint(labelled_set: Path, tmp_path: Path) -> None:
    """A .pt made here stands for one trained on COCO, such as yolo11n.pt: other classes, so that the head is new."""
    ultralytics = import_ultralytics()
    source = ultralytics.YOLO("yolo11n.yaml")
    source.save(str(tmp_path / "coco.pt"))
    settings = {**TINY, "data.folder": str(labelled_set), "init": str(tmp_path / "coco.pt"), "learning_rate": 1e-6}
    pairs = read_labelled_pairs(labelled_set, "training", longer_side=96)[:4]
    config = configure(detector.Config, settings)
    checkpoint = detector.fit(pairs, [], pairs, tmp_path / "run", config)
    trained = ultralytics.YOLO(str(checkpoint)).model.float().state_dict()
    first = source.model.float().state_dict()
    same = [name for name in first if name.endswith("conv.weight") and first[name].shape == trained[name].shape]
    assert len(same) > 50
    # Two steps of at most 1e-6, and what is left after storing in half precision.
    for name in same:
        assert (first[name] - trained[name]).abs().max() < 1e-2 * first[name].abs().max(), name


def test_a_checkpoint_brings_its_own_network(labelled_set: Path, tmp_path: Path) -> None:
    """YOLO26's weights are taken over by YOLO26, not by as much of the default YOLO11 as they happen to fit."""
    ultralytics = import_ultralytics()
    source = ultralytics.YOLO("yolo26n.yaml")
    source.save(str(tmp_path / "yolo26n.pt"))
    settings = {**TINY, "data.folder": str(labelled_set), "init": str(tmp_path / "yolo26n.pt"), "learning_rate": 1e-6}
    pairs = read_labelled_pairs(labelled_set, "training", longer_side=96)[:4]
    checkpoint = detector.fit(pairs, [], pairs, tmp_path / "run", configure(detector.Config, settings))
    trained = ultralytics.YOLO(str(checkpoint)).model.float().state_dict()
    first = source.model.float().state_dict()
    assert trained.keys() == first.keys()
    # Only what ends in the classes is new: 3 instead of 80 of them.
    other = [name for name in first if first[name].shape != trained[name].shape]
    assert all(".cv3." in name or ".one2one_cv3." in name for name in other), other
    for name in set(first) - set(other):
        if name.endswith("conv.weight"):
            assert (first[name] - trained[name]).abs().max() < 1e-2 * first[name].abs().max(), name


class _CutOff(Exception):
    """Stands for the end of a machine's time."""


def test_resumed_training_does_not_draw_its_first_crops_again(
    labelled_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_ultralytics()
    from fusion_ros.training.detector_trainer import PairDataset

    pairs = read_labelled_pairs(labelled_set, "training", longer_side=96)[:4]
    config = configure(detector.Config, {**TINY, "data.folder": str(labelled_set), "epochs": 3, "views": 3})
    drawn: list[bytes] = []
    draw = PairDataset._draw

    def recorded(self: PairDataset, pair: LabelledPair) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        if len(drawn) == 24:
            raise _CutOff
        picture, xyxy, class_id = draw(self, pair)
        drawn.append(picture.tobytes())
        return picture, xyxy, class_id

    monkeypatch.setattr(PairDataset, "_draw", recorded)
    with pytest.raises(_CutOff):
        detector.fit(pairs, [], pairs, tmp_path / "run", config)
    before, drawn[:] = set(drawn), []
    detector.fit(pairs, [], pairs, tmp_path / "run", config, resume=True)
    assert len(before) == 24  # two epochs of 4 pairs, 3 views each
    assert len(drawn) == 12
    assert not before & set(drawn)


@pytest.mark.parametrize(("module", "network"), [(detector, "yolo26n-sem.yaml"), (segmenter, "yolo11n-seg.yaml")])
def test_a_checkpoint_of_another_task_needs_a_network_beside_it(
    module: object, network: str, labelled_set: Path, tmp_path: Path
) -> None:
    import_ultralytics().YOLO(network).save(str(tmp_path / "other.pt"))
    settings = {**TINY, "data.folder": str(labelled_set), "init": str(tmp_path / "other.pt")}
    with pytest.raises(InputError, match=r"network: ends in \w+, not in .*--set network=yolo11n.yaml"):
        module.train(configure(module.Config, settings), tmp_path / "run", resume=False)


@pytest.mark.parametrize("module", [detector, segmenter])
def test_what_is_no_checkpoint_is_refused_unread(module: object, labelled_set: Path, tmp_path: Path) -> None:
    (tmp_path / "weights.pt").write_bytes(b"not a checkpoint")
    config = configure(module.Config, {**TINY, "data.folder": str(labelled_set), "init": str(tmp_path / "weights.pt")})
    with pytest.raises(InputError, match=r"weights.pt is no checkpoint that torch has written"):
        module.train(config, tmp_path / "none", resume=False)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("module", [detector, segmenter])
def test_training_names_what_it_cannot_start_from(module: object, labelled_set: Path, tmp_path: Path) -> None:
    config = configure(module.Config, {**TINY, "data.folder": str(labelled_set)})
    with pytest.raises(InputError, match="there is nothing to resume"):
        module.train(config, tmp_path / "none", resume=True)
    missing = configure(module.Config, {"init": "/nowhere/yolo26n.pt"}, config)
    with pytest.raises(InputError, match=r"init: /nowhere/yolo26n.pt is no file"):
        module.train(missing, tmp_path / "none", resume=False)
    elsewhere = configure(module.Config, {"data.folder": str(tmp_path)}, config)
    with pytest.raises(InputError, match=r"labels.coco.json: no such file"):
        module.train(elsewhere, tmp_path / "none", resume=False)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("module", [detector, segmenter])
@pytest.mark.parametrize(
    ("device", "gpus", "message"),
    [
        ("0", 0, "device '0': torch finds no GPU here; use cpu"),
        ("cuda:0", 0, "device 'cuda:0': torch finds no GPU here; use cpu"),
        ("2", 2, "device '2': torch finds 2 GPUs here"),
        ("0,1", 2, "device '0,1': is not cpu, mps, or one GPU such as 0"),
        ("gpu", 2, "device 'gpu': is not cpu"),
    ],
)
def test_a_device_that_is_not_there_is_refused_first(
    module: object, device: str, gpus: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    # The data are missing, too: nothing is read before.
    config = configure(module.Config, {"device": device, "data.folder": str(tmp_path / "none")})
    with pytest.raises(InputError, match=message):
        module.train(config, tmp_path / "run", resume=False)


def test_a_gpu_that_is_there_is_no_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for device in ("cpu", "1", "cuda", "cuda:1"):
        check_device(device)
