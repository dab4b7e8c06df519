"""Glare synthesis: where it lies, how bright it is, what it hides."""

from __future__ import annotations

import numpy as np
import pytest

from fusion_ros.errors import InputError
from fusion_ros.training.data.glare import GlareConfig, add_glare
from fusion_ros.training.data.salience import boxes_of, salient_infrared

WARM = np.s_[40:60, 70:82]
ONE_WHITE_SPOT = GlareConfig(spots=1, yellowish=0.0, veil=0.0)


@pytest.fixture
def scene() -> tuple[np.ndarray, np.ndarray]:
    """A grey street, and an infrared image with one warm person in it."""
    visible = np.full((120, 160, 3), 60, np.uint8)
    infrared = np.full((120, 160), 40, np.uint8)
    infrared[WARM] = 220
    return visible, infrared


def test_salient_is_what_is_warmer_than_around_it(scene):
    mask = salient_infrared(scene[1])
    truth = np.zeros_like(mask)
    truth[WARM] = True
    assert (mask & truth).sum() / (mask | truth).sum() > 0.8
    x1, y1, x2, y2 = boxes_of(mask)[0]
    assert abs(x1 - 70) <= 2
    assert abs(y1 - 40) <= 2
    assert abs(x2 - 82) <= 2
    assert abs(y2 - 60) <= 2


def test_nothing_is_salient_in_a_flat_image():
    assert not salient_infrared(np.full((50, 60), 130, np.uint8)).any()
    assert boxes_of(np.zeros((50, 60), bool)).shape == (0, 4)


def test_the_spot_is_centred_on_the_object_and_hides_it(scene):
    glared = add_glare(*scene, np.random.default_rng(0), ONE_WHITE_SPOT)
    assert np.allclose(glared.centres[0], (76, 50), atol=2)
    assert glared.overexposed[50, 76]
    assert glared.hidden.any()
    assert not (glared.hidden & ~glared.overexposed).any()


def test_light_is_only_added_and_is_a_gaussian(scene):
    visible, infrared = scene
    config = GlareConfig(spots=1, yellowish=0.0, veil=0.0, weakest=0.5, strongest=0.5, smallest=0.1, largest=0.1)
    box = np.array([[80, 60, 80, 60]], np.float32)
    glared = add_glare(visible, infrared, np.random.default_rng(1), config, box)
    added = glared.visible[..., 0].astype(int) - 60
    assert added.min() >= 0
    # Half of full scale at the centre, and along a row the logarithm falls with the square of the distance.
    assert added[60, 80] == pytest.approx(127, abs=1)
    near, far = np.log(127.5 / added[60, 86]), np.log(127.5 / added[60, 92])
    assert far / near == pytest.approx(4.0, rel=0.1)


def test_a_box_beats_a_warm_object(scene):
    box = np.array([[10, 10, 30, 40]], np.float32)
    glared = add_glare(*scene, np.random.default_rng(0), ONE_WHITE_SPOT, box)
    assert np.allclose(glared.centres, [[20, 25]])


def test_yellowish_spots_have_less_blue(scene):
    config = GlareConfig(spots=1, yellowish=1.0, veil=0.0, weakest=0.6, strongest=0.6)
    blue, _, red = add_glare(*scene, np.random.default_rng(0), config).visible[50, 76].astype(int)
    assert blue < red


def test_the_seed_decides_everything(scene):
    first, again, other = (add_glare(*scene, np.random.default_rng(seed)).visible for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_scene_without_objects_is_dazzled_all_the_same():
    visible, infrared = np.full((90, 120, 3), 50, np.uint8), np.full((90, 120), 50, np.uint8)
    glared = add_glare(visible, infrared, np.random.default_rng(0), GlareConfig(weakest=1.2))
    assert glared.overexposed.any()
    assert not glared.hidden.any()


def test_given_salience_decides_what_is_hidden(scene):
    visible, infrared = scene
    marked = np.zeros(infrared.shape, bool)
    marked[20:30, 100:110] = True
    glared = add_glare(visible, infrared, np.random.default_rng(3), GlareConfig(spots=1, weakest=1.4), salient=marked)
    # The spot sits in the middle of the marked region, and nothing else is hidden by it.
    assert np.hypot(glared.centres[0, 0] - 105, glared.centres[0, 1] - 25) < 1
    assert glared.hidden[25, 105]
    assert not (glared.hidden & ~marked).any()


def test_unequal_sizes_are_refused(scene):
    with pytest.raises(InputError, match="differ in size"):
        add_glare(scene[0], scene[1][:-1], np.random.default_rng(0))
