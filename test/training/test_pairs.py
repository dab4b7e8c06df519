import cv2
import numpy as np
import pytest
import torch

from fusion_ros.errors import InputError
from fusion_ros.training.data.pairs import PairsConfig, RandomCrops, load_sets, matched_names, split_names
from fusion_ros.training.data.variation import VariationConfig

UNVARIED = VariationConfig(gamma=0, contrast=0, blur=0, polarity=0, displacement=0)


def _config(folder, **changes):
    return PairsConfig(folder=str(folder), sets="set", **{"crop": 32, **changes})


@pytest.mark.parametrize(("count", "training"), [(1, 0), (2, 1), (3, 2), (5, 4), (35, 28), (176, 141)])
def test_last_fifth_of_the_sorted_names_is_for_validation(count, training):
    names = [f"{number:03}" for number in range(count)]
    own, held_out = split_names(list(reversed(names)))
    assert (own, held_out) == (names[:training], names[training:])
    assert not count or len(held_out) >= max(1, count // 5)


def test_sets_are_read_onto_the_infrared_grid_and_split(pairs_folder):
    training, validation = load_sets(_config(pairs_folder))
    assert [pair.name for pair in training["set"]] == [f"{number:02}.png" for number in range(8)]
    assert [pair.name for pair in validation["set"]] == ["08.png", "09.png"]
    assert training["set"][0].visible.shape == (48, 64, 3)
    assert training["set"][0].infrared.shape == (48, 64)


def test_unmatched_names_are_refused(pairs_folder):
    (pairs_folder / "set" / "ir" / "03.png").unlink()
    with pytest.raises(InputError, match=r"1 names are in vi/ or ir/ only \(03\.png\)"):
        matched_names(pairs_folder / "set")


def test_missing_folders_are_refused(tmp_path):
    with pytest.raises(InputError, match="not a folder"):
        load_sets(_config(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="vi/"):
        matched_names(tmp_path)


def _write(folder, names):
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / name), np.full((40, 56, 3), 20 * number, np.uint8))


@pytest.mark.parametrize(
    ("visible", "infrared", "prefix"),
    [("train/vi", "train/ir", "train/"), ("Vis", "Ir", ""), ("visible/train", "infrared/train", "train/")],
    ids=["MSRS", "M3FD", "LLVIP"],
)
def test_sets_are_read_in_the_folders_they_are_published_with(tmp_path, visible, infrared, prefix):
    for part in (visible, infrared):
        _write(tmp_path / "set" / part, [f"{number:02}.png" for number in range(10)])
    training, validation = load_sets(_config(tmp_path))
    assert [pair.name for pair in training["set"]] == [f"{prefix}{number:02}" for number in range(8)]
    assert [pair.name for pair in validation["set"]] == [f"{prefix}08", f"{prefix}09"]
    assert training["set"][3].visible.shape == (40, 56, 3)
    assert (training["set"][3].infrared == 60).all()


def test_the_test_part_of_a_published_set_is_left_for_tests(tmp_path):
    for part in ("vi", "ir"):
        _write(tmp_path / "set" / "train" / part, ["a.png", "b.png"])
        _write(tmp_path / "set" / "test" / part, ["c.png", "d.png"])
    training, validation = load_sets(_config(tmp_path))
    assert [pair.name for pair in training["set"] + validation["set"]] == ["train/a", "train/b"]


def test_folders_of_no_known_form_are_refused(tmp_path):
    (tmp_path / "set" / "photos").mkdir(parents=True)
    with pytest.raises(InputError, match=r"set: has not the folders of a known layout \(pairs: vi, ir; msrs: "):
        load_sets(_config(tmp_path))


def test_unreadable_image_is_named(pairs_folder):
    (pairs_folder / "set" / "vi" / "02.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"vi/02\.png: cannot be read"):
        load_sets(_config(pairs_folder))


def test_a_number_determines_its_crop(pairs_folder):
    config = _config(pairs_folder)
    training, _ = load_sets(config)
    first, again, other = (RandomCrops(training, config, seed, 100) for seed in (7, 7, 8))
    assert all(torch.equal(first[5][key], again[5][key]) for key in first[5])
    assert not torch.equal(first[5]["visible"], first[6]["visible"])
    assert not torch.equal(first[5]["visible"], other[5]["visible"])


def test_crops_have_their_form_and_cut_both_sources_alike(pairs_folder):
    config = _config(pairs_folder, variation=UNVARIED)
    training, _ = load_sets(config)
    for pair in training["set"]:
        # A visible image that shows what the infrared one does must still do so after cut, flip and zoom.
        pair.visible[:] = pair.infrared[..., None]
    crops = RandomCrops(training, config, 0, 100)
    for number in range(20):
        sample = crops[number]
        assert sample["visible"].shape == sample["infrared"].shape == (1, 32, 32)
        assert sample["color"].shape == (3, 32, 32)
        np.testing.assert_allclose(sample["visible"], sample["infrared"], atol=1e-5)
        assert 0 <= float(sample["color"].min()) <= float(sample["color"].max()) <= 1


def test_crop_larger_than_an_image_is_refused(pairs_folder):
    config = _config(pairs_folder, crop=49)
    with pytest.raises(InputError, match="smallest image side, 48"):
        RandomCrops(load_sets(config)[0], config, 0, 10)


def test_clips_are_sampled(shared_data):
    from fusion_ros.training.data.pairs import read_pairs

    pairs = read_pairs(shared_data / "data" / "m3svd", ["0111_1716.mp4"], 640, 50)
    assert [pair.name for pair in pairs] == [f"0111_1716.mp4:{index}" for index in (0, 50, 100, 150)]
    assert pairs[0].visible.shape == (480, 640, 3)
