"""Reading COCO labels of aligned pairs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from fusion_ros.errors import InputError
from fusion_ros.training.data.labelled_pairs import read_labelled_pairs

MakeSet = Callable[..., Path]


@pytest.fixture
def make_set(tmp_path: Path) -> MakeSet:
    """Write a set of ten pairs; boxes are (image, category, x, y, width, height)."""

    def make(boxes: list[tuple[int, int, float, float, float, float]], unlabelled: tuple[int, ...] = ()) -> Path:
        for sensor, shape in (("ir", (40, 60)), ("vi", (80, 130, 3))):
            (tmp_path / sensor).mkdir()
            for number in range(10):
                cv2.imwrite(str(tmp_path / sensor / f"{number}.png"), np.full(shape, number, np.uint8))
        labels = {
            "categories": [{"id": 1, "name": "person"}, {"id": 3, "name": "car"}, {"id": 17, "name": "dog"}],
            # Not in the order of the names, which decides about the split.
            "images": [
                {"id": number, "file_name": f"{number}.png", "labelled": number not in unlabelled}
                for number in reversed(range(10))
            ],
            "annotations": [
                {"id": index, "image_id": image, "category_id": category, "bbox": box}
                for index, (image, category, *box) in enumerate(boxes)
            ],
        }
        (tmp_path / "labels.coco.json").write_text(json.dumps(labels))
        return tmp_path

    return make


def test_last_fifth_of_the_sorted_names_is_for_validation(make_set: MakeSet) -> None:
    folder = make_set([])
    assert [pair.name for pair in read_labelled_pairs(folder, "training")] == [f"{n}.png" for n in range(8)]
    assert [pair.name for pair in read_labelled_pairs(folder, "validation")] == ["8.png", "9.png"]


def test_unlabelled_pairs_are_left_out_but_still_count_for_the_split(make_set: MakeSet) -> None:
    folder = make_set([], unlabelled=(0, 8))
    assert [pair.name for pair in read_labelled_pairs(folder, "training")] == [f"{n}.png" for n in range(1, 8)]
    assert [pair.name for pair in read_labelled_pairs(folder, "validation")] == ["9.png"]


def test_boxes_become_corners_with_contiguous_classes(make_set: MakeSet) -> None:
    folder = make_set([(0, 3, 5, 6, 10, 20), (0, 1, 50, 30, 20, 20), (0, 17, 1, 1, 5, 5)])
    pair = read_labelled_pairs(folder, "training")[0]
    assert pair.visible.shape == (40, 60, 3)
    assert pair.infrared.shape == (40, 60)
    # The dog is dropped, and the person's box is clipped to the image of 60 x 40.
    np.testing.assert_allclose(pair.xyxy, [[5, 6, 15, 26], [50, 30, 60, 40]])
    assert pair.class_id.tolist() == [2, 0]


def test_a_pair_without_boxes_is_kept(make_set: MakeSet) -> None:
    pair = read_labelled_pairs(make_set([]), "training")[0]
    assert pair.xyxy.shape == (0, 4)
    assert pair.class_id.shape == (0,)


@pytest.mark.parametrize("text", ["", "  \n", "{}", '{"categories": [], "images": [], "annotations": []}', "[1"])
def test_an_empty_label_file_is_named(make_set: MakeSet, text: str) -> None:
    folder = make_set([])
    (folder / "labels.coco.json").write_text(text)
    with pytest.raises(InputError, match=r"labels\.coco\.json: "):
        read_labelled_pairs(folder, "training")


@pytest.mark.parametrize(("image", "category", "complaint"), [(0, 99, "category 99"), (77, 1, "image 77")])
def test_a_box_of_something_that_is_not_described_is_named(
    make_set: MakeSet, image: int, category: int, complaint: str
) -> None:
    with pytest.raises(InputError, match=f"a box is of {complaint}"):
        read_labelled_pairs(make_set([(image, category, 5, 5, 9, 9)]), "training")


def test_labels_without_a_class_that_is_wanted_are_refused(make_set: MakeSet) -> None:
    with pytest.raises(InputError, match="none of the classes tram is among person, car, dog"):
        read_labelled_pairs(make_set([]), "training", ["tram"])


def test_pairs_can_be_read_at_another_size_and_all_together(make_set: MakeSet) -> None:
    pairs = read_labelled_pairs(make_set([(9, 3, 6, 8, 30, 20)]), "all", longer_side=120)
    assert len(pairs) == 10
    assert pairs[9].infrared.shape == pairs[9].visible.shape[:2] == (80, 120)
    np.testing.assert_allclose(pairs[9].xyxy, [[12, 16, 72, 56]])


@pytest.mark.parametrize("box", [(70, 0, 5, 5), (0, 45, 5, 5), (-9, 0, 5, 5), (5, 5, 0, 9)])
def test_a_box_outside_the_image_or_without_area_is_named(
    make_set: MakeSet, box: tuple[float, float, float, float]
) -> None:
    with pytest.raises(InputError, match=r"0.png: box \[.*\] .* empty or outside the image of 60x40"):
        read_labelled_pairs(make_set([(0, 1, *box)]), "training")


def test_classes_that_the_labels_do_not_have_are_refused(make_set: MakeSet) -> None:
    with pytest.raises(InputError, match="none of the classes lorry is among person, car, dog"):
        read_labelled_pairs(make_set([]), "training", class_names=("lorry",))


def test_missing_and_damaged_files_are_named(make_set: MakeSet, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"labels.coco.json: no such file"):
        read_labelled_pairs(tmp_path, "training")
    folder = make_set([])
    (folder / "vi" / "3.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"vi/3.png: cannot be read as an image"):
        read_labelled_pairs(folder, "training")
    (folder / "labels.coco.json").write_text("{")
    with pytest.raises(InputError, match="expected COCO labels in JSON"):
        read_labelled_pairs(folder, "training")
    (folder / "labels.coco.json").write_text('{"images": []}')
    with pytest.raises(InputError, match="categories, annotations missing"):
        read_labelled_pairs(folder, "training")


def test_an_unknown_part_is_refused(make_set: MakeSet) -> None:
    with pytest.raises(InputError, match="'test' is not one of training, validation"):
        read_labelled_pairs(make_set([]), "test")


def test_real_labels_have_the_documented_counts(shared_data: Path) -> None:
    folder = shared_data / "data" / "roadscene"
    training, validation = (read_labelled_pairs(folder, part) for part in ("training", "validation"))
    # 160 labelled pairs of 176; 1131 boxes of which 6 are dogs.
    assert (len(training), len(validation)) == (125, 35)
    assert sum(len(pair.xyxy) for pair in training + validation) == 1125
    assert not {pair.name for pair in training} & {pair.name for pair in validation}
