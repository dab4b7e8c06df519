"""The detector on a network with a known answer: what comes out lies where it was in the image."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from fusion_ros.errors import InputError
from fusion_ros.perception import Detector, DetectorConfig

RECTANGLE = (40, 20, 90, 60)  # left, top, right, bottom in pixels of the image


def picture(width: int = 200, height: int = 100) -> np.ndarray:
    image = np.full((height, width, 3), 20, np.uint8)
    left, top, right, bottom = RECTANGLE
    image[top:bottom, left:right] = 255
    return image


@pytest.fixture(scope="module")
def model(make_detector: Callable[..., Path]) -> Path:
    return make_detector()


def test_detector_boxes_are_in_pixels_of_the_image_whatever_its_shape(make_detector: Callable[..., Path]) -> None:
    for dynamic in (True, False):
        detector = Detector(DetectorConfig(weights=str(make_detector(size=128, dynamic=dynamic))))
        for width, height in ((200, 100), (101, 333), (640, 480), (128, 128)):
            found = detector.detect(picture(width, height))
            # A box is found on the network's grid: one of its pixels is max(width, height) / 128 of the image's.
            tolerance = 1.0 + max(width, height) / 128
            np.testing.assert_allclose(found.xyxy[0], RECTANGLE, atol=tolerance, err_msg=f"{dynamic} {width}x{height}")


def test_detector_suppresses_overlaps_within_a_class_and_sorts_by_confidence(model: Path) -> None:
    found = Detector(DetectorConfig(weights=str(model))).detect(picture())
    assert found.class_id.tolist() == [0, 2]
    np.testing.assert_allclose(found.confidence, [0.9, 0.6], atol=1e-6)
    assert dict(found.class_names) == {0: "person", 1: "bicycle", 2: "car"}
    assert (found.xyxy.dtype, found.confidence.dtype, found.class_id.dtype) == (np.float32, np.float32, np.int64)


def test_detector_keeps_overlaps_up_to_the_iou_threshold(model: Path) -> None:
    # The second person box is shifted by 1 of 16 pixels of the network's grid: IoU = 15 / 17.
    found = Detector(DetectorConfig(weights=str(model), iou=0.95)).detect(picture())
    assert found.class_id.tolist() == [0, 0, 2]


def test_detector_finds_nothing_where_there_is_nothing(model: Path) -> None:
    found = Detector(DetectorConfig(weights=str(model))).detect(np.zeros((48, 64, 3), np.uint8))
    assert len(found) == 0
    assert found.xyxy.shape == (0, 4)


def test_detector_follows_a_new_configuration_on_the_next_image(model: Path) -> None:
    detector = Detector(DetectorConfig(weights=str(model)))
    detector.configure(DetectorConfig(confidence=0.7))
    assert detector.detect(picture()).class_id.tolist() == [0]
    detector.configure(DetectorConfig(classes="bicycle, car"))
    assert detector.detect(picture()).class_id.tolist() == [2]
    detector.configure(DetectorConfig(max_detections=1))
    assert detector.detect(picture()).class_id.tolist() == [0]


def test_detector_refuses_an_unknown_class_and_stays_as_it_was(model: Path) -> None:
    detector = Detector(DetectorConfig(weights=str(model), classes="car"))
    with pytest.raises(InputError, match=r"'lorry' is not a class of this detector \(person, bicycle, car\)"):
        detector.configure(DetectorConfig(classes="person,lorry"))
    assert detector.detect(picture()).class_id.tolist() == [2]
    with pytest.raises(InputError, match="'lorry'"):
        Detector(DetectorConfig(weights=str(model), classes="lorry"))


def test_detector_does_not_change_the_image(model: Path) -> None:
    image = picture()
    before = image.copy()
    Detector(DetectorConfig(weights=str(model))).detect(image)
    np.testing.assert_array_equal(image, before)


def test_detector_accepts_a_view_with_padded_rows(model: Path) -> None:
    wide = np.zeros((100, 210, 3), np.uint8)
    wide[:, :200] = picture()
    found = Detector(DetectorConfig(weights=str(model))).detect(wide[:, :200])
    np.testing.assert_allclose(found.xyxy[0], RECTANGLE, atol=1.0 + 200 / 64)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((48, 64), np.uint8),
        np.zeros((48, 64, 4), np.uint8),
        np.zeros((48, 64, 3), np.float32),
        np.zeros((0, 64, 3), np.uint8),
    ],
    ids=["grey", "four channels", "float", "empty"],
)
def test_detector_refuses_what_is_no_colour_image(model: Path, image: np.ndarray) -> None:
    with pytest.raises(InputError, match="is not a colour image"):
        Detector(DetectorConfig(weights=str(model))).detect(image)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"weights": "/nowhere/best.onnx"}, "/nowhere/best.onnx is no file"),
        ({"weights": "best_of_all"}, "'best_of_all' is neither a file nor"),
        ({"confidence": 1.5}, "confidence"),
        ({"max_detections": 0}, "max_detections"),
        ({"backend": "tflite"}, "backend"),
    ],
)
def test_detector_names_the_setting_that_is_wrong(settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Detector(DetectorConfig(**settings))


def test_detector_names_what_does_not_suit_the_file(model: Path, make_detector: Callable[..., Path]) -> None:
    for settings, message in (
        ({"backend": "torch"}, "'torch' cannot run"),
        ({"input_size": 100}, "not a multiple of 32"),
        ({"device": "cuda:99"}, "'cuda:99' is not there"),
        ({"device": "tpu"}, "'tpu' is not one of"),
    ):
        with pytest.raises(InputError, match=message):
            Detector(DetectorConfig(weights=str(model), **settings))
    fixed = make_detector("fixed.onnx", dynamic=False)
    with pytest.raises(InputError, match="exported for 64 alone"):
        Detector(DetectorConfig(weights=str(fixed), input_size=96))


def test_detector_takes_another_input_size_where_the_model_allows_it(model: Path) -> None:
    detector = Detector(DetectorConfig(weights=str(model), input_size=256))
    assert detector.input_size == 256
    # The network sees the 200x100 image enlarged to 256x128: half a pixel of it is 0.4 of the image's.
    np.testing.assert_allclose(detector.detect(picture()).xyxy[0], RECTANGLE, atol=1.5)


def test_detector_refuses_a_segmenter(make_segmenter: Callable[..., Path]) -> None:
    with pytest.raises(InputError, match="is a model for 'semantic', needed is one for 'detect'"):
        Detector(DetectorConfig(weights=str(make_segmenter())))


def test_detector_names_a_damaged_file(tmp_path: Path, model: Path) -> None:
    for name, content in (("empty.onnx", b""), ("half.onnx", model.read_bytes()[:300]), ("text.pt", b"not a model")):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(InputError, match=f"{name} cannot be loaded"):
            Detector(DetectorConfig(weights=str(path)))


def test_detector_leaves_the_process_and_the_disk_as_they_were(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    opencv_threads, torch_threads = cv2.getNumThreads(), torch.get_num_threads()
    Detector(DetectorConfig(weights=str(model))).detect(picture())
    assert cv2.getNumThreads() == opencv_threads
    assert torch.get_num_threads() == torch_threads
    assert list(tmp_path.iterdir()) == []
