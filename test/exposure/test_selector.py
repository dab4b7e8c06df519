"""Mode selection: hysteresis, dwell time, and glare before darkness."""

from __future__ import annotations

import pytest

from fusion_ros.errors import InputError
from fusion_ros.exposure import ModeSelector, SelectorConfig
from fusion_ros.types import ExposureReading

MS = 1_000_000
CONFIG = SelectorConfig(glare_enter=0.10, glare_exit=0.05, dark_enter=0.60, dark_exit=0.40, dwell=0.5)
NORMAL = ExposureReading(0.0, 0.1, 120.0)
GLARE = ExposureReading(0.2, 0.1, 180.0)
DARK = ExposureReading(0.0, 0.8, 20.0)


def modes(readings, step_ms=100, config=CONFIG, selector=None, start_ms=0):
    selector = selector or ModeSelector(config)
    return [selector.update(reading, (start_ms + i * step_ms) * MS) for i, reading in enumerate(readings)]


@pytest.mark.parametrize(("reading", "mode"), [(NORMAL, "caf"), (GLARE, "epofusion"), (DARK, "dfvo")])
def test_the_first_reading_decides_at_once(reading, mode):
    assert modes([reading]) == [mode]


def test_glare_wins_over_darkness():
    assert modes([ExposureReading(0.2, 0.7, 100.0)]) == ["epofusion"]


def test_a_change_waits_for_the_dwell_time():
    # Called for from 100 ms on, made at 600 ms.
    assert modes([NORMAL] + [GLARE] * 6) == ["caf"] * 6 + ["epofusion"]


def test_a_flash_shorter_than_the_dwell_time_changes_nothing():
    assert modes([NORMAL, GLARE, GLARE, GLARE, NORMAL] * 4) == ["caf"] * 20


def test_a_change_of_mind_starts_the_dwell_time_anew():
    readings = [NORMAL] + [GLARE] * 4 + [DARK] * 6
    assert modes(readings) == ["caf"] * 10 + ["dfvo"]


def test_between_the_thresholds_the_mode_stays():
    between = ExposureReading(0.07, 0.1, 150.0)
    assert modes([GLARE] + [between] * 20) == ["epofusion"] * 21
    assert modes([NORMAL] + [between] * 20) == ["caf"] * 21
    half_dark = ExposureReading(0.0, 0.5, 60.0)
    assert modes([DARK] + [half_dark] * 20) == ["dfvo"] * 21
    assert modes([NORMAL] + [half_dark] * 20) == ["caf"] * 21


def test_thresholds_are_inclusive():
    no_wait = SelectorConfig(glare_enter=0.10, glare_exit=0.05, dwell=0.0)
    shares = [0.0999, 0.10, 0.05, 0.0499]
    readings = [ExposureReading(share, 0.0, 100.0) for share in shares]
    assert modes(readings, config=no_wait) == ["caf", "epofusion", "epofusion", "caf"]


def test_stamps_that_go_back_decide_at_once():
    selector = ModeSelector(CONFIG)
    modes([NORMAL] * 5, selector=selector, start_ms=10_000)
    assert selector.update(DARK, 0) == "dfvo"


def test_reset_decides_at_once():
    selector = ModeSelector(CONFIG)
    modes([NORMAL] * 5, selector=selector)
    selector.reset()
    assert selector.update(GLARE, 600 * MS) == "epofusion"


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"glare_enter": 0.1, "glare_exit": 0.2}, "glare_exit"),
        ({"dark_enter": 0.3, "dark_exit": 0.4}, "dark_exit"),
        ({"glare_enter": 1.5}, "glare_enter"),
        ({"dwell": -1.0}, "dwell"),
    ],
)
def test_bad_thresholds_are_refused(values, name):
    with pytest.raises(InputError, match=name):
        SelectorConfig(**values)
