"""One camera silent, a frozen one, a slow model, a stuck clock: what the fusion node does then."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from dds_bench import RELIABLE, classical_only, send_until, thermal_image, wait_for
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.qos import QoSProfile
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image

from fusion_ros.ros.fusion_node import FusionNode
from fusion_ros.ros.images import header_of, stamp_of

OK, WARN, ERROR = 0, 1, 2
PERIOD = 0.04


@pytest.fixture
def fused(bench):
    return bench.listen(Image, "fusion/image", QoSProfile(depth=500))


def start(bench, cameras, **parameters):
    node = bench.run(FusionNode, parameters={"mode": "average", "max_age": 60.0, "timeout": 0.6, **parameters})
    bench.wait_active(node)
    cameras.wait_connected()
    return node


@pytest.mark.parametrize(("living", "frame"), [("rgb", "rgb_camera"), ("thermal", "thermal_camera")])
def test_living_camera_passes_through_while_the_other_is_silent(bench, cameras, fused, modes, living, frame):
    start(bench, cameras)
    send_until(cameras.send_pair, lambda: len(fused) > 3, "fused images", PERIOD)
    send = getattr(cameras, f"send_{living}")
    send_until(send, lambda: fused[-1].header.frame_id == frame and modes[-1] == living, "passthrough", PERIOD)
    send_until(send, lambda: bench.level() == WARN and "no usable image" in bench.diagnostics["fusion"].message, "WARN")
    assert bench.values()["silent"] == ("thermal" if living == "rgb" else "rgb")
    send_until(cameras.send_pair, lambda: modes[-1] == "average", "fusion again", PERIOD)
    assert modes == ["average", living, "average"]
    send_until(cameras.send_pair, lambda: bench.level() == OK, "OK", PERIOD)


def test_hold_repeats_the_last_fused_image_and_drop_says_nothing(bench, cameras, fused, modes):
    start(bench, cameras, on_missing="hold")
    send_until(cameras.send_pair, lambda: len(fused) > 3, "fused images", PERIOD)
    time.sleep(0.3)
    last = fused[-1]
    before = len(fused)
    send_until(cameras.send_rgb, lambda: len(fused) > before + 3, "held images", PERIOD)
    assert all(stamp_of(held.header) == stamp_of(last.header) and held.data == last.data for held in fused[before:])
    assert modes[-1] == "hold"
    assert bench.set_parameter("fusion", on_missing="drop").successful
    send_until(
        cameras.send_rgb, lambda: int(bench.values().get("dropped.one_camera_missing", 0)) > 3, "dropped", PERIOD
    )


def test_both_silent_is_an_error_that_names_both(bench, cameras):
    start(bench, cameras)
    bench.wait_status(ERROR, "/rgb/image: no usable image")
    bench.wait_status(ERROR, "/thermal/image: no usable image")


def test_nobody_publishing_is_said(bench):
    bench.run(FusionNode, parameters={"mode": "average"})
    bench.wait_status(ERROR, "/rgb/image: no usable image")
    assert "nobody publishes this topic" in bench.diagnostics["fusion"].message


def test_cameras_whose_clocks_differ_are_told_from_silent_ones(bench, cameras, fused):
    start(bench, cameras)

    def send():
        stamp = time.time_ns()
        cameras.send_rgb(stamp)
        cameras.send_thermal(stamp - 5_000_000_000)

    send_until(send, lambda: bench.level() == WARN and "make no pair" in bench.diagnostics["fusion"].message, "WARN")
    message = bench.diagnostics["fusion"].message
    assert "-5 s after" in message
    assert "sync.thermal_offset" in message
    assert bench.wait_log("make no pair")
    assert not fused
    assert bench.set_parameter("fusion", sync__thermal_offset=5.0).successful
    send_until(send, lambda: len(fused) > 3 and bench.level() == OK, "fused images")


def test_frozen_thermal_camera_falls_back_to_rgb_and_comes_back(bench, cameras, fused, modes):
    start(bench, cameras, timeout=60.0)
    send_until(cameras.send_pair, lambda: len(fused) > 3, "fused images", PERIOD)
    still = thermal_image(7)

    def send_frozen():
        stamp = time.time_ns()
        cameras.send_rgb(stamp)
        cameras.send_thermal(stamp, image=still)

    send_until(send_frozen, lambda: modes[-1] == "rgb", "the fallback", PERIOD)
    send_until(send_frozen, lambda: bench.level() == WARN and "frozen" in bench.diagnostics["fusion"].message, "WARN")
    send_until(cameras.send_pair, lambda: modes[-1] == "average", "fusion again", PERIOD)
    assert modes == ["average", "rgb", "average"]


class SlowModel:
    """Takes its time, like a network on a small machine."""

    device, backend, precision = "cpu", "test", "fp32"

    def __init__(self, seconds):
        self.seconds = seconds
        self.started = threading.Event()

    def fuse(self, rgb_bgr, thermal):
        self.started.set()
        time.sleep(self.seconds)
        return rgb_bgr

    def warm_up(self, height, width):
        pass


def loader_with(model):
    def load(name, weights, device, backend, precision):
        return model if name == "caf" else classical_only(name, weights, device, backend, precision)

    return load


def test_slow_model_gets_the_newest_pair(bench, cameras, fused):
    node = bench.run(
        FusionNode,
        parameters={"mode": "caf", "max_age": 60.0, "timeout": 60.0},
        model_loader=loader_with(SlowModel(0.4)),
    )
    bench.wait_active(node)
    cameras.wait_connected()
    sent = []
    send_until(lambda: sent.append(cameras.send_pair()), lambda: len(fused) >= 4, "four slow frames", PERIOD)
    stamps = [stamp_of(message.header) for message in fused]
    # Each frame was the newest when the model became free: the model's time lies between two of them, no queue's.
    gaps = np.diff(stamps) / 1e9
    assert gaps.min() >= 0.4 - 2 * PERIOD
    wait_for(lambda: int(bench.values().get("dropped.superseded", 0)) > 4, "superseded pairs")
    assert bench.values()["mode"] == "caf"
    assert bench.values()["backend"] == "test"


class HeldModel(SlowModel):
    """Works until it is let go."""

    def __init__(self):
        super().__init__(0.0)
        self.let_go = threading.Event()

    def fuse(self, rgb_bgr, thermal):
        self.started.set()
        assert self.let_go.wait(30.0)
        return rgb_bgr


def run_with(bench, cameras, model):
    """A fusion node with a pair in work."""
    parameters = {"mode": "caf", "max_age": 60.0, "timeout": 60.0}
    node = bench.run(FusionNode, parameters=parameters, model_loader=loader_with(model))
    bench.wait_active(node)
    cameras.wait_connected()
    send_until(cameras.send_pair, model.started.is_set, "the model to work", 0.2)
    return node


def test_deactivation_waits_for_the_pair_in_work(bench, cameras, fused):
    model = HeldModel()
    node = run_with(bench, cameras, model)
    threading.Timer(0.5, model.let_go.set).start()
    assert node.spinner.call(node.trigger_deactivate) == TransitionCallbackReturn.SUCCESS
    assert model.let_go.is_set()
    assert node.spinner.call(node.trigger_cleanup) == TransitionCallbackReturn.SUCCESS
    assert node.spinner.call(node.trigger_configure) == TransitionCallbackReturn.SUCCESS
    assert node.spinner.call(node.trigger_activate) == TransitionCallbackReturn.SUCCESS
    cameras.wait_connected()
    seen = len(fused)
    send_until(cameras.send_pair, lambda: len(fused) > seen, "a fused image")


def test_deactivation_that_a_stuck_model_prevents_is_said_and_can_be_tried_again(bench, cameras, monkeypatch):
    monkeypatch.setattr("fusion_ros.ros.node.DEACTIVATE_TIMEOUT", 0.2)
    model = HeldModel()
    node = run_with(bench, cameras, model)
    assert node.spinner.call(node.trigger_deactivate) == TransitionCallbackReturn.FAILURE
    bench.wait_status(ERROR, "could not deactivate")
    model.let_go.set()
    wait_for(lambda: not node.is_working, "the model to end")
    assert node.spinner.call(node.trigger_deactivate) == TransitionCallbackReturn.SUCCESS
    assert node.spinner.call(node.trigger_activate) == TransitionCallbackReturn.SUCCESS
    send_until(cameras.send_pair, lambda: bench.level() == OK, "OK")


def test_pair_that_has_become_too_old_is_not_processed(bench, cameras, fused):
    node = bench.run(
        FusionNode,
        parameters={"mode": "caf", "max_age": 0.5, "timeout": 60.0},
        model_loader=loader_with(SlowModel(1.5)),
    )
    bench.wait_active(node)
    cameras.wait_connected()
    send_until(cameras.send_pair, lambda: node.is_working, "the model to work", 0.2)
    waiting = cameras.send_pair()
    wait_for(lambda: int(bench.values().get("dropped.too_old", 0)) == 1, "the pair that waited 1.5 s")
    assert waiting not in [stamp_of(message.header) for message in fused]


class BrokenModel(SlowModel):
    def fuse(self, rgb_bgr, thermal):
        raise RuntimeError("out of memory")


def test_failing_model_is_stood_in_for_and_the_stream_goes_on(bench, cameras, fused, modes):
    node = bench.run(
        FusionNode,
        parameters={"mode": "caf", "max_age": 60.0, "timeout": 60.0},
        model_loader=loader_with(BrokenModel(0)),
    )
    bench.wait_active(node)
    cameras.wait_connected()
    send_until(cameras.send_pair, lambda: len(fused) > 5, "fused images", PERIOD)
    assert modes == ["guided"]
    send_until(cameras.send_pair, lambda: bench.level() == WARN, "WARN", PERIOD)
    assert "out of memory" in bench.values()["fallback"]


def test_mode_without_weights_is_said_once_in_the_log(bench, cameras, fused, modes):
    node = bench.run(
        FusionNode,
        parameters={"mode": "epofusion", "max_age": 60.0, "timeout": 60.0},
        model_loader=loader_with(SlowModel(0)),
    )
    bench.wait_active(node)
    cameras.wait_connected()
    send_until(cameras.send_pair, lambda: len(fused) > 5, "fused images", PERIOD)
    for mode in ("caf", "epofusion"):
        assert bench.set_parameter("fusion", mode=mode).successful
        seen = len(fused)
        send_until(cameras.send_pair, lambda: len(fused) > seen + 2, "fused images", PERIOD)  # noqa: B023
    assert modes == ["caf"]
    send_until(cameras.send_pair, lambda: "epofusion" in bench.values().get("fallback", ""), "the reason", PERIOD)
    assert bench.level() == WARN
    assert len(bench.wait_log("mode caf stands in: epofusion")) == 1


def test_simulated_time_rules_age_and_its_jump_starts_anew(bench, cameras, fused):
    node = bench.run(FusionNode, parameters={"mode": "average", "timeout": 60.0, "use_sim_time": True})
    bench.wait_active(node)
    cameras.wait_connected()
    clock = bench.client.create_publisher(Clock, "/clock", RELIABLE)
    wait_for(clock.get_subscription_count, "a subscriber of /clock")
    beginning = 1_000_000_000_000

    def tick(stamp):
        clock.publish(Clock(clock=header_of(stamp, "").stamp))
        wait_for(lambda: node.get_clock().now().nanoseconds == stamp, "the clock")
        cameras.send_pair(stamp)

    for _ in range(2):
        for index in range(5):
            seen = len(fused)
            tick(beginning + index * 40_000_000)
            wait_for(lambda: len(fused) > seen, "a fused image", 5.0)  # noqa: B023
        # Jumps that follow upon each other count once; that the clock starts must not count at all.
        time.sleep(1.1)
    # 30 years old on the wall clock, 0 s old on the bag's: nothing was dropped. One loop: one jump.
    bench.wait_value("time_jumps", "1")
    assert bench.values().get("dropped.too_old", "0") == "0"
    assert not bench.find_logs("no usable image")
