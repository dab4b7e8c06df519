"""MSRS and MFNet, as their folders are laid out, and training on them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from fusion_ros.configuration import configure
from fusion_ros.errors import InputError
from fusion_ros.training import segmenter
from fusion_ros.training.data.semantic_sets import MFNET_NAMES, is_semantic_set, read_semantic_set

SIZE = (48, 64)


def mask_with_a_person() -> np.ndarray:
    mask = np.zeros(SIZE, np.uint8)
    mask[10:40, 20:32] = MFNET_NAMES.index("person")
    return mask


@pytest.fixture
def msrs(tmp_path: Path) -> Path:
    for part, count in (("train", 3), ("test", 2)):
        for folder in ("vi", "ir", "Segmentation_labels"):
            (tmp_path / part / folder).mkdir(parents=True)
            for number in range(count):
                image = mask_with_a_person() if folder == "Segmentation_labels" else mask_with_a_person() * 100
                cv2.imwrite(str(tmp_path / part / folder / f"{number:05}D.png"), image)
    return tmp_path


@pytest.fixture
def mfnet(tmp_path: Path) -> Path:
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    for number in range(3):
        four = np.dstack([np.full(SIZE, 10, np.uint8), np.full(SIZE, 20, np.uint8), np.full(SIZE, 30, np.uint8)])
        four = np.dstack([four, mask_with_a_person() * 100])
        cv2.imwrite(str(tmp_path / "images" / f"{number}N.png"), four)
        cv2.imwrite(str(tmp_path / "labels" / f"{number}N.png"), mask_with_a_person())
    (tmp_path / "train.txt").write_text("0N\n1N\n")
    (tmp_path / "val.txt").write_text("2N\n")
    return tmp_path


def test_msrs_is_read_by_its_own_split(msrs: Path) -> None:
    assert is_semantic_set(msrs)
    training, validation = (read_semantic_set(msrs, part) for part in ("training", "validation"))
    assert [pair.name for pair in training] == ["train/00000D", "train/00001D", "train/00002D"]
    assert len(validation) == 2
    np.testing.assert_array_equal(training[0].class_id, mask_with_a_person())
    assert training[0].xyxy.tolist() == [[20, 10, 32, 40]]


def test_mfnet_has_thermal_as_the_fourth_channel_and_lists_of_its_parts(mfnet: Path) -> None:
    assert is_semantic_set(mfnet)
    training = read_semantic_set(mfnet, "training")
    assert [pair.name for pair in training] == ["0N", "1N"]
    assert training[0].visible[0, 0].tolist() == [10, 20, 30]
    np.testing.assert_array_equal(training[0].infrared, mask_with_a_person() * 100)
    assert [pair.name for pair in read_semantic_set(mfnet, "validation")] == ["2N"]


def test_a_folder_with_boxes_is_no_semantic_set(tmp_path: Path) -> None:
    (tmp_path / "vi").mkdir()
    assert not is_semantic_set(tmp_path)


def test_bad_sets_are_named(mfnet: Path) -> None:
    cv2.imwrite(str(mfnet / "labels" / "0N.png"), np.full(SIZE, 9, np.uint8))
    with pytest.raises(InputError, match="label 9 is outside the 9 classes"):
        read_semantic_set(mfnet, "training")
    cv2.imwrite(str(mfnet / "images" / "2N.png"), np.zeros((*SIZE, 3), np.uint8))
    with pytest.raises(InputError, match="four 8 bit channels"):
        read_semantic_set(mfnet, "validation")
    (mfnet / "val.txt").unlink()
    with pytest.raises(InputError, match=r"has none of val.txt, test.txt"):
        read_semantic_set(mfnet, "validation")


def test_the_segmenter_is_trained_on_the_classes_of_the_set(msrs: Path) -> None:
    found = segmenter.read_masked_set(configure(segmenter.Config, {"data.folder": str(msrs), "image_size": 96}))
    assert found.class_names == MFNET_NAMES
    assert (len(found.training), len(found.validation)) == (3, 2)
    # Training pairs come at the size that is trained on, masks that judge stay as they are.
    assert found.training[0].class_id.shape == (72, 96)
    assert set(np.unique(found.training[0].class_id)) == {0, MFNET_NAMES.index("person")}
    assert found.validation[0].class_id.shape == SIZE
