import numpy as np
import pytest

from fusion_ros.fusion.padding import crop, pad_to_multiple


@pytest.mark.parametrize(("shape", "padded"), [((33, 64), (64, 64)), ((1, 1), (32, 32)), ((64, 96), (64, 96))])
def test_sides_become_multiples(shape, padded):
    assert pad_to_multiple(np.zeros(shape, np.float32), 32).shape == padded


def test_nothing_to_pad_copies_nothing():
    image = np.zeros((32, 64), np.float32)
    assert pad_to_multiple(image, 32) is image


def test_padding_mirrors_without_repeating_the_edge():
    image = np.array([[1, 2, 3]], np.float32)
    assert pad_to_multiple(np.repeat(image, 5, 0), 5)[0].tolist() == [1, 2, 3, 2, 1]


def test_crop_undoes_padding_without_a_shift():
    image = np.random.default_rng(0).random((37, 53), dtype=np.float32)
    np.testing.assert_array_equal(crop(pad_to_multiple(image, 32), 37, 53), image)
