"""The pictures that are made of a pair."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from fusion_ros.errors import InputError
from fusion_ros.fusion import load_model
from fusion_ros.training.sensor_mix import INPUTS, SensorMixConfig, mix, random_mix


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(3)
    visible = cv2.GaussianBlur(random.integers(60, 200, (48, 64, 3)).astype(np.uint8), (9, 9), 0)
    infrared = cv2.GaussianBlur(random.integers(0, 255, (48, 64)).astype(np.uint8), (9, 9), 0)
    return visible, infrared


def ycrcb(bgr: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2YCrCb).astype(np.int16)


def only(kind: str, **shares: float) -> SensorMixConfig:
    """Draws this kind alone, with thermal contrast as it is."""
    shares = {"glare_share": 0.0, "darkness_share": 0.0, "thermal_gamma": 0.0, **shares}
    return SensorMixConfig(inputs=tuple(float(name == kind) for name in INPUTS), **shares)


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


@pytest.mark.parametrize("kind", ["guided", "caf", "epofusion", "dfvo"])
def test_modes_are_what_the_fusion_node_makes(pair: tuple[np.ndarray, np.ndarray], kind: str) -> None:
    # Summation order may differ with the number of threads; a grey level of rounding at most.
    expected = load_model(kind, device="cpu").fuse(*pair).astype(np.int16)
    assert np.abs(mix(*pair, kind) - expected).max() <= 1


def test_an_unknown_kind_is_refused(pair: tuple[np.ndarray, np.ndarray]) -> None:
    with pytest.raises(InputError, match="'sum' is not one of rgb, thermal, average, maximum"):
        mix(*pair, "sum")


def test_random_mix_follows_its_seed_and_draws_kinds_as_often_as_asked(pair: tuple[np.ndarray, np.ndarray]) -> None:
    visible, infrared = pair
    config = SensorMixConfig(inputs=(3.0, 1.0, *[0.0] * 6), glare_share=0.0, darkness_share=0.0)
    draws = [random_mix(visible, infrared, config, np.random.default_rng(5)) for _ in range(2)]
    np.testing.assert_array_equal(*draws)
    random = np.random.default_rng(0)
    drawn = [random_mix(visible, infrared, config, random) for _ in range(400)]
    share = np.mean([np.array_equal(image, visible) for image in drawn])
    assert share == pytest.approx(0.75, abs=0.07)  # three standard deviations of 400 draws


def test_every_kind_is_drawn_by_default() -> None:
    assert len(SensorMixConfig().inputs) == len(INPUTS)
    assert min(SensorMixConfig().inputs) > 0


def test_glare_adds_light_and_darkness_takes_it_before_the_pair_is_fused() -> None:
    grey, infrared = np.full((48, 64, 3), 100, np.uint8), np.full((48, 64), 100, np.uint8)
    random = np.random.default_rng(1)
    for _ in range(10):
        # The mean of visible and thermal: what the light changes counts half.
        glared = random_mix(grey, infrared, only("average", glare_share=1.0), random)
        assert glared.min() >= 97  # blue suffers most from the rounding of colours
        assert glared.max() > 120
        darkened = random_mix(grey, infrared, only("average", darkness_share=1.0, lifted=0.0), random)
        assert 50 < darkened.mean() < 100
    assert (grey == 100).all()


def test_light_changes_thermal_pictures_not_at_all(pair: tuple[np.ndarray, np.ndarray]) -> None:
    random = np.random.default_rng(1)
    for config in (only("thermal", glare_share=1.0), only("thermal", darkness_share=1.0)):
        np.testing.assert_array_equal(random_mix(*pair, config, random), np.dstack([pair[1]] * 3))
