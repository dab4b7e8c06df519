"""Darkness synthesis against the camera model it states."""

from __future__ import annotations

import numpy as np
import pytest

from fusion_ros.training.data.darkness import DarknessConfig, darken

PLAIN = {"gamma_spread": 0.0, "colour_cast": 0.0}


def test_one_stop_less_halves_linear_light():
    config = DarknessConfig(weakest=1.0, strongest=1.0, shot_noise=0.0, read_noise=0.0, **PLAIN)
    level = darken(np.full((8, 8, 3), 200, np.uint8), np.random.default_rng(0), config)[0, 0, 0]
    # 200 * 2^(-1/2.2)
    assert level == round(200 * 2 ** (-1 / 2.2))


def test_no_stop_and_no_noise_leave_the_image_as_it_is():
    config = DarknessConfig(weakest=0.0, strongest=0.0, shot_noise=0.0, read_noise=0.0, **PLAIN)
    image = np.random.default_rng(0).integers(0, 256, (16, 16, 3)).astype(np.uint8)
    assert np.array_equal(darken(image, np.random.default_rng(0), config), image)


def test_photon_noise_grows_with_the_root_of_light():
    config = DarknessConfig(weakest=0.0, strongest=0.0, shot_noise=0.02, read_noise=0.0, **PLAIN)
    deviations = []
    for level in (186, 99):
        noisy = darken(np.full((200, 200, 3), level, np.uint8), np.random.default_rng(0), config)
        deviations.append(((noisy / 255.0) ** 2.2).std())
    # (186/255)^2.2 = .5 and (99/255)^2.2 = .125: a quarter of the light, half the noise.
    assert deviations[0] / deviations[1] == pytest.approx(2.0, rel=0.05)


def test_colour_cast_unbalances_grey():
    config = DarknessConfig(shot_noise=0.0, read_noise=0.0, colour_cast=0.3)
    assert len(set(darken(np.full((4, 4, 3), 220, np.uint8), np.random.default_rng(1), config)[0, 0].tolist())) > 1


def test_the_seed_decides_everything():
    image = np.full((20, 20, 3), 120, np.uint8)
    first, again, other = (darken(image, np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
