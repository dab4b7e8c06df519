"""A thermal sensor that repeats itself is found out, and one that lives is not."""

from __future__ import annotations

import numpy as np
import pytest

from fusion_ros.errors import InputError
from fusion_ros.thermal import FrozenFrameConfig, FrozenFrameDetector

MS = 1_000_000
CONFIG = FrozenFrameConfig(frozen_frames=5, frozen_time=0.3)


def noisy(seed):
    return np.random.default_rng(seed).integers(29000, 29020, (120, 160)).astype(np.uint16)


def test_identical_frames_freeze_after_count_and_time():
    detector = FrozenFrameDetector(CONFIG)
    verdicts = [detector.update(noisy(0), i * 33 * MS) for i in range(14)]
    # Five frames are there after 132 ms; 0.3 s have passed with the tenth step (10 * 33 = 330).
    assert verdicts == [False] * 10 + [True] * 4


def test_a_slow_camera_needs_the_count():
    detector = FrozenFrameDetector(CONFIG)
    assert [detector.update(noisy(0), i * 200 * MS) for i in range(6)] == [False] * 4 + [True] * 2


def test_the_first_new_frame_thaws():
    detector = FrozenFrameDetector(CONFIG)
    for i in range(20):
        frozen = detector.update(noisy(0), i * 33 * MS)
    assert frozen
    assert not detector.update(noisy(1), 700 * MS)
    assert not detector.update(noisy(0), 733 * MS)


def test_sensor_noise_is_life():
    detector = FrozenFrameDetector(CONFIG)
    assert not any(detector.update(noisy(i), i * 33 * MS) for i in range(30))


def test_one_pixel_that_moves_is_life():
    # Already processed 8-bit video without noise: nothing changes but a small object beside the sampled pixels.
    detector = FrozenFrameDetector(CONFIG)
    for i in range(30):
        image = np.full((480, 640), 90, np.uint8)
        image[302, 303 + i] = 200
        assert not detector.update(image, i * 33 * MS)


def test_a_frozen_frame_may_have_dead_pixels():
    image = noisy(0).astype(np.float32)
    image[0, 0] = np.nan
    detector = FrozenFrameDetector(CONFIG)
    assert [detector.update(image.copy(), i * 200 * MS) for i in range(6)] == [False] * 4 + [True] * 2


def test_a_camera_that_repeats_each_frame_is_not_frozen():
    detector = FrozenFrameDetector(CONFIG)
    assert not any(detector.update(noisy(i // 3), i * 33 * MS) for i in range(60))


def test_stamps_that_go_back_start_anew():
    detector = FrozenFrameDetector(CONFIG)
    for i in range(20):
        detector.update(noisy(0), (1000 + i * 33) * MS)
    assert not detector.update(noisy(0), 0)


def test_zero_frames_means_never():
    detector = FrozenFrameDetector(FrozenFrameConfig(frozen_frames=0))
    assert not any(detector.update(noisy(0), i * 1000 * MS) for i in range(30))


@pytest.mark.parametrize("shape", [(1, 1), (3, 500), (65, 63)])
def test_any_size_of_image(shape):
    detector = FrozenFrameDetector(CONFIG)
    assert not detector.update(np.zeros(shape, np.float32), 0)


def test_bad_configuration_is_refused():
    with pytest.raises(InputError, match="frozen_time"):
        FrozenFrameConfig(frozen_time=-1.0)
