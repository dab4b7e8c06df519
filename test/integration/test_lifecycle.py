"""Transitions, again and again, and the end of the process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from dds_bench import Cameras, send_until, wait_for
from rclpy.lifecycle import TransitionCallbackReturn
from sensor_msgs.msg import Image

from fusion_ros.ros.diagnostics import memory_mb
from fusion_ros.ros.fusion_node import FusionNode

SUCCESS = TransitionCallbackReturn.SUCCESS
CALM = {"mode": "average", "max_age": 60.0, "timeout": 60.0}


def entities(node):
    """How much of everything a node holds."""
    return {
        "subscriptions": len(list(node.subscriptions)),
        "publishers": len(list(node.publishers)),
        "timers": len(list(node.timers)),
        "threads": threading.active_count(),
    }


def test_fifty_activations_leave_nothing_behind(bench, cameras):
    node = bench.run(FusionNode, parameters=CALM)
    bench.wait_active(node)
    cameras.wait_connected()
    fused = bench.listen(Image, "fusion/image")
    send_until(cameras.send_pair, lambda: fused, "a fused image")
    before, memory_before = entities(node), memory_mb()
    for _ in range(50):
        assert node.spinner.call(node.trigger_deactivate) == SUCCESS
        cameras.send_pair()
        assert node.spinner.call(node.trigger_activate) == SUCCESS
        cameras.send_pair()
    assert entities(node) == before
    # 50 leaked pairs and models of this size would be far below that: this is for what DDS might keep.
    assert memory_mb() - memory_before < 30
    seen = len(fused)
    send_until(cameras.send_pair, lambda: len(fused) > seen, "the next fused image")


def test_cleaned_up_node_can_be_configured_again_and_holds_nothing_in_between(bench, cameras):
    node = bench.run(FusionNode, parameters={**CALM, "autostart": False})
    wait_for(lambda: bench.values().get("state") == "unconfigured", "diagnostics")
    before = entities(node)
    fused = bench.listen(Image, "fusion/image")
    for _ in range(3):
        assert node.spinner.call(node.trigger_configure) == SUCCESS
        assert not bench.set_parameter("fusion", backend="torch").successful
        assert node.spinner.call(node.trigger_activate) == SUCCESS
        seen = len(fused)
        send_until(cameras.send_pair, lambda: len(fused) > seen, "a fused image")  # noqa: B023
        assert node.spinner.call(node.trigger_deactivate) == SUCCESS
        assert node.spinner.call(node.trigger_cleanup) == SUCCESS
        assert entities(node) == before
    assert bench.set_parameter("fusion", backend="onnx").successful


def test_inactive_node_publishes_nothing(bench, cameras):
    node = bench.run(FusionNode, parameters={**CALM, "autostart": False})
    assert node.spinner.call(node.trigger_configure) == SUCCESS
    cameras.wait_connected()
    fused = bench.listen(Image, "fusion/image")
    for _ in range(10):
        cameras.send_pair()
    wait_for(lambda: bench.values().get("state") == "inactive", "diagnostics")
    assert not fused


def process(*arguments, **environment):
    return subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={
            **os.environ,
            "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
            "PYTHONUNBUFFERED": "1",
            **environment,
        },
    )


def read_until(running, line):
    """Read what a process says up to `line`, between whatever it logs."""
    while (read := running.stdout.readline()).strip() != line:
        assert read, f"the process ended without saying {line!r}"


def assert_ends_cleanly(running, number):
    running.send_signal(number)
    output, _ = running.communicate(timeout=20)
    assert running.returncode == 0, output
    assert "Traceback" not in output
    assert "terminate called" not in output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_idle_node_ends_cleanly(bench, number):
    running = process(
        *("-m", "fusion_ros.ros.start", "fusion_node", "--ros-args", "-p", "mode:=average", "-p", "autostart:=false")
    )
    wait_for(lambda: bench.values().get("state") == "unconfigured", "diagnostics")
    assert_ends_cleanly(running, number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_node_that_is_still_importing_ends_cleanly(tmp_path, number):
    # Stands before the real cv2 on the path: an import that takes as long as the test needs.
    (tmp_path / "cv2.py").write_text("import time\nprint('importing', flush=True)\ntime.sleep(60)\n")
    running = process("-m", "fusion_ros.ros.start", "fusion_node", PYTHONPATH=str(tmp_path))
    read_until(running, "importing")
    assert_ends_cleanly(running, number)


@pytest.mark.parametrize(
    ("number", "seconds"), [(signal.SIGINT, 2.0), (signal.SIGTERM, 30.0)], ids=["SIGINT", "SIGTERM-stuck"]
)
def test_node_ends_cleanly_in_the_middle_of_an_inference(bench, number, seconds):
    running = process(
        str(Path(__file__).with_name("slow_fusion.py")),
        *("--ros-args", "-p", "mode:=caf", "-p", "max_age:=60.0"),
        INFERENCE_SECONDS=str(seconds),
    )
    read_until(running, "active")
    cameras = Cameras(bench)
    reader = threading.Thread(target=read_until, args=(running, "inference begins"))
    reader.start()
    send_until(cameras.send_pair, lambda: not reader.is_alive(), "the inference to begin")
    assert_ends_cleanly(running, number)
