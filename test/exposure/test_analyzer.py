"""Exposure readings: shares counted by hand, and real pictures called what they are."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from fusion_ros.errors import InputError
from fusion_ros.exposure import ExposureAnalyzer, ExposureConfig, SelectorConfig


def test_shares_of_a_known_image():
    luma = np.full((100, 100), 120, np.uint8)
    luma[:10] = 255
    luma[10:40] = 0
    reading = ExposureAnalyzer().analyze(luma)
    assert reading.glare_fraction == pytest.approx(0.10)
    assert reading.dark_fraction == pytest.approx(0.30)
    assert reading.mean_luma == pytest.approx(0.1 * 255 + 0.6 * 120)


def test_thresholds_are_inclusive():
    config = ExposureConfig(glare_luma=200, dark_luma=30)
    luma = np.array([[199, 200], [30, 31]] * 8, np.uint8).repeat(4, axis=1)
    luma[0, 0] = 0
    luma[0, 1] = 0
    reading = ExposureAnalyzer(config).analyze(luma)
    # 16 rows of 8: half of the odd rows is 200, half of the even rows 30; two of the 199 became black.
    assert reading.glare_fraction == pytest.approx(32 / 128)
    assert reading.dark_fraction == pytest.approx((32 + 2) / 128)


def test_colour_is_weighed_as_luminance():
    blue = np.zeros((20, 20, 3), np.uint8)
    blue[..., 0] = 255
    # BT.601: 0.114 * 255 = 29
    assert ExposureAnalyzer().analyze(blue).mean_luma == pytest.approx(29)


def test_lifted_blacks_are_dark_all_the_same():
    night = np.random.default_rng(0).integers(0, 25, (120, 160)).astype(np.uint8)
    night[:20] = 180
    reading = ExposureAnalyzer().analyze(night)
    lifted = ExposureAnalyzer().analyze(night + 50)
    assert lifted.dark_fraction == pytest.approx(reading.dark_fraction)
    assert reading.dark_fraction == pytest.approx(5 / 6, abs=0.01)


def test_fog_is_not_dark():
    fog = np.random.default_rng(0).integers(140, 170, (120, 160)).astype(np.uint8)
    assert ExposureAnalyzer().analyze(fog).dark_fraction == 0.0


def test_a_large_image_is_sampled_evenly():
    luma = np.full((1080, 1920), 100, np.uint8)
    luma[:, 960:] = 255
    assert ExposureAnalyzer().analyze(luma).glare_fraction == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (500, 3)])
def test_any_size_of_image(shape):
    assert ExposureAnalyzer().analyze(np.full(shape, 255, np.uint8)).glare_fraction == 1.0


@pytest.mark.parametrize("image", [np.zeros((4, 4), np.uint16), np.zeros((4, 4, 4), np.uint8), np.zeros(4, np.uint8)])
def test_what_is_not_an_image_of_bytes_is_refused(image):
    with pytest.raises(InputError, match="exposure"):
        ExposureAnalyzer().analyze(image)


def test_a_pixel_cannot_be_dark_and_over_exposed():
    with pytest.raises(InputError, match="dark_luma"):
        ExposureConfig(glare_luma=100, dark_luma=60, black_limit=50)


def test_real_pictures_are_called_what_they_are(shared_data):
    analyzer, selector = ExposureAnalyzer(), SelectorConfig()
    readings = {
        (file.parent.parent.name, file.stem): analyzer.analyze(cv2.imread(str(file)))
        for folder in ("msrs", "llvip")
        for file in sorted((shared_data / "data" / folder / "vi").iterdir())
    }
    dark = {name: reading.dark_fraction >= selector.dark_enter for name, reading in readings.items()}
    # MSRS names night pictures N and day pictures D; LLVIP was taken at night.
    assert dark == {name: name[0] == "llvip" or name[1].endswith("N") for name in readings}
    # Street lamps and headlights of a night scene are not glare.
    assert not any(reading.glare_fraction >= selector.glare_enter for n, reading in readings.items() if dark[n])
