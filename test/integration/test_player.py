"""The player as a process of its own, heard over DDS."""

from __future__ import annotations

import os
import re
import signal
import struct
import subprocess
import threading
import time

import numpy as np
import pytest

from fusion_ros.bags.reader import open_bag
from fusion_ros.bags.writer import BagWriter
from fusion_ros.ros.graph import NodeSpec, command
from fusion_ros.types import Frame

rclpy = pytest.importorskip("rclpy", reason="rclpy is not installed")

from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.qos import QoSDurabilityPolicy, QoSProfile  # noqa: E402
from rosgraph_msgs.msg import Clock  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from std_msgs.msg import String  # noqa: E402
from vision_msgs.msg import LabelInfo  # noqa: E402

START = 1_700_000_000_000_000_000
FRAMES = 12
PATIENCE_S = 30.0


@pytest.fixture
def bag_path(tmp_path):
    with BagWriter(tmp_path / "bag") as bag:
        bag.write_label_info("/labels", {0: "person"}, START)
        for index in range(FRAMES):
            stamp = START + index * 30_000_000
            bag.write_image("/rgb/image", Frame(np.full((24, 33, 3), index, np.uint8), stamp, "rgb"), stamp + 9_000_000)
            bag.write_image("/thermal/image", Frame(np.full((24, 33), 7 * index, np.uint16), stamp), stamp + 10_000_000)
            bag.write_string("/condition", f"day {index}", stamp + 11_000_000)
    return tmp_path / "bag"


class Listener:
    """Subscribes to what the bag holds and keeps it, in a thread of its own."""

    def __init__(self):
        self.images, self.strings, self.clock, self.labels = [], [], [], []
        self.thermal = []
        self._context = rclpy.Context()
        rclpy.init(context=self._context)
        self._node = rclpy.create_node("listener", context=self._context)
        deep = QoSProfile(depth=1000)
        latched = QoSProfile(depth=1, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)
        self._node.create_subscription(Clock, "/clock", lambda m: self.clock.append(to_ns(m.clock)), deep)
        self._node.create_subscription(Image, "/rgb/image", self.images.append, deep)
        self._node.create_subscription(Image, "/thermal/image", self.thermal.append, deep)
        self._node.create_subscription(String, "/condition", lambda m: self.strings.append(m.data), deep)
        self._node.create_subscription(LabelInfo, "/labels", self.labels.append, latched)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def _spin(self):
        while self._context.ok():
            try:
                self._executor.spin_once(0.1)
            except rclpy.executors.ExternalShutdownException:
                return

    def wait(self, condition):
        end = time.monotonic() + PATIENCE_S
        while not condition() and time.monotonic() < end:
            time.sleep(0.02)
        assert condition(), "it did not happen in time"

    def close(self):
        self._context.try_shutdown()
        self._thread.join(5)
        self._node.destroy_node()


@pytest.fixture
def listener():
    made = Listener()
    yield made
    made.close()


@pytest.fixture
def play():
    """Start a player with the given parameters; what still runs at the end of the test is killed."""
    running = []

    def start(bag, **parameters):
        spec = NodeSpec("player_node", "player", parameters={"bag": str(bag), **parameters})
        process = subprocess.Popen(
            command(spec), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ
        )
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


def to_ns(stamp):
    return stamp.sec * 1_000_000_000 + stamp.nanosec


def test_every_message_is_played_once_in_order_and_the_process_ends(bag_path, listener, play):
    player = play(bag_path)
    output, _ = player.communicate(timeout=PATIENCE_S)
    assert player.returncode == 0, output
    listener.wait(lambda: len(listener.strings) == FRAMES and len(listener.images) == FRAMES)
    assert [int(message.data[0]) for message in listener.images] == list(range(FRAMES))
    assert [to_ns(message.header.stamp) for message in listener.images] == [
        START + index * 30_000_000 for index in range(FRAMES)
    ]
    assert [message.header.frame_id for message in listener.images] == ["rgb"] * FRAMES
    assert listener.strings == [f"day {index}" for index in range(FRAMES)]
    assert [message.class_map[0].class_name for message in listener.labels] == ["person"]
    assert "Traceback" not in output


def test_the_bytes_are_those_of_the_recording(bag_path, listener, play):
    play(bag_path, rate=4.0).communicate(timeout=PATIENCE_S)
    listener.wait(lambda: len(listener.thermal) == FRAMES)
    with open_bag(bag_path) as bag:
        recorded = [bag.decode(message).data.tobytes() for message in bag.messages(["/thermal/image"])]
    assert [bytes(message.data) for message in listener.thermal] == recorded


def test_the_clock_runs_forward_through_the_recording(bag_path, listener, play):
    play(bag_path).communicate(timeout=PATIENCE_S)
    listener.wait(lambda: listener.clock and listener.clock[-1] == START + (FRAMES - 1) * 30_000_000 + 11_000_000)
    assert listener.clock == sorted(listener.clock)
    assert listener.clock[0] >= START
    # It is told between the messages too, which are three every 30 ms.
    assert len(listener.clock) > 3 * FRAMES


def test_a_loop_starts_again_and_sigint_ends_it(bag_path, listener, play):
    player = play(bag_path, loop=True, rate=4.0)
    listener.wait(lambda: len(listener.strings) > 2 * FRAMES)
    player.send_signal(signal.SIGINT)
    output, _ = player.communicate(timeout=PATIENCE_S)
    assert player.returncode == 0, output
    assert "Traceback" not in output
    expected = [f"day {index % FRAMES}" for index in range(len(listener.strings))]
    assert listener.strings == expected
    # Once back at the start of each pass, forward everywhere else.
    jumps = sum(later < earlier for earlier, later in zip(listener.clock, listener.clock[1:], strict=False))
    assert jumps >= 2


def test_sigterm_during_the_wait_for_subscribers_ends_it(bag_path, play):
    player = play(bag_path, wait_for_subscribers=600.0)
    assert any("waiting for subscribers" in line for line in player.stdout)
    player.send_signal(signal.SIGTERM)
    output, _ = player.communicate(timeout=PATIENCE_S)
    assert player.returncode == 0, output
    assert "Traceback" not in output


def test_topics_and_start_limit_what_is_played(bag_path, listener, play):
    player = play(bag_path, topics="/condition, /rgb/image", start=0.2)
    output, _ = player.communicate(timeout=PATIENCE_S)
    assert player.returncode == 0, output
    # 0.2 s after the first message lies between the seventh and the eighth of each topic.
    listener.wait(lambda: len(listener.strings) == FRAMES - 7)
    assert listener.strings == [f"day {index}" for index in range(7, FRAMES)]
    assert listener.thermal == []


def test_a_recorded_clock_does_not_disturb_the_players(listener, play, tmp_path):
    with BagWriter(tmp_path / "with_clock") as bag:
        for index in range(5):
            # CDR, little-endian: 7 s and no nanoseconds, far from the stamps of the messages.
            clock = bytes([0, 1, 0, 0]) + struct.pack("<iI", 7, 0)
            bag.write_raw("/clock", "rosgraph_msgs/msg/Clock", clock, START + index * 10_000_000)
            bag.write_image("/rgb/image", Frame(np.zeros((4, 4, 3), np.uint8), START + index * 10_000_000))
    player = play(tmp_path / "with_clock")
    output, _ = player.communicate(timeout=PATIENCE_S)
    assert "/clock: is left out" in output
    listener.wait(lambda: len(listener.images) == 5)
    assert min(listener.clock) >= START


def test_a_replay_that_is_not_whole_ends_with_exit_code_1(play, tmp_path):
    noise = np.random.default_rng(0)
    with BagWriter(tmp_path / "bag", compress=True) as bag:
        for index in range(40):
            bag.write_image("/rgb/image", Frame(noise.integers(0, 256, (300, 300), np.uint8), START + index * 10**7))
    (file,) = (tmp_path / "bag").glob("*.mcap")
    data = bytearray(file.read_bytes())
    # What the third chunk's zstd frame begins with.
    place = [match.start() for match in re.finditer(re.escape(b"\x28\xb5\x2f\xfd"), data)][2]
    data[place : place + 4] = bytes(4)
    file.write_bytes(data)
    player = play(tmp_path / "bag", rate=10.0, wait_for_subscribers=0.0)
    output, _ = player.communicate(timeout=PATIENCE_S)
    assert player.returncode == 1, output
    (line,) = (line for line in output.splitlines() if "the replay is not whole" in line)
    assert "of 40 messages are lost" in line
    assert "Traceback" not in output


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"bag": "/nowhere/drive"}, "there is no such bag"),
        ({"topics": "/lidar"}, "no topic '/lidar' in this bag; it has /condition, /labels, /rgb/image"),
        ({"start": 99.0}, "start: 99 s is after the end"),
    ],
)
def test_what_cannot_be_played_is_said_and_the_node_lives_on(bag_path, play, parameters, reason):
    player = play(parameters.pop("bag", bag_path), **parameters)
    found = []
    for line in player.stdout:
        found.append(line)
        if reason in line:
            break
    assert reason in found[-1]
    assert player.poll() is None
    player.send_signal(signal.SIGINT)
    player.communicate(timeout=PATIENCE_S)
    assert player.returncode == 0
