"""Fading between modes: shares that follow the stamps alone, and never a jump."""

from __future__ import annotations

import numpy as np
import pytest

from fusion_ros.fusion.fallback import FallbackFusion
from fusion_ros.fusion.mode_fade import ModeFade, blend, fade_over

MS = 1_000_000


def shares(fade, mode, stamps_ms):
    return [dict(fade.update(mode, round(stamp * MS))) for stamp in stamps_ms]


def test_a_fade_takes_its_time_from_the_last_frame_of_the_mode_before():
    fade = ModeFade(0.4)
    assert shares(fade, "caf", [0, 100]) == [{}, {}]
    found = shares(fade, "dfvo", [200, 300, 400, 500, 600])
    # 0.1 s of 0.4 s is a quarter.
    assert [found[0], found[1], found[2]] == [pytest.approx({"caf": share}) for share in (0.75, 0.5, 0.25)]
    assert found[3:] == [{}, {}]


def test_shares_at_one_moment_are_the_same_at_any_frame_rate():
    at_100_ms = []
    for period in (100, 50, 20, 10):
        fade = ModeFade(0.3)
        fade.update("caf", 0)
        found = shares(fade, "epofusion", range(period, 101, period))
        at_100_ms.append(found[-1]["caf"])
    assert at_100_ms == pytest.approx([2 / 3] * 4)


def test_a_mode_that_comes_back_starts_from_what_is_to_be_seen():
    fade = ModeFade(0.4)
    fade.update("caf", 0)
    assert shares(fade, "dfvo", [100]) == [pytest.approx({"caf": 0.75})]
    # A quarter of dfvo goes within a quarter of the time.
    assert shares(fade, "caf", [200]) == [{}]


def test_a_third_mode_fades_in_over_the_mix_of_two():
    fade = ModeFade(0.4)
    fade.update("caf", 0)
    fade.update("dfvo", 100 * MS)
    found = shares(fade, "guided", [200, 300, 400, 500])
    assert found[0] == pytest.approx({"caf": 0.75 * 0.75, "dfvo": 0.25 * 0.75})
    assert found[1] == pytest.approx({"caf": 0.75 * 0.5, "dfvo": 0.25 * 0.5})
    assert found[3] == {}


def test_no_two_frames_differ_by_more_than_the_rate_however_the_mode_changes():
    random = np.random.default_rng(0)
    fade, levels, level, stamp = ModeFade(0.3), {"caf": 0.0, "dfvo": 100.0, "epofusion": 200.0}, None, 0
    for _ in range(500):
        mode = str(random.choice(list(levels)))
        elapsed = float(random.uniform(0.005, 0.1))
        stamp += round(elapsed * 1e9)
        found = fade.update(mode, stamp)
        shown = sum(levels[name] * share for name, share in found.items()) + levels[mode] * (1 - sum(found.values()))
        # The modes are 200 levels apart; half a level in 255 of each may be left out at the end.
        assert level is None or abs(shown - level) <= 200 * elapsed / 0.3 + 2 * 200 / 255
        level = shown


@pytest.mark.parametrize("stamp", [300, 5000, 0, -100], ids=["as long as a fade", "gap", "same moment", "back in time"])
def test_there_is_no_fade_over_a_gap_or_back_in_time(stamp):
    fade = ModeFade(0.3)
    fade.update("caf", 0)
    assert shares(fade, "dfvo", [stamp]) == [{}]


def test_a_gap_ends_a_fade_that_is_under_way():
    fade = ModeFade(0.3)
    fade.update("caf", 0)
    assert shares(fade, "dfvo", [100, 500]) == [pytest.approx({"caf": 2 / 3}), {}]


def test_zero_seconds_and_reset_switch_at_once():
    fade = ModeFade(0.0)
    fade.update("caf", 0)
    assert shares(fade, "dfvo", [1]) == [{}]
    fade.seconds = 0.3
    fade.reset()
    assert shares(fade, "caf", [2]) == [{}]


@pytest.mark.parametrize("parts", [[0.25], [0.3, 0.2], [0.1, 0.1, 0.1]])
def test_blend_is_the_weighted_mean(parts):
    random = np.random.default_rng(1)
    image, *others = (random.integers(0, 256, (16, 16, 3), np.uint8) for _ in range(1 + len(parts)))
    exact = image * (1 - sum(parts)) + sum(other * share for other, share in zip(others, parts, strict=True))
    found = blend(image, list(zip(others, parts, strict=True)))
    assert np.abs(found - exact).max() <= 0.5 * len(parts) + 1e-6


class Level:
    """Stands for a model: paints one level, or fails."""

    def __init__(self, level):
        self.level = level

    def fuse(self, rgb_bgr, thermal):
        if self.level is None:
            raise RuntimeError("out of memory")
        return np.full_like(rgb_bgr, self.level)


def test_a_mode_that_has_failed_is_not_faded_from():
    levels = {"caf": 40, "guided": 80}
    fusion = FallbackFusion(loader=lambda name, *_: Level(levels.get(name, 0)))
    fusion.load({})
    fade, rgb, thermal = ModeFade(0.4), np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.uint8)

    def frame(mode, stamp_ms):
        answer = fusion.fuse(mode, rgb, thermal)
        return fade_over(fusion, fade, answer, rgb, thermal, stamp_ms * MS)

    assert frame("caf", 0)[0].image.max() == 40
    fusion.models["caf"].level = None
    answer, fading = frame("caf", 100)
    assert (answer.mode, answer.image.max(), fading) == ("guided", 80, {})
    fusion.models["caf"].level = 40
    fusion.retry()
    answer, fading = frame("caf", 200)
    assert (answer.mode, fading) == ("caf", pytest.approx({"guided": 0.75}))
    assert (answer.image == 70).all()
