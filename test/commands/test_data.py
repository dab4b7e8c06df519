"""`fusion-ros data`."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from fusion_ros.cli import main


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    folder = tmp_path / "pairs"
    for part in ("vi", "ir"):
        (folder / part).mkdir(parents=True)
        for index in range(2):
            image = np.full((60, 80, 3), 70, np.uint8)
            if part == "ir":
                image[20:40, 30:42] = 220
            cv2.imwrite(str(folder / part / f"{index}.png"), image)
    return folder


def grey(path: Path) -> np.ndarray:
    return cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)


def test_glare_writes_images_and_masks(pairs, tmp_path, capsys):
    out = tmp_path / "glare"
    assert main(["data", "glare", str(pairs), str(out), "--seed", "3", "--set", "weakest=1.4"]) == 0
    assert "2 pairs" in capsys.readouterr().out
    burnt = grey(out / "overexposed" / "0.png") == 255
    assert burnt.any()
    assert (grey(out / "vi" / "0.png")[burnt] >= 249).all()
    assert (grey(out / "clean" / "0.png") == 70).all()
    hidden = grey(out / "labels" / "0.png") == 255
    assert hidden.any()
    assert not (hidden & ~burnt).any()
    description = json.loads((out / "synthesis.json").read_text())
    assert (description["kind"], description["seed"], description["config"]["weakest"]) == ("glare", 3, 1.4)


def test_boxes_of_labels_decide_where_the_glare_is(pairs, tmp_path):
    labels = {
        "images": [{"id": 1, "file_name": "0.png"}],
        "annotations": [{"image_id": 1, "category_id": 1, "bbox": [0, 0, 10, 10]}],
    }
    (pairs / "labels.coco.json").write_text(json.dumps(labels))
    out = tmp_path / "glare"
    assert main(["data", "glare", str(pairs), str(out)]) == 0
    assert json.loads((out / "synthesis.json").read_text())["pairs"]["0"]["centres"] == [[5.0, 5.0]]


def test_darkness_is_repeated_by_its_seed(pairs, tmp_path):
    for name in ("first", "second"):
        assert main(["data", "darkness", str(pairs), str(tmp_path / name), "--seed", "1"]) == 0
    first, second = (grey(tmp_path / name / "vi" / "1.png") for name in ("first", "second"))
    assert first.mean() < 60
    assert np.array_equal(first, second)


def test_an_output_folder_with_something_in_it_is_refused(pairs, capsys):
    assert main(["data", "glare", str(pairs), str(pairs)]) == 2
    assert "not empty" in capsys.readouterr().err


def test_unknown_settings_are_refused(pairs, tmp_path, capsys):
    assert main(["data", "glare", str(pairs), str(tmp_path / "x"), "--set", "sparkle=1"]) == 2
    assert "sparkle" in capsys.readouterr().err


def test_sam_outlines_what_the_glare_hides(pairs, tmp_path, monkeypatch):
    class Annotator:
        def __init__(self, weights):
            assert weights.name == "sam2_t.pt"

        def outline(self, image, boxes):
            # The warm block of every picture, and of it only the left half as its outline.
            np.testing.assert_allclose(boxes, [[30, 20, 42, 40]], atol=2)
            mask = np.zeros(image.shape, bool)
            mask[20:40, 30:36] = True
            return mask

    monkeypatch.setattr("fusion_ros.perception.segment_anything.SegmentAnything", Annotator)
    out = tmp_path / "glare"
    options = ["--sam", "sam2_t.pt", "--set", "weakest=1.5", "--set", "smallest=0.2"]
    assert main(["data", "glare", str(pairs), str(out), *options]) == 0
    hidden = grey(out / "labels" / "0.png") == 255
    assert hidden[30, 33]
    assert not hidden[:, 36:].any()
    assert json.loads((out / "synthesis.json").read_text())["objects"] == "outlined"


def test_missing_sam_weights_are_an_input_error(pairs, tmp_path, capsys):
    assert main(["data", "glare", str(pairs), str(tmp_path / "x"), "--sam", str(tmp_path / "sam2_t.pt")]) == 2
    assert "not downloaded" in capsys.readouterr().err


def test_darkness_has_no_use_for_sam(pairs, tmp_path, capsys):
    assert main(["data", "darkness", str(pairs), str(tmp_path / "x"), "--sam", "sam2_t.pt"]) == 2
    assert "--sam" in capsys.readouterr().err
