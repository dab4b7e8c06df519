"""SAM behind its boundary: a stand-in for ultralytics' class, and a look at the real one's signatures."""

from __future__ import annotations

import inspect
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from fusion_ros.errors import InputError
from fusion_ros.perception.segment_anything import KNOWN_NAMES, SegmentAnything


class StandIn:
    """Answers as ultralytics' SAM does: one result per image, a mask per box."""

    def __init__(self, model: str) -> None:
        self.model, self.calls = model, []

    def predict(self, source, stream=False, bboxes=None, points=None, labels=None, **kwargs):
        self.calls.append((source, bboxes, kwargs))
        masks = torch.zeros(len(bboxes), *source.shape[:2])
        for mask, (left, top, right, bottom) in zip(masks, bboxes, strict=True):
            mask[int(top) : int(bottom), int(left) : int(right)] = 1
        return [SimpleNamespace(masks=SimpleNamespace(data=masks))]


@pytest.fixture
def weights(tmp_path, monkeypatch):
    monkeypatch.setattr("ultralytics.SAM", StandIn)
    path = tmp_path / "sam2_t.pt"
    path.write_bytes(b"weights")
    return path


def test_boxes_become_one_mask(weights):
    annotator = SegmentAnything(weights)
    image = np.zeros((40, 60), np.uint8)
    found = annotator.outline(image, np.array([[10, 5, 20, 15], [30, 20, 40, 30]], np.float32))
    expected = np.zeros((40, 60), bool)
    expected[5:15, 10:20] = expected[20:30, 30:40] = True
    assert np.array_equal(found, expected)
    source, boxes, options = annotator._model.calls[0]
    assert source.shape == (40, 60, 3)
    assert boxes == [[10, 5, 20, 15], [30, 20, 40, 30]]
    assert options["device"] == "cpu"


def test_without_boxes_nothing_is_asked(weights):
    annotator = SegmentAnything(weights)
    assert not annotator.outline(np.zeros((40, 60), np.uint8), np.zeros((0, 4), np.float32)).any()
    assert annotator._model.calls == []


def test_a_missing_file_is_not_downloaded(tmp_path):
    with pytest.raises(InputError, match="not downloaded"):
        SegmentAnything(tmp_path / "sam2_t.pt")


def test_a_name_that_is_not_sams_is_refused(tmp_path):
    path = tmp_path / "yolo26n.pt"
    path.write_bytes(b"weights")
    with pytest.raises(InputError, match="not one of SAM's names"):
        SegmentAnything(path)


def test_a_damaged_file_is_refused(tmp_path):
    path = tmp_path / "mobile_sam.pt"
    path.write_bytes(b"no weights")
    with pytest.raises(InputError, match="cannot be loaded as SAM's weights"):
        SegmentAnything(path)


def test_ultralytics_has_what_is_called():
    from ultralytics import SAM
    from ultralytics.models.sam.build import sam_model_map

    assert list(inspect.signature(SAM.__init__).parameters)[:2] == ["self", "model"]
    parameters = inspect.signature(SAM.predict).parameters
    assert {"source", "bboxes"} <= set(parameters)
    assert any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values())
    assert set(KNOWN_NAMES) <= set(sam_model_map)
