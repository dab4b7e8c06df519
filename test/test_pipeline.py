"""The pipeline: every pair becomes one fused frame, whatever the mode, the sensors and the models do."""

from __future__ import annotations

import itertools
import math
import threading

import numpy as np
import pytest

from fusion_ros.configuration import settings_of
from fusion_ros.errors import InputError
from fusion_ros.exposure import ExposureConfig, SelectorConfig
from fusion_ros.fusion import ModelUnavailableError, load_model
from fusion_ros.fusion.fallback import NETWORK_MODES
from fusion_ros.pipeline import MODES, FusionPipeline, PipelineConfig
from fusion_ros.thermal import FrozenFrameConfig, RegistrationConfig, ThermalAgc
from fusion_ros.types import Frame, FramePair

MS = 1_000_000
LEVELS = {"epofusion": 11, "dfvo": 22, "caf": 33}


class Painter:
    """Stands for a network: paints the level of its mode."""

    def __init__(self, level):
        self.level = level
        self.error = None
        self.seen = []

    def fuse(self, rgb_bgr, thermal):
        if self.error is not None:
            raise self.error
        self.seen.append((rgb_bgr, thermal))
        return np.full_like(rgb_bgr, self.level)

    def warm_up(self, height, width):
        self.fuse(np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.uint8))


def painters(name, weights, device, backend, precision):
    if weights == "bad":
        raise InputError("bad: cannot be read")
    if name in LEVELS:
        return Painter(LEVELS[name] if weights is None else 99)
    return load_model(name)


def no_networks(name, weights, device, backend, precision):
    if name in NETWORK_MODES:
        raise ModelUnavailableError(f"{name}: has no weights yet")
    return load_model(name)


def pipeline(loader=painters, **values):
    made = FusionPipeline(PipelineConfig(**values), model_loader=loader)
    made.load()
    return made


def pair(number=0, luma=120, shape=(48, 64), thermal_shape=(24, 32), thermal=None, step_ms=100):
    """A pair with RGB texture around `luma` and fresh thermal noise."""
    noise = np.random.default_rng(number)
    rgb = np.clip(noise.integers(-20, 20, (*shape, 3)) + luma, 0, 255).astype(np.uint8)
    if thermal is None:
        thermal = noise.integers(29000, 30000, thermal_shape).astype(np.uint16)
    stamp = number * step_ms * MS
    return FramePair(Frame(rgb, stamp, "rgb_optical"), Frame(thermal, stamp + 3 * MS, "thermal_optical"))


NORMAL, GLARE, DARK = 120, 275, 0


@pytest.mark.parametrize("mode", sorted(LEVELS))
def test_the_mode_asked_for_makes_the_image(mode):
    fused = pipeline(mode=mode).process(pair())
    assert (fused.mode, fused.fallback_reason) == (mode, None)
    assert (fused.image == LEVELS[mode]).all()


@pytest.mark.parametrize(("luma", "mode"), [(NORMAL, "caf"), (GLARE, "epofusion"), (DARK, "dfvo")])
def test_auto_follows_the_light(luma, mode):
    assert pipeline().process(pair(luma=luma)).mode == mode


def test_the_result_carries_the_rgb_frames_header_and_size():
    given = pair(7)
    fused = pipeline().process(given)
    assert (fused.stamp_ns, fused.frame_id) == (given.rgb.stamp_ns, "rgb_optical")
    assert fused.image.shape == given.rgb.image.shape
    assert fused.image.dtype == np.uint8
    assert fused.thermal.shape == given.rgb.image.shape[:2]
    assert fused.exposure.mean_luma == pytest.approx(120, abs=5)


def test_steps_are_timed_in_their_order():
    fused = pipeline().process(pair())
    assert list(fused.timings_ms) == ["frozen", "agc", "registration", "exposure", "resize", "fusion", "fade"]
    assert all(value >= 0.0 for value in fused.timings_ms.values())


def test_thermal_counts_become_grey_on_the_rgb_grid():
    made = pipeline(mode="thermal", registration=RegistrationConfig((1, 0, 8, 0, 1, 0, 0, 0, 1)))
    given = pair(thermal_shape=(48, 64))
    fused = made.process(given)
    grey = ThermalAgc()(given.thermal.image)
    np.testing.assert_array_equal(fused.thermal[:, 8:], grey[:, :-8])
    np.testing.assert_array_equal(fused.image, np.repeat(fused.thermal[..., None], 3, axis=2))


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "auto"])
def test_real_classical_modes_and_fallbacks_answer(mode):
    fused = pipeline(loader=no_networks, mode=mode).process(pair())
    if mode in NETWORK_MODES:
        assert (fused.mode, fused.fallback_reason) == ("guided", f"{mode}: has no weights yet")
        mode = "guided"
    else:
        assert (fused.mode, fused.fallback_reason) == (mode, None)
    np.testing.assert_array_equal(fused.image, load_model(mode).fuse(pair().rgb.image, fused.thermal))


def test_mode_changes_between_two_frames_and_no_pair_is_lost():
    made = pipeline()
    modes = ["caf", "guided", "epofusion", "rgb", "dfvo", "auto"]
    found = []
    for number, mode in enumerate(modes):
        made.set_mode(mode)
        found.append(made.process(pair(number)).mode)
    assert found == ["caf", "guided", "epofusion", "rgb", "dfvo", "caf"]


@pytest.mark.parametrize("rate", [10, 15, 30, 60])
def test_a_static_scene_goes_over_to_the_next_mode_in_even_steps(rate):
    made = pipeline(mode="caf", mode_fade=0.3)
    still = pair()

    def level(number):
        stamp = round(number / rate * 1e9)
        given = FramePair(Frame(still.rgb.image, stamp), Frame(still.thermal.image + number % 2, stamp))
        fused = made.process(given)
        return fused.mode, float(fused.image.mean()), sum(fused.fading_from.values())

    assert level(0) == ("caf", 33.0, 0.0)
    made.set_mode("epofusion")
    frames = [level(number) for number in range(1, rate)]
    assert {mode for mode, _, _ in frames} == {"epofusion"}
    levels = [33.0, *(value for _, value, _ in frames)]
    # From 33 to 11 in 0.3 s: (33 - 11) / (0.3 rate) a frame, and half a level of rounding at either end.
    assert max(abs(after - before) for before, after in itertools.pairwise(levels)) <= 22 / (0.3 * rate) + 1
    in_force = [number for number, (_, value, share) in enumerate(frames, 1) if value == 11.0 and share == 0.0]
    assert in_force == list(range(math.ceil(0.3 * rate - 1e-6), rate))


def test_no_fade_where_it_is_switched_off_or_a_camera_is_missing():
    made = pipeline(mode="caf", mode_fade=0.0)
    made.process(pair(0))
    made.set_mode("dfvo")
    assert (made.process(pair(1)).image == LEVELS["dfvo"]).all()
    made.set_mode_fade(0.3)
    made.process_single(pair(2).rgb, "rgb")
    made.set_mode("caf")
    back = made.process(pair(3))
    assert (back.image == LEVELS["caf"]).all()
    assert back.fading_from == {}
    lost = made.process(pair(4, thermal=np.full((24, 32), np.nan, np.float32)))
    np.testing.assert_array_equal(lost.image, pair(4).rgb.image)
    made.set_mode("dfvo")
    assert (made.process(pair(5)).image == LEVELS["dfvo"]).all()
    made.reset()
    made.set_mode("caf")
    assert (made.process(pair(6)).image == LEVELS["caf"]).all()


def test_a_fade_can_be_ended_and_is_refused_out_of_range():
    made = pipeline(mode="caf")
    made.process(pair(0))
    made.set_mode("dfvo")
    assert made.process(pair(1)).fading_from == pytest.approx({"caf": 2 / 3})
    with pytest.raises(InputError, match="mode_fade"):
        made.set_mode_fade(-1.0)
    made.set_mode_fade(0.0)
    assert (made.process(pair(2)).image == LEVELS["dfvo"]).all()


def test_guidance_is_that_of_the_mode_in_force():
    made = pipeline(mode="epofusion")
    marked = np.full((48, 64), 255, np.uint8)
    made.models["epofusion"].fuse_with_guidance = lambda rgb, thermal: (np.full_like(rgb, 11), marked)
    assert made.process(pair(0)).guidance is marked
    made.set_mode("caf")
    fading = made.process(pair(1))
    assert (set(fading.fading_from), fading.guidance) == ({"epofusion"}, None)
    made.set_mode("epofusion")
    assert made.process(pair(2)).guidance is marked


def test_a_change_to_auto_knows_the_last_seconds():
    made = pipeline(mode="rgb")
    for number in range(10):
        made.process(pair(number, luma=DARK))
    made.set_mode("auto")
    assert made.process(pair(10, luma=NORMAL)).mode == "dfvo"


def test_unknown_mode_is_refused_and_the_old_one_stays():
    made = pipeline(mode="caf")
    with pytest.raises(InputError, match=r"mode: 'night'.*epofusion"):
        made.set_mode("night")
    assert made.process(pair()).mode == "caf"


def test_a_model_that_raises_is_reported_and_comes_back():
    made = pipeline(mode="caf")
    made.models["caf"].error = RuntimeError("CUDA out of memory")
    fused = made.process(pair(0))
    assert (fused.mode, fused.fallback_reason) == ("guided", "caf: RuntimeError: CUDA out of memory")
    assert made.problems == {"caf": fused.fallback_reason}
    made.models["caf"].error = None
    made.set_mode("caf")
    assert made.process(pair(1)).mode == "caf"


def test_a_frozen_thermal_sensor_is_left_out_until_it_thaws():
    made = pipeline(frozen=FrozenFrameConfig(frozen_frames=3, frozen_time=0.2))
    stuck = np.full((24, 32), 29500, np.uint16)
    stuck[::2] = 29000
    fused = [made.process(pair(number, thermal=stuck)) for number in range(5)]
    assert [one.mode for one in fused] == ["caf", "caf", "rgb", "rgb", "rgb"]
    assert "frozen" in fused[-1].fallback_reason
    np.testing.assert_array_equal(fused[-1].image, pair(4).rgb.image)
    thawed = made.process(pair(5))
    assert (thawed.mode, thawed.fallback_reason) == ("caf", None)


def test_rgb_asked_for_is_no_fallback_of_a_frozen_sensor():
    made = pipeline(mode="rgb", frozen=FrozenFrameConfig(frozen_frames=2, frozen_time=0.0))
    stuck = np.zeros((24, 32), np.uint16)
    assert [made.process(pair(number, thermal=stuck)).fallback_reason for number in range(4)] == [None] * 4


def test_a_thermal_image_without_a_number_is_left_out():
    fused = pipeline().process(pair(thermal=np.full((24, 32), np.nan, np.float32)))
    assert fused.mode == "rgb"
    assert fused.thermal is None
    assert "finite" in fused.fallback_reason


@pytest.mark.parametrize("image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.uint16)])
def test_an_rgb_image_of_another_kind_is_refused(image):
    with pytest.raises(InputError, match="rgb"):
        pipeline().process(FramePair(Frame(image, 0), pair().thermal))


@pytest.mark.parametrize("mode", ["guided", "average", "rgb", "thermal"])
def test_views_into_messages_give_what_copies_give(mode):
    # What arrives can be a read-only window into a message with padded rows, or with its channels swapped in place.
    padded = np.random.default_rng(0).integers(0, 256, (48, 70, 3)).astype(np.uint8)
    rgb = padded[:, :64, ::-1]
    thermal = np.random.default_rng(1).integers(29000, 30000, (24, 40)).astype(np.uint16)[:, :32]
    padded.flags.writeable = False
    view = pipeline(mode=mode).process(FramePair(Frame(rgb, 0), Frame(thermal, 0)))
    copy = pipeline(mode=mode).process(FramePair(Frame(rgb.copy(), 0), Frame(thermal.copy(), 0)))
    assert view.fallback_reason is None
    np.testing.assert_array_equal(view.image, copy.image)


def test_sizes_may_change_in_mid_stream():
    made = pipeline(mode="average", registration=RegistrationConfig((2, 0, 0, 0, 2, 0, 0, 0, 1)))
    for number, (shape, thermal_shape) in enumerate([((48, 64), (24, 32)), ((61, 33), (24, 32)), ((48, 64), (7, 9))]):
        fused = made.process(pair(number, shape=shape, thermal_shape=thermal_shape))
        assert fused.image.shape == (*shape, 3)
        assert fused.thermal.shape == shape


@pytest.mark.parametrize(
    ("width", "height", "shape"), [(0, 0, (48, 64)), (32, 0, (24, 32)), (0, 96, (96, 128)), (50, 20, (20, 50))]
)
def test_output_size(width, height, shape):
    fused = pipeline(mode="average", output_width=width, output_height=height).process(pair())
    assert fused.image.shape == (*shape, 3)
    assert fused.thermal.shape == shape


def test_one_camera_alone_is_passed_on_and_flagged():
    made = pipeline()
    given = pair(3)
    rgb = made.process_single(given.rgb, "rgb")
    assert (rgb.mode, rgb.thermal, rgb.stamp_ns) == ("rgb", None, given.rgb.stamp_ns)
    assert rgb.fallback_reason == "thermal: no image"
    np.testing.assert_array_equal(rgb.image, given.rgb.image)
    thermal = made.process_single(given.thermal, "thermal", "rgb: silent for 0.6 s")
    assert (thermal.mode, thermal.exposure, thermal.frame_id) == ("thermal", None, "thermal_optical")
    assert thermal.fallback_reason == "rgb: silent for 0.6 s"
    # No RGB frame has been fused yet, so the grid is its own; after one it is the RGB image's.
    assert thermal.image.shape == (24, 32, 3)
    made.process(given)
    assert made.process_single(given.thermal, "thermal").image.shape == (48, 64, 3)


def test_reset_forgets_mode_limits_and_freeze():
    made = pipeline(frozen=FrozenFrameConfig(frozen_frames=2, frozen_time=0.0))
    stuck = np.full((24, 32), 29500, np.uint16)
    for number in range(5):
        made.process(pair(number, thermal=stuck))
    made.reset()
    # Decides at once (no dwell time), and one frame is not a frozen sensor.
    assert made.process(pair(6, luma=DARK, thermal=stuck)).mode == "dfvo"


def test_settings_change_while_running():
    made = pipeline(mode="thermal")
    made.process(pair(0))
    made.set_agc("none")
    assert made.process(pair(1)).thermal.max() == 30000 >> 8
    made.set_homography((1, 0, 1000, 0, 1, 0, 0, 0, 1))
    assert made.process(pair(2)).thermal.max() == 0
    made.set_mode("auto")
    made.set_selector(SelectorConfig(dark_enter=0.0, dark_exit=0.0, dwell=0.0))
    assert made.process(pair(3)).mode == "dfvo"
    made.set_exposure(ExposureConfig(glare_luma=101, dark_luma=10, black_limit=20))
    made.set_selector(SelectorConfig(dwell=0.0))
    assert made.process(pair(4)).mode == "epofusion"


@pytest.mark.parametrize(
    "change",
    [
        lambda made: made.set_agc("histogram"),
        lambda made: made.set_homography((0.0,) * 9),
        lambda made: made.set_model("caf", "bad"),
        lambda made: made.set_model("guided", "bad"),
    ],
)
def test_a_refused_change_leaves_everything_as_it_was(change):
    made = pipeline(mode="caf")
    before = made.config
    with pytest.raises(InputError):
        change(made)
    assert made.config == before
    assert (made.process(pair()).image == LEVELS["caf"]).all()


def test_other_weights_serve_the_next_frame():
    made = pipeline(mode="caf")
    made.set_model("caf", "mine")
    assert made.models["caf"].seen == []
    assert (made.process(pair()).image == 99).all()
    assert made.config.models.caf == "mine"
    # From here on the size is known: the first run, which takes long, is over before the model serves.
    made.set_model("caf", "others")
    assert [rgb.shape for rgb, _ in made.models["caf"].seen] == [(48, 64, 3)]


def test_update_brings_every_runtime_setting():
    made = pipeline()
    wanted = PipelineConfig(
        mode="dfvo",
        mode_fade=0.1,
        selector=SelectorConfig(dwell=2.0),
        registration=RegistrationConfig((1, 0, 2, 0, 1, 0, 0, 0, 1)),
        frozen=FrozenFrameConfig(frozen_frames=0),
        exposure=ExposureConfig(grid=80),
        timeout=1.0,
        on_missing="drop",
    )
    made.update(wanted)
    assert made.config == wanted
    assert made.process(pair()).mode == "dfvo"


def test_warm_up_runs_every_network_at_the_output_size():
    made = pipeline(output_width=32)
    made.warm_up(48, 64)
    assert [made.models[mode].seen[0][0].shape for mode in NETWORK_MODES] == [(24, 32, 3)] * 3


def test_changes_from_another_thread_never_tear_a_frame():
    made = pipeline(mode_fade=0.0)
    stop = threading.Event()
    failures = []

    def disturb():
        number = 0
        while not stop.is_set():
            try:
                made.set_mode(MODES[number % len(MODES)])
                made.set_agc(("minmax", "plateau")[number % 2])
                made.set_homography((1, 0, number % 5, 0, 1, 0, 0, 0, 1))
                made.set_model("caf", "mine")
                made.reset()
            except Exception as error:
                failures.append(error)
            number += 1

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        fused = [made.process(pair(number)) for number in range(60)]
    finally:
        stop.set()
        thread.join()
    assert failures == []
    assert all(one.fallback_reason is None for one in fused)
    painted = {"epofusion": {11}, "dfvo": {22}, "caf": {33, 99}}
    assert all(set(np.unique(one.image)) <= painted[one.mode] for one in fused if one.mode in painted)


def test_parameters_have_the_names_of_the_interface():
    names = {found.name for found in settings_of(PipelineConfig)}
    assert names >= {
        "mode",
        "device",
        "backend",
        "precision",
        *(f"models.{mode}" for mode in NETWORK_MODES),
        *(f"selector.{name}" for name in ("glare_enter", "glare_exit", "dark_enter", "dark_exit", "dwell")),
        "thermal.agc",
        "registration.homography",
        "timeout",
        "on_missing",
        "output_width",
        "output_height",
    }


def test_a_setting_that_is_not_allowed_is_refused():
    with pytest.raises(InputError, match="on_missing"):
        PipelineConfig(on_missing="wait")
    with pytest.raises(InputError, match="output_width"):
        PipelineConfig(output_width=-1)
