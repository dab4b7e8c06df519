"""Flicker of fused video."""

from __future__ import annotations

import numpy as np
import pytest

from fusion_ros.errors import InputError
from fusion_ros.metrics import FlickerMeter


def flat(level):
    return np.full((6, 8), level, np.uint8)


def test_a_static_scene_with_a_pumping_fused_image_flickers_by_its_amplitude():
    meter = FlickerMeter()
    for frame in range(10):
        meter.add(flat(50), flat(60), flat(100 + 8 * (frame % 2)))
    reading = meter.read()
    # Each change is 8 levels where the sources change by none; a square wave of +-4 deviates by 4.
    assert reading.excess == pytest.approx(8.0)
    assert reading.brightness_jitter == pytest.approx(8.0)
    assert reading.fused_deviation == pytest.approx(4.0)
    assert (reading.visible_deviation, reading.infrared_deviation) == (0.0, 0.0)
    assert reading.frames == 10


def test_a_fused_image_that_follows_its_sources_does_not_flicker():
    meter = FlickerMeter()
    for frame in range(10):
        meter.add(flat(50 + 5 * frame), flat(60), flat(70 + 3 * frame))
    assert meter.read().excess == 0.0


def test_one_frame_reads_zero_and_another_size_is_refused():
    meter = FlickerMeter()
    meter.add(flat(1), flat(2), flat(3))
    assert meter.read().excess == 0.0
    with pytest.raises(InputError, match="fused: size"):
        meter.add(flat(1), flat(2), np.zeros((3, 3), np.uint8))
