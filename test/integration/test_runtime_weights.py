"""Weights that are set while the node runs: the stream goes on through a slow load; a failed one changes nothing."""

from __future__ import annotations

import json
import struct
import threading

import numpy as np
import pytest
from dds_bench import classical_only, send_until, wait_for
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image

from fusion_ros.ros.fusion_node import FusionNode
from fusion_ros.ros.images import stamp_of

WARN = 1
CALM = {"mode": "caf", "max_age": 60.0, "timeout": 60.0}


class Painter:
    """Stands for a network: paints one level."""

    device, backend, precision = "cpu", "test", "fp32"

    def __init__(self, level):
        self.level = level

    def fuse(self, rgb_bgr, thermal):
        return np.full_like(rgb_bgr, self.level)

    def warm_up(self, height, width):
        pass


class SlowShelf:
    """Hands the shipped model out at once and any other when it is let."""

    def __init__(self):
        self.begun = threading.Event()
        self.may_end = threading.Event()
        self.error = None

    def __call__(self, name, weights, device, backend, precision):
        if name != "caf":
            return classical_only(name, weights, device, backend, precision)
        if weights is None:
            return Painter(50)
        self.begun.set()
        assert self.may_end.wait(30.0)
        if self.error is not None:
            raise self.error
        return Painter(200)


@pytest.fixture
def shelf():
    made = SlowShelf()
    yield made
    made.may_end.set()


@pytest.fixture
def weights(tmp_path):
    """A file that passes a look at its header."""
    path = tmp_path / "mine.safetensors"
    header = json.dumps({"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + b"\0")
    return str(path)


@pytest.fixture
def node(bench, cameras, shelf):
    running = bench.run(FusionNode, parameters=CALM, model_loader=shelf)
    bench.wait_active(running)
    cameras.wait_connected()
    return running


def level(message):
    return message.data[0]


def test_no_pair_is_lost_while_a_slow_load_runs(bench, cameras, node, shelf, weights):
    fused = bench.listen(Image, "fusion/image", QoSProfile(depth=200))
    send_until(cameras.send_pair, lambda: fused, "the first fused image")
    fused.clear()
    # Answered although the load cannot end before it is let.
    assert bench.set_parameter("fusion", models__caf=weights).successful
    assert shelf.begun.wait(10.0)
    stamps = []

    def send():
        stamps.append(cameras.send_pair())
        # One at a time: the slot of one would otherwise drop pairs on a busy machine, which is another matter.
        wait_for(lambda: fused and stamp_of(fused[-1].header) == stamps[-1], f"pair {len(stamps)}")

    for _ in range(20):
        send()
    assert {level(message) for message in fused} == {50}
    # The executor answers other requests meanwhile, too.
    assert bench.set_parameter("fusion", timeout=50.0).successful
    bench.wait_value("loading", "caf")
    shelf.may_end.set()
    wait_for(lambda: send() or level(fused[-1]) == 200, "the new model's image")
    assert [stamp_of(message.header) for message in fused] == stamps
    levels = [level(message) for message in fused]
    assert levels == sorted(levels)
    assert node.get_parameter("models.caf").value == weights
    bench.wait_log("mine.safetensors serves from the next pair on")
    bench.wait_value("loading", "none")


def test_weights_that_fail_to_load_leave_the_old_ones_and_say_why(bench, cameras, node, shelf, weights):
    shelf.error = RuntimeError("CUDA out of memory")
    shelf.may_end.set()
    assert bench.set_parameter("fusion", models__caf=weights).successful
    bench.wait_status(WARN, f"models.caf: {weights} cannot be loaded: CUDA out of memory")
    wait_for(lambda: node.get_parameter("models.caf").value == "", "the parameter to say what is in force")
    assert bench.find_logs("cannot be loaded: CUDA out of memory; what is shipped serves on")
    fused = bench.listen(Image, "fusion/image")
    send_until(cameras.send_pair, lambda: fused, "a fused image")
    assert level(fused[-1]) == 50
    # The complaint stays among the values, until weights for this mode have been loaded.
    assert "out of memory" in bench.values()["not_loaded.caf"]
    shelf.error = None
    assert bench.set_parameter("fusion", models__caf=weights).successful
    send_until(cameras.send_pair, lambda: level(fused[-1]) == 200, "the new model's image")
    wait_for(lambda: "not_loaded.caf" not in bench.values(), "the complaint to go")


def test_a_node_can_be_cleaned_up_during_a_load(bench, cameras, node, shelf, weights):
    assert bench.set_parameter("fusion", models__caf=weights).successful
    assert shelf.begun.wait(10.0)
    node.spinner.call(node.trigger_deactivate)
    node.spinner.call(node.trigger_cleanup)
    # Configured again with weights that are set: now the load belongs to configuring.
    shelf.may_end.set()
    node.spinner.call(node.trigger_configure)
    node.spinner.call(node.trigger_activate)
    fused = bench.listen(Image, "fusion/image")
    send_until(cameras.send_pair, lambda: fused, "a fused image")
    assert level(fused[-1]) == 200
