"""Fusion always answers, says what answered, and comes back to what was asked for."""

from __future__ import annotations

import numpy as np
import pytest

from fusion_ros.errors import InputError
from fusion_ros.fusion import ModelUnavailableError, load_model
from fusion_ros.fusion.fallback import FRAMES_UNTIL_RETRY, NETWORK_MODES, FallbackFusion

RGB = np.random.default_rng(0).integers(0, 256, (24, 32, 3)).astype(np.uint8)
THERMAL = np.random.default_rng(1).integers(0, 256, (24, 32)).astype(np.uint8)


class Painter:
    """A model that paints its number, or fails while `error` is set."""

    def __init__(self, number):
        self.number = number
        self.error = None
        self.calls = 0

    def fuse(self, rgb_bgr, thermal):
        self.calls += 1
        if self.error is not None:
            raise self.error
        return np.full_like(rgb_bgr, self.number)

    def warm_up(self, height, width):
        self.fuse(np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.uint8))


class Shelf:
    """A loader with networks that paint; classical models are the real ones."""

    def __init__(self, missing=(), broken=()):
        self.missing, self.broken = missing, broken
        self.made: list[tuple[str, str | None]] = []

    def __call__(self, name, weights, device, backend, precision):
        if name not in NETWORK_MODES:
            return load_model(name)
        if weights == "bad.safetensors" or name in self.broken:
            raise InputError(f"{weights}: cannot be read")
        if name in self.missing and weights is None:
            raise ModelUnavailableError(f"{name}: has no weights yet")
        self.made.append((name, weights))
        return Painter(len(self.made))


def loaded(weights=None, device="auto", **shelf):
    fusion = FallbackFusion(device=device, loader=Shelf(**shelf))
    fusion.load(weights or {})
    return fusion


def test_what_can_run_runs():
    fusion = loaded()
    answer = fusion.fuse("dfvo", RGB, THERMAL)
    assert (answer.mode, answer.fallback_reason) == ("dfvo", None)
    assert (answer.image == fusion.models["dfvo"].number).all()
    assert fusion.problems == {}


@pytest.mark.parametrize("mode", ["epofusion", "dfvo"])
def test_a_network_without_weights_is_replaced_by_caf(mode):
    fusion = loaded(missing=("epofusion", "dfvo"))
    answer = fusion.fuse(mode, RGB, THERMAL)
    assert (answer.mode, answer.fallback_reason) == ("caf", f"{mode}: has no weights yet")
    assert set(fusion.problems) == {"epofusion", "dfvo"}


def test_without_any_weights_guided_answers():
    answer = loaded(missing=NETWORK_MODES).fuse("epofusion", RGB, THERMAL)
    assert (answer.mode, answer.fallback_reason) == ("guided", "epofusion: has no weights yet")
    np.testing.assert_array_equal(answer.image, load_model("guided").fuse(RGB, THERMAL))


def test_damaged_shipped_weights_fall_back_and_say_so():
    fusion = loaded(broken=("caf",))
    answer = fusion.fuse("caf", RGB, THERMAL)
    assert answer.mode == "guided"
    assert "cannot be read" in answer.fallback_reason


def test_what_the_user_chose_is_insisted_on():
    with pytest.raises(InputError, match=r"bad\.safetensors"):
        loaded(weights={"caf": "bad.safetensors"})
    with pytest.raises(ModelUnavailableError):
        FallbackFusion(loader=_never_there).load({"caf": "mine"})
    with pytest.raises(InputError):
        loaded(device="cuda:7", broken=("caf",))


def _never_there(name, weights, device, backend, precision):
    raise ModelUnavailableError(f"{name}: no network")


def test_a_model_that_raises_is_replaced_by_guided_and_tried_again_later():
    fusion = loaded()
    model = fusion.models["epofusion"]
    model.error = RuntimeError("CUDA out of memory.\nTried to allocate 2 GiB")
    answers = [fusion.fuse("epofusion", RGB, THERMAL) for _ in range(FRAMES_UNTIL_RETRY)]
    assert {answer.mode for answer in answers} == {"guided"}
    wanted = "epofusion: RuntimeError: CUDA out of memory. Tried to allocate 2 GiB"
    assert {answer.fallback_reason for answer in answers} == {wanted}
    assert fusion.problems == {"epofusion": wanted}
    # Only the first frame paid for the failure.
    assert model.calls == 1
    model.error = None
    assert fusion.fuse("epofusion", RGB, THERMAL).mode == "epofusion"
    assert fusion.problems == {}


def test_a_failure_that_lasts_is_reported_again():
    fusion = loaded()
    fusion.models["caf"].error = RuntimeError("still full")
    for _ in range(2 * FRAMES_UNTIL_RETRY):
        assert fusion.fuse("caf", RGB, THERMAL).fallback_reason == "caf: RuntimeError: still full"
    assert fusion.models["caf"].calls == 2


def test_other_modes_are_not_touched_by_a_failure():
    fusion = loaded()
    fusion.models["caf"].error = RuntimeError("full")
    fusion.fuse("caf", RGB, THERMAL)
    assert fusion.fuse("dfvo", RGB, THERMAL).mode == "dfvo"


def test_retry_tries_at_once():
    fusion = loaded()
    model = fusion.models["caf"]
    model.error = RuntimeError("full")
    fusion.fuse("caf", RGB, THERMAL)
    model.error = None
    fusion.retry()
    assert fusion.fuse("caf", RGB, THERMAL).mode == "caf"


def test_when_nothing_runs_the_rgb_image_is_shown():
    fusion = loaded()
    answer = fusion.fuse("average", RGB, THERMAL[:10])
    assert answer.mode == "rgb"
    assert answer.image is RGB
    assert answer.fallback_reason.startswith("average: InputError")


def test_replaced_weights_are_used_and_cure_a_missing_model():
    fusion = loaded(missing=("dfvo",))
    fusion.replace("dfvo", "mine.safetensors")
    assert fusion.fuse("dfvo", RGB, THERMAL).fallback_reason is None
    assert fusion.problems == {}


def test_bad_weights_keep_the_old_model():
    fusion = loaded()
    before = fusion.models["caf"]
    with pytest.raises(InputError):
        fusion.replace("caf", "bad.safetensors")
    assert fusion.models["caf"] is before


def test_only_networks_have_weights():
    with pytest.raises(InputError, match="guided"):
        loaded().replace("guided", "mine.safetensors")


def test_a_model_that_fails_in_warm_up_is_noted():
    fusion = loaded()
    fusion.models["caf"].error = RuntimeError("no kernel image")
    fusion.warm_up(24, 32)
    assert fusion.problems == {"caf": "caf: RuntimeError: no kernel image"}
    assert fusion.models["dfvo"].calls == 1


def test_guidance_of_a_model_that_has_one_comes_with_the_answer():
    class Guided:
        def fuse(self, rgb_bgr, thermal):
            return rgb_bgr

        def fuse_with_guidance(self, rgb_bgr, thermal):
            return rgb_bgr, np.full_like(thermal, 255)

        def warm_up(self, height, width):
            pass

    class Plain:
        fuse, warm_up = Guided.fuse, Guided.warm_up

    fusion = FallbackFusion(loader=lambda name, *_: Guided() if name == "epofusion" else Plain())
    fusion.load({})
    assert (fusion.fuse("epofusion", RGB, THERMAL).guidance == 255).all()
    assert fusion.fuse("caf", RGB, THERMAL).guidance is None
