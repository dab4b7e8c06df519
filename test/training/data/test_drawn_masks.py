"""Masks from polygons, and the drawn ones that are kept here."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fusion_ros.errors import InputError
from fusion_ros.training.data.box_masks import SEGMENT_NAMES
from fusion_ros.training.data.drawn_masks import read_drawn_masks
from fusion_ros.training.data.labelled_pairs import CLASS_NAMES, read_labelled_pairs

DRAWN = Path(__file__).parents[2] / "perception" / "masks" / "roadscene.json"
PERSON, VEHICLE = SEGMENT_NAMES.index("person"), SEGMENT_NAMES.index("vehicle")


def write(folder: Path, polygons: list) -> Path:
    path = folder / "masks.json"
    path.write_text(json.dumps({"images": {"a.png": {"width": 40, "height": 20, "polygons": polygons}}}))
    return path


def test_polygons_fill_what_they_enclose_the_later_over_the_earlier(tmp_path: Path) -> None:
    road = ["road", [0, 10, 40, 10, 40, 20, 0, 20]]
    person = ["person", [10, 4, 14, 4, 14, 16, 10, 16]]
    mask = read_drawn_masks(write(tmp_path, [road, person, ["unknown", [30, 0, 40, 0, 40, 5, 30, 5]]]), SEGMENT_NAMES)
    found = mask["a.png"]
    assert found.shape == (20, 40)
    assert found[15, 2] == SEGMENT_NAMES.index("road")
    assert (found[6:15, 11:13] == PERSON).all()
    assert found[2, 35] == 255
    # 4 x 12 pixels, and half a pixel more or less on each side.
    assert (found == PERSON).sum() == pytest.approx(48, abs=17)
    assert found[2, 2] == 0


def test_masks_can_be_read_at_another_size(tmp_path: Path) -> None:
    path = write(tmp_path, [["vehicle", [0, 0, 20, 0, 20, 20, 0, 20]]])
    mask = read_drawn_masks(path, SEGMENT_NAMES, longer_side=80)["a.png"]
    assert mask.shape == (40, 80)
    assert (mask[:, :39] == VEHICLE).all()
    assert not mask[:, 42:].any()


@pytest.mark.parametrize(
    ("polygon", "complaint"),
    [
        (["boat", [0, 0, 5, 0, 5, 5]], "'boat' is not one of background, road"),
        (["road", [0, 0, 50, 0, 5, 5]], "leaves the 40x20 image"),
        (["road", [0, 0, 5, 0]], "too few points"),
        (["road"], "no file of drawn masks"),
    ],
)
def test_what_cannot_be_drawn_is_named(tmp_path: Path, polygon: list, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        read_drawn_masks(write(tmp_path, [polygon]), SEGMENT_NAMES)


def test_twenty_drawn_masks_belong_to_the_validation_part_and_agree_with_its_boxes(shared_data: Path) -> None:
    masks = read_drawn_masks(DRAWN, SEGMENT_NAMES)
    pairs = {pair.name: pair for pair in read_labelled_pairs(shared_data / "data" / "roadscene", "validation")}
    assert len(masks) >= 20
    assert set(masks) <= set(pairs)
    wanted = {CLASS_NAMES.index("person"): PERSON, CLASS_NAMES.index("car"): VEHICLE}
    shares = []
    for name, mask in masks.items():
        pair = pairs[name]
        assert mask.shape == pair.infrared.shape
        for box, class_id in zip(pair.xyxy, pair.class_id, strict=True):
            left, top, right, bottom = np.rint(box).astype(int)
            inside = mask[top:bottom, left:right]
            if class_id in wanted and inside.size > 200:
                shares.append(float((inside == wanted[class_id]).mean()))
    # A standing person fills about half of its box, a car four fifths, and some are half hidden by others.
    assert np.median(shares) > 0.5
    assert np.mean(np.array(shares) > 0.2) > 0.95
