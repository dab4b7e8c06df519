"""The player node: replays a rosbag2 recording where `ros2 bag` is not installed."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from builtin_interfaces.msg import Time
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSDurabilityPolicy, QoSHistoryPolicy, QoSProfile, QoSReliabilityPolicy
from rosgraph_msgs.msg import Clock

from fusion_ros.bags.message_types import COMPRESSED_IMAGE, IMAGE
from fusion_ros.bags.playback import Pacer, PlayerConfig
from fusion_ros.bags.reader import BagReader, open_bag
from fusion_ros.errors import InputError
from fusion_ros.ros.diagnostics import HealthReport, StatusBuilder
from fusion_ros.ros.graph import PLAYER
from fusion_ros.ros.node import StreamNode
from fusion_ros.ros.run import run_nodes
from fusion_ros.ros.topics import CLOCK
from fusion_ros.types import NANOSECONDS_PER_SECOND

_DEPTH = 10
_POLL_S = 0.05
# How long the last messages may take to reach their subscribers before the process ends.
_DELIVERY_S = 2.0
_JOIN_S = 5.0
_GROUND_TRUTH = "/ground_truth/"


@dataclass
class _Progress:
    """How far the replay is."""

    published: int = 0
    passes: int = 0
    place_s: float = 0.0


class PlayerNode(StreamNode[PlayerConfig, None]):
    """Publishes what was recorded, with the pauses of the recording, and the recording's time on `/clock`.

    Messages go out as the bytes that were recorded. Latched topics stay latched, all others are reliable and keep the
    last ten.
    """

    def __init__(self, at_end: Callable[[], None] | None = None, **arguments: Any) -> None:
        """Make the node.

        Args:
            at_end: called in the player's thread after the last message where `exit_at_end` is set.
            arguments: passed on to `LifecycleNode`.
        """
        self._at_end = at_end
        self._bag: BagReader | None = None
        self._outputs: dict[str, Any] = {}
        self._clock_output: Any = None
        self._thread: threading.Thread | None = None
        self._pacer = Pacer()
        self._progress = _Progress()
        super().__init__(PLAYER, PlayerConfig, **arguments)

    def accept(self, old: PlayerConfig, new: PlayerConfig, changed: frozenset[str]) -> None:
        """Go on at the new speed; nothing is refused that the table of parameters allows."""
        self._pacer.set_rate(new.rate)

    def build(self, config: PlayerConfig) -> None:
        """Open the recording and create a publisher for each of its topics."""
        if not config.bag:
            raise InputError(
                "bag: '' is not a recording; set the parameter to a rosbag2 folder, an .mcap or a .db3 file"
            )
        self._bag = open_bag(config.bag)
        wanted = [topic.strip() for topic in config.topics.split(",") if topic.strip()]
        self._bag.require(*wanted)
        if config.start * NANOSECONDS_PER_SECOND > self._bag.duration_ns:
            raise InputError(
                f"start: {config.start:g} s is after the end of {config.bag}, "
                f"which is {self._bag.duration_ns / NANOSECONDS_PER_SECOND:.1f} s long"
            )
        if self._bag.damage:
            self.get_logger().warning(f"{config.bag}: {self._bag.damage}")
        self._clock_output = self.add_publisher(Clock, CLOCK, _profile(latched=False))
        for topic in wanted or self._bag.topics:
            if topic == CLOCK:
                self.get_logger().info(f"{CLOCK}: is left out, the player tells the time itself")
                continue
            kind = _message_class(self._bag.topics[topic].msgtype)
            if kind is None:
                text = f"{topic}: {self._bag.topics[topic].msgtype} is not installed, so it is not replayed"
                self.get_logger().warning(text)
                continue
            self._outputs[topic] = self.add_publisher(kind, topic, _profile(self._bag.is_latched(topic)))
        if not self._outputs:
            raise InputError(f"{config.bag}: no topic in it can be replayed")

    def activated(self) -> None:
        """Start the replay, from the beginning each time."""
        config = self.store.config
        self._pacer = Pacer(config.rate)
        self._progress = _Progress()
        self.exit_code = 0
        self._thread = threading.Thread(target=self._play_safely, args=(config,), name="player", daemon=True)
        self._thread.start()

    def on_deactivate(self, state: Any) -> Any:
        """Stop the replay."""
        self._stop()
        return super().on_deactivate(state)

    def close(self) -> None:
        """Stop the replay and destroy everything."""
        self._stop()
        super().close()

    def release(self) -> None:
        """Close the recording; the publishers are destroyed by the base class."""
        self._stop()
        self._outputs = {}
        if self._bag is not None:
            self._bag.close()
            self._bag = None

    def work(self, item: None) -> None:
        """Do nothing: a player has no input."""

    def describe(self, status: StatusBuilder, report: HealthReport) -> None:
        """How far the replay is."""
        status.add("place_s", self._progress.place_s)
        status.add("published", self._progress.published)
        status.add("passes", self._progress.passes)
        if self._bag is not None and self._bag.damage:
            status.warn(self._bag.damage)

    def _stop(self) -> None:
        self._pacer.stop()
        thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join(_JOIN_S)

    # -- in the player's thread --------------------------------------------------------------------------------------

    def _play_safely(self, config: PlayerConfig) -> None:
        try:
            self._play(config)
        except Exception as error:
            if self.context.ok() and not self._pacer.is_stopped:
                self.health.failed(f"{type(error).__name__}: {error}")
                self._break_off(f"{type(error).__name__}: {error}")
        if self._pacer.is_stopped or self._at_end is None or not self.store.config.exit_at_end:
            return
        self._let_arrive()
        self._at_end()

    def _break_off(self, reason: str) -> None:
        self.exit_code = 1
        self.get_logger().error(f"the replay is not whole, {self._progress.published} messages were played: {reason}")

    def _play(self, config: PlayerConfig) -> None:
        bag = self._bag
        assert bag is not None
        self._wait_for_subscribers(config.wait_for_subscribers)
        start_ns = bag.start_ns + int(config.start * NANOSECONDS_PER_SECOND)
        while not self._pacer.is_stopped:
            self._tell_time(start_ns)
            self._pacer.begin(start_ns)
            for message in bag.messages(list(self._outputs), start_ns):
                if not self._pacer.wait_for(message.stamp_ns, self._tell_time):
                    return
                self._tell_time(message.stamp_ns)
                self._outputs[message.topic].publish(message.data)
                self._progress.published += 1
                self.health.published()
            self._progress.passes += 1
            if bag.unread:
                self._break_off(bag.damage or f"{bag.unread} messages could not be read")
            if not self.store.config.loop:
                break
        if not self.exit_code:
            self.get_logger().info(f"replayed {self._progress.published} messages of {bag.path}")

    def _tell_time(self, stamp_ns: int) -> None:
        bag = self._bag
        if bag is not None:
            self._progress.place_s = (stamp_ns - bag.start_ns) / NANOSECONDS_PER_SECOND
        seconds, nanoseconds = divmod(stamp_ns, NANOSECONDS_PER_SECOND)
        self._clock_output.publish(Clock(clock=Time(sec=seconds, nanosec=nanoseconds)))

    def _wait_for_subscribers(self, longest_s: float) -> None:
        """Wait until somebody listens to each image topic: what is sent before that reaches nobody."""
        assert self._bag is not None
        awaited = {
            topic: output
            for topic, output in self._outputs.items()
            if self._bag.topics[topic].msgtype in (IMAGE, COMPRESSED_IMAGE) and not topic.startswith(_GROUND_TRUTH)
        }
        if awaited and longest_s > 0:
            self.get_logger().info(f"waiting for subscribers to {', '.join(awaited)}, {longest_s:g} s at most")
        end = time.monotonic() + longest_s
        while awaited and not self._pacer.is_stopped:
            awaited = {topic: output for topic, output in awaited.items() if output.get_subscription_count() == 0}
            if awaited and time.monotonic() >= end:
                if longest_s > 0:
                    self.get_logger().warning(f"nobody listens to {', '.join(awaited)}: replaying all the same")
                return
            if awaited:
                time.sleep(_POLL_S)

    def _let_arrive(self) -> None:
        """Wait until the reliable subscribers have got everything."""
        end = time.monotonic() + _DELIVERY_S
        for output in self._outputs.values():
            left = max(0.0, end - time.monotonic())
            # Humble cannot tell; there a pause must do.
            if not hasattr(output, "wait_for_all_acked"):
                time.sleep(min(left, 0.5))
                return
            output.wait_for_all_acked(Duration(seconds=left))


def _message_class(msgtype: str) -> type | None:
    """Return the class of `sensor_msgs/msg/Image` and the like, None where its package is not installed."""
    package, _kind, name = msgtype.split("/")
    try:
        found: type = getattr(importlib.import_module(f"{package}.msg"), name)
    except (ImportError, AttributeError):
        return None
    return found


def _profile(latched: bool) -> QoSProfile:
    return QoSProfile(
        history=QoSHistoryPolicy.KEEP_LAST,
        depth=1 if latched else _DEPTH,
        reliability=QoSReliabilityPolicy.RELIABLE,
        durability=QoSDurabilityPolicy.TRANSIENT_LOCAL if latched else QoSDurabilityPolicy.VOLATILE,
    )


def make_nodes() -> list[LifecycleNode]:
    """Return the nodes of this executable."""
    return [PlayerNode(at_end=_end_process)]


def _end_process() -> None:
    # The same orderly end as by Ctrl-C. Shutting rclpy down from here would break a callback in the main thread.
    os.kill(os.getpid(), signal.SIGINT)


def main() -> int:
    """Run the player until the end of the recording, SIGINT or SIGTERM."""
    return run_nodes(make_nodes)


if __name__ == "__main__":
    sys.exit(main())
