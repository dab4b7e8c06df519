"""Figures for glare and darkness, on methods with a known answer."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from fusion_ros.training.conditions import darkness_figures, glare_figures, gray


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    """A dark scene with a burnt patch, and a textured infrared image."""
    random = np.random.default_rng(0)
    infrared = cv2.GaussianBlur(random.random((96, 128), np.float32), (0, 0), 2.0)
    infrared = cv2.normalize(infrared, None, 30, 200, cv2.NORM_MINMAX).astype(np.uint8)
    visible = np.full((96, 128, 3), 20, np.uint8)
    visible[20:60, 30:80] = 255
    return visible, infrared


def test_copying_the_infrared_keeps_all_of_its_gradients(pair):
    figures = glare_figures(lambda _visible, infrared: infrared, *pair)
    assert figures["correlation"] == pytest.approx(1.0)
    assert figures["ratio"] == pytest.approx(1.0)
    assert figures["saturated"] == 0.0


def test_the_maximum_burns_out(pair):
    figures = glare_figures(lambda visible, infrared: np.maximum(gray(visible), infrared), *pair)
    assert figures["saturated"] == 1.0
    # What gradient there is, is the border of the patch.
    assert figures["correlation"] < 0.3


def test_without_over_exposure_there_is_no_figure_inside(pair):
    figures = glare_figures(lambda _visible, infrared: infrared, np.full((96, 128, 3), 90, np.uint8), pair[1])
    assert np.isnan([figures[name] for name in ("correlation", "ratio", "saturated")]).all()
    assert figures["VIF outside"] > 0


def test_a_clean_image_is_compared_with_the_whole_picture(pair):
    clean = np.repeat(pair[1][..., None], 3, axis=2)
    figures = glare_figures(lambda _visible, infrared: infrared, *pair, clean)
    assert figures["VIF clean"] == pytest.approx(2.0, abs=1e-3)


def test_a_gain_of_two_doubles_light_and_noise(pair):
    figures = darkness_figures(lambda visible, _infrared: cv2.multiply(gray(visible), 2), *pair)
    assert figures["noise gain"] == pytest.approx(2.0, rel=0.02)
    # (2 * 20 + 1) / (20 + 1)
    assert figures["light gain"] == pytest.approx(41 / 21, rel=0.01)


def test_a_method_that_ignores_the_visible_image_has_no_noise_of_it(pair):
    figures = darkness_figures(lambda _visible, infrared: infrared, *pair)
    assert figures["noise gain"] == 0.0
    assert figures["newly saturated"] == 0.0
