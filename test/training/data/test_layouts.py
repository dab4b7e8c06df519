"""Readers of public data sets' folders."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from fusion_ros.errors import InputError
from fusion_ros.training.data.layouts import find_pairs, layout_classes, read_mask, read_pair


def write(path: Path, shape: tuple[int, ...] = (12, 16, 3), value: int = 90) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full(shape, value, np.uint8))


# layout -> files of one data set, and the names of its pairs
FORMS = {
    "pairs": (["vi/a.png", "ir/a.jpg"], ["a"]),
    "msrs": (["train/vi/1D.png", "train/ir/1D.png", "test/vi/2N.png", "test/ir/2N.png"], ["test/2N", "train/1D"]),
    "m3fd": (["Vis/00001.png", "Ir/00001.png"], ["00001"]),
    "fmb": (["test/Visible/7.png", "test/Infrared/7.png", "test/Label/7.png"], ["test/7"]),
    "llvip": (["visible/train/1.jpg", "infrared/train/1.jpg"], ["train/1"]),
    "roadscene": (["crop_HR_visible/F1.jpg", "cropinfrared/F1.jpg"], ["F1"]),
    "tno": (["vis/kayak_VIS.bmp", "ir/kayak_IR.bmp"], ["kayak"]),
    "smod": (["rgb/3_rgb.jpg", "tir/3_tir.jpg"], ["3"]),
    "kaist": (["set00/V000/visible/I1.jpg", "set00/V000/lwir/I1.jpg"], ["set00/V000/I1"]),
}


@pytest.mark.parametrize("layout", FORMS)
def test_each_form_is_recognised_and_read(layout, tmp_path):
    files, names = FORMS[layout]
    for name in files:
        write(tmp_path / name)
    for form in (layout, "auto"):
        pairs = find_pairs(tmp_path, form)
        assert [pair.name for pair in pairs] == names
    assert read_pair(pairs[0]).visible.shape == (12, 16, 3)
    assert (pairs[0].mask is not None) == any("Label" in name for name in files)


def test_names_without_a_partner_are_refused(tmp_path):
    for name in ("vi/a.png", "ir/a.png", "vi/b.png"):
        write(tmp_path / name)
    with pytest.raises(InputError, match=r"1 names are in vi/ or ir/ only \(b\)"):
        find_pairs(tmp_path)


def test_images_of_unequal_size_are_refused(tmp_path):
    write(tmp_path / "vi/a.png")
    write(tmp_path / "ir/a.png", (10, 16, 3))
    with pytest.raises(InputError, match="16x12 and infrared 16x10 differ in size"):
        read_pair(find_pairs(tmp_path)[0])


def test_a_label_outside_the_classes_is_refused(tmp_path):
    for name in ("test/Visible/7.png", "test/Infrared/7.png"):
        write(tmp_path / name)
    write(tmp_path / "test/Label/7.png", (12, 16), 15)
    pair = find_pairs(tmp_path)[0]
    with pytest.raises(InputError, match="label 15 is outside the 15 classes"):
        read_mask(pair, layout_classes("fmb"), (12, 16))
    assert (read_mask(pair, 16, (12, 16)) == 15).all()


def test_void_pixels_are_allowed(tmp_path):
    for name in ("vi/a.png", "ir/a.png"):
        write(tmp_path / name)
    write(tmp_path / "labels/a.png", (12, 16), 255)
    assert (read_mask(find_pairs(tmp_path)[0], 9, (12, 16)) == 255).all()


def test_a_damaged_image_is_named(tmp_path):
    write(tmp_path / "vi/a.png")
    (tmp_path / "ir").mkdir()
    (tmp_path / "ir/a.png").write_bytes(b"not a picture")
    with pytest.raises(InputError, match=r"ir/a\.png: cannot be read"):
        read_pair(find_pairs(tmp_path)[0])


def test_a_folder_without_a_known_form_lists_what_is_known(tmp_path):
    with pytest.raises(InputError, match="msrs"):
        find_pairs(tmp_path)
    with pytest.raises(InputError, match="not known"):
        find_pairs(tmp_path, "cityscapes")
