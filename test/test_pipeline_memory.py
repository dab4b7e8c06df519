"""What a pipeline remembers can be carried to another one: it goes on as if it had seen every frame itself."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from fusion_ros.errors import InputError
from fusion_ros.fusion import ModelUnavailableError, load_model
from fusion_ros.pipeline import FusionPipeline, PipelineConfig
from fusion_ros.types import Frame, FramePair

MS = 1_000_000
FRAMES = 24


class Tint:
    """Stands for a network: the thermal image above a floor of its own, so that gain control and mode both show."""

    def __init__(self, floor):
        self.floor = floor

    def fuse(self, rgb_bgr, thermal):
        return np.repeat(np.maximum(thermal, self.floor)[..., None], 3, axis=2)

    def warm_up(self, height, width):
        return 0.0


def tints(name, weights, device, backend, precision):
    floors = {"epofusion": 90, "dfvo": 140, "caf": 30}
    return Tint(floors[name]) if name in floors else load_model(name)


def without_dfvo(name, weights, device, backend, precision):
    if name == "dfvo":
        raise ModelUnavailableError("dfvo: has no weights")
    return tints(name, weights, device, backend, precision)


def pair(number):
    """Light that calls for all three modes in turn; counts that drift; a sensor that freezes and one bad frame."""
    rng = np.random.default_rng(number)
    luma = (120, 275, 0)[number // 8 % 3]
    rgb = np.clip(rng.integers(-20, 20, (48, 64, 3)) + luma, 0, 255).astype(np.uint8)
    counts = rng.integers(0, 900, (24, 32)) + 29000 + 150 * number
    if 3 <= number < 9:
        counts = np.full((24, 32), 30000) + np.arange(32)
    thermal = counts.astype(np.float32) if number != 15 else np.full((24, 32), np.nan, np.float32)
    return FramePair(Frame(rgb, number * 100 * MS), Frame(thermal, number * 100 * MS))


def loaded(loader=tints, **values):
    pipeline = FusionPipeline(PipelineConfig(**values), model_loader=loader)
    pipeline.load()
    return pipeline


@pytest.mark.parametrize("loader", [tints, without_dfvo])
@pytest.mark.parametrize("seen", range(1, FRAMES, 3))
def test_following_remembers_what_processing_remembers(seen, loader):
    whole, follower, other = loaded(loader, mode_fade=0.3), loaded(loader, mode_fade=0.3), loaded(loader, mode_fade=0.3)
    for number in range(seen):
        whole.process(pair(number))
        follower.follow(pair(number))
    # As it travels to another process.
    other.recall(pickle.loads(pickle.dumps(follower.memory())))
    for number in range(seen, FRAMES):
        expected, got = whole.process(pair(number)), other.process(pair(number))
        assert (got.mode, got.fallback_reason, got.fading_from) == (
            expected.mode,
            expected.fallback_reason,
            expected.fading_from,
        ), number
        np.testing.assert_array_equal(got.image, expected.image)


def test_the_scene_of_these_tests_has_something_to_remember():
    pipeline = loaded(mode_fade=0.3)
    frames = [pipeline.process(pair(number)) for number in range(FRAMES)]
    assert {frame.mode for frame in frames} >= {"caf", "epofusion", "dfvo"}
    assert any(frame.fading_from for frame in frames)
    assert any("frozen" in (frame.fallback_reason or "") for frame in frames)
    # Gain control without its past gives other grey levels.
    fresh = loaded()
    assert not np.array_equal(fresh.process(pair(20)).thermal, frames[20].thermal)


def test_a_memory_is_a_copy():
    pipeline = loaded()
    pipeline.follow(pair(0))
    memory = pipeline.memory()
    before = pickle.dumps(memory)
    pipeline.follow(pair(9))
    other = loaded()
    other.recall(memory)
    other.process(pair(10))
    assert pickle.dumps(memory) == before


def test_following_refuses_what_processing_refuses():
    grey = FramePair(Frame(np.zeros((4, 4), np.uint8), 0), Frame(np.zeros((4, 4), np.uint16), 0))
    with pytest.raises(InputError, match="BGR"):
        loaded().follow(grey)
