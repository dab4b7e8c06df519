"""One camera of the fusion node: its subscription, the check of what arrives, and whether it is silent."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image

from fusion_ros.errors import InputError
from fusion_ros.ros import images
from fusion_ros.ros.filters import SimpleFilter, Subscriber
from fusion_ros.ros.qos import overridable, sensor_input, subscription_events
from fusion_ros.types import Frame

RGB = "rgb"
THERMAL = "thermal"

_CHECKS = {RGB: images.check_rgb, THERMAL: images.check_thermal}
_CONVERSIONS: dict[tuple[str, bool], Callable[[Any, str], NDArray[Any]]] = {
    (RGB, False): images.rgb_array,
    (RGB, True): images.compressed_rgb_array,
    (THERMAL, False): images.thermal_array,
    (THERMAL, True): images.compressed_thermal_array,
}
# While /clock stands still nothing can become old on it: silence is then measured on the steady clock, generously.
_STEADY_FACTOR = 4.0
_STEADY_MINIMUM = 2.0


class SensorInput(SimpleFilter):
    """A filter that lets through the usable images of one camera.

    Args:
        node: subscribes on it.
        sensor: `rgb` or `thermal`.
        compressed: whether to subscribe to `<sensor>/image/compressed`.
        is_open: while it returns False, messages are ignored.
        on_bad: called with the error of a message that cannot be used.

    Attributes:
        topic: the topic under its full name.
        received: usable images so far.
    """

    def __init__(
        self,
        node: Node,
        sensor: str,
        compressed: bool,
        is_open: Callable[[], bool],
        on_bad: Callable[[InputError], None],
    ) -> None:
        super().__init__()
        name = f"{sensor}/image/compressed" if compressed else f"{sensor}/image"
        self.sensor = sensor
        self.topic = node.resolve_topic_name(name)
        self.received = 0
        self._node = node
        self._is_open = is_open
        self._on_bad = on_bad
        self._check = None if compressed else _CHECKS[sensor]
        self._convert = _CONVERSIONS[sensor, compressed]
        self.restart()
        self._subscriber = Subscriber(
            node,
            CompressedImage if compressed else Image,
            name,
            qos_profile=sensor_input(),
            qos_overriding_options=overridable(),
            event_callbacks=subscription_events(node, name),
        )
        self._subscriber.registerCallback(self._take)

    def restart(self) -> None:
        """Measure silence from now on."""
        self._heard_ros_ns = self._node.get_clock().now().nanoseconds
        self._heard_steady = time.monotonic()

    def silence(self) -> float:
        """Return for how long no usable image has come, in seconds of the node's clock."""
        return float(self._node.get_clock().now().nanoseconds - self._heard_ros_ns) / 1e9

    def is_silent(self, timeout: float) -> bool:
        """Return whether no usable image has come for `timeout` seconds."""
        steady = time.monotonic() - self._heard_steady
        return self.silence() > timeout or steady > max(_STEADY_MINIMUM, _STEADY_FACTOR * timeout)

    def complaint(self) -> str:
        """Say what is wrong with a silent camera, and what to look at."""
        seconds = max(self.silence(), time.monotonic() - self._heard_steady)
        hint = "" if self._node.count_publishers(self.topic) else " (nobody publishes this topic: check the remapping)"
        return f"{self.topic}: no usable image for {seconds:.1f} s{hint}"

    def frame(self, message: Any) -> Frame:
        """Convert a message of this camera.

        Raises:
            InputError: a compressed image that cannot be read.
        """
        return Frame(self._convert(message, self.topic), images.stamp_of(message.header), str(message.header.frame_id))

    def destroy(self) -> None:
        """Destroy the subscription; from the executor's thread only."""
        self._node.destroy_subscription(self._subscriber.sub)

    def _take(self, message: Any) -> None:
        if not self._is_open():
            return
        if self._check is not None:
            try:
                self._check(message, self.topic)
            except InputError as error:
                self._on_bad(error)
                return
        self.received += 1
        self.restart()
        self.signalMessage(message)
