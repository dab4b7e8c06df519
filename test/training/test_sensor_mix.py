"""The pictures that are made of a pair."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from fusion_ros.training.sensor_mix import INPUTS, SensorMixConfig, add_glare, darken, mix, random_mix


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(3)
    visible = cv2.GaussianBlur(random.integers(60, 200, (48, 64, 3)).astype(np.uint8), (9, 9), 0)
    infrared = cv2.GaussianBlur(random.integers(0, 255, (48, 64)).astype(np.uint8), (9, 9), 0)
    return visible, infrared


def ycrcb(bgr: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2YCrCb).astype(np.int16)


def test_rgb_and_thermal_are_the_images_themselves(pair: tuple[np.ndarray, np.ndarray]) -> None:
    visible, infrared = pair
    np.testing.assert_array_equal(mix(visible, infrared, "rgb"), visible)
    np.testing.assert_array_equal(mix(visible, infrared, "thermal"), np.dstack([infrared] * 3))
    assert not np.shares_memory(mix(visible, infrared, "rgb"), visible)


@pytest.mark.parametrize("kind", ["average", "maximum"])
def test_fused_kinds_mix_luminance_and_keep_chroma(pair: tuple[np.ndarray, np.ndarray], kind: str) -> None:
    visible, infrared = pair
    found, original = ycrcb(mix(visible, infrared, kind)), ycrcb(visible)
    luminance = original[:, :, 0].astype(float)
    expected = (luminance + infrared) / 2 if kind == "average" else np.maximum(luminance, infrared)
    # Where the mixture leaves the range of RGB it is clipped; elsewhere two conversions round by a grey level or two.
    inside = (mix(visible, infrared, kind) % 255 != 0).all(axis=2)
    assert inside.mean() > 0.5
    assert np.abs(found[:, :, 0] - expected)[inside].max() <= 2
    assert np.abs(found[:, :, 1:] - original[:, :, 1:])[inside].max() <= 3


def test_an_unknown_kind_is_refused(pair: tuple[np.ndarray, np.ndarray]) -> None:
    with pytest.raises(ValueError, match="'sum' is not one of rgb, thermal, average, maximum"):
        mix(*pair, "sum")


def test_random_mix_follows_its_seed_and_draws_kinds_as_often_as_asked(pair: tuple[np.ndarray, np.ndarray]) -> None:
    visible, infrared = pair
    config = SensorMixConfig(inputs=(3.0, 1.0, 0.0, 0.0), glare=0.0, darkness=0.0)
    draws = [random_mix(visible, infrared, config, np.random.default_rng(5)) for _ in range(2)]
    np.testing.assert_array_equal(*draws)
    random = np.random.default_rng(0)
    drawn = [random_mix(visible, infrared, config, random) for _ in range(400)]
    share = np.mean([np.array_equal(image, visible) for image in drawn])
    assert share == pytest.approx(0.75, abs=0.07)  # three standard deviations of 400 draws


def test_every_kind_is_drawn_by_default() -> None:
    assert len(SensorMixConfig().inputs) == len(INPUTS)
    assert min(SensorMixConfig().inputs) > 0


def test_glare_only_adds_light_and_darkness_takes_it() -> None:
    grey = np.full((48, 64, 3), 100, np.uint8)
    random = np.random.default_rng(1)
    for _ in range(20):
        glare = add_glare(grey, random)
        assert glare.min() >= 100
        assert glare.max() > 140
        assert darken(grey, random).mean() < 60
    assert (grey == 100).all()
