import numpy as np
import pytest

from fusion_ros.training.data.variation import VariationConfig, vary

NOTHING = {"gamma": 0, "contrast": 0, "blur": 0, "polarity": 0, "displacement": 0}


@pytest.fixture
def images():
    random = np.random.default_rng(0)
    return random.integers(0, 256, (40, 50, 3)).astype(np.uint8), random.integers(0, 256, (40, 50)).astype(np.uint8)


def _varied(images, **shares):
    return vary(*images, np.random.default_rng(1), VariationConfig(**{**NOTHING, **shares}))


def test_no_share_changes_nothing(images):
    assert all(np.array_equal(a, b) for a, b in zip(_varied(images), images, strict=True))


def test_negative_infrared_only(images):
    visible, infrared = _varied(images, polarity=1)
    assert np.array_equal(visible, images[0])
    assert np.array_equal(infrared, 255 - images[1])


@pytest.mark.parametrize("kind", ["gamma", "contrast"])
def test_tones_keep_their_order_in_both_sources(images, kind):
    for varied, image in zip(_varied(images, **{kind: 1}), images, strict=True):
        order = np.argsort(image, axis=None)
        assert (np.diff(varied.reshape(-1)[order].astype(int)) >= 0).all()
        assert not np.array_equal(varied, image)


def test_contrast_stays_between_its_black_and_white(images):
    for varied in _varied(images, contrast=1):
        # Black is lifted to at most 60, white lowered to no less than 160.
        assert varied.min() <= 60
        assert varied.max() >= 159


def test_blur_softens_the_infrared_and_keeps_its_mean(images):
    visible, infrared = _varied(images, blur=1)
    assert np.array_equal(visible, images[0])
    assert np.abs(np.diff(infrared.astype(float))).mean() < 0.8 * np.abs(np.diff(images[1].astype(float))).mean()
    assert infrared.mean() == pytest.approx(images[1].mean(), abs=2)


def test_displacement_moves_the_infrared_by_no_more_than_allowed():
    infrared = np.tile(np.arange(0, 200, 4, dtype=np.uint8), (40, 1))
    moved = _varied((np.zeros((40, 50, 3), np.uint8), infrared), displacement=1, farthest=2.0)[1]
    # A ramp of 4 grey levels a pixel, moved by d, changes by 4 d.
    change = moved[:, 4:-4].astype(int) - infrared[:, 4:-4]
    assert 0 < np.abs(change).max() <= 8


def test_the_seed_decides(images):
    everything = VariationConfig(*(1.0,) * 5)
    first, again = (vary(*images, np.random.default_rng(5), everything) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
