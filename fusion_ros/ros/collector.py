"""A subscriber to the whole node graph: what the nodes publish, kept for a report."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from types import TracebackType
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from numpy.typing import NDArray
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.qos import QoSDurabilityPolicy, QoSHistoryPolicy, QoSProfile, QoSReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import Float32, Float32MultiArray, String
from vision_msgs.msg import Detection2DArray, LabelInfo

from fusion_ros.image_encoding import decode_image
from fusion_ros.ros import graph, topics
from fusion_ros.ros.images import stamp_of
from fusion_ros.ros.received import Health, Received, Timed
from fusion_ros.types import Detections, ExposureReading

ImageSink = Callable[[str, int, "NDArray[np.uint8]"], None]

# Deep enough for a subscriber that is kept from running for some seconds on a loaded machine.
_DEPTH = 200


class Collector:
    """Subscribes to inputs and outputs of the graph in a thread of its own; use it in a `with` block.

    Args:
        domain_id: ROS domain of the nodes.
        nodes: names of the nodes to listen to, of `fusion`, `detection` and `segmentation`.
        keep_image: called in the subscriber's thread with (`fused` or `mask`, header stamp in nanoseconds, image);
            the image is a view of the message and the callee's to keep.
        rgb_topic: topic of the RGB images that the nodes get.
        thermal_topic: likewise of the thermal images.
    """

    def __init__(
        self,
        domain_id: int,
        nodes: Collection[str],
        keep_image: ImageSink,
        rgb_topic: str = topics.RGB_IMAGE,
        thermal_topic: str = topics.THERMAL_IMAGE,
    ) -> None:
        self.received = Received()
        self.errors: list[str] = []
        self._keep_image = keep_image
        self._nodes = tuple(nodes)
        self._inputs = (rgb_topic, thermal_topic)
        self._domain_id = domain_id
        self._context = Context()
        self._states: dict[str, int] = {}

    def __enter__(self) -> Collector:
        # No signal handlers: Ctrl-C belongs to the command, which ends the processes in order.
        rclpy.init(context=self._context, domain_id=self._domain_id, signal_handler_options=_no_handlers())
        self._node = rclpy.create_node(
            "collector", context=self._context, start_parameter_services=False, enable_rosout=False
        )
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._state_clients = {name: self._node.create_client(GetState, f"/{name}/get_state") for name in self._nodes}
        self._pending: dict[str, Any] = {}
        self._player_state = self._node.create_client(ChangeState, f"/{graph.PLAYER}/change_state")
        self._rate_client = self._node.create_client(SetParameters, f"/{graph.PLAYER}/set_parameters")
        self._subscribe()
        self._thread = threading.Thread(target=self._spin, name="collector", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._context.try_shutdown()
        self._thread.join(5.0)
        self._executor.shutdown(timeout_sec=1.0)
        self._node.destroy_node()

    def active_nodes(self) -> set[str]:
        """Names of the nodes whose lifecycle state was `active` when last asked; asks again."""
        for name, client in self._state_clients.items():
            pending = self._pending.get(name)
            if pending is not None and pending.done():
                response = pending.result()
                if response is not None:
                    self._states[name] = response.current_state.id
                pending = None
            if pending is None:
                self._pending[name] = client.call_async(GetState.Request()) if client.service_is_ready() else None
        return {name for name, state in self._states.items() if state == State.PRIMARY_STATE_ACTIVE}

    def move_player(self, transition: str, timeout: float) -> bool:
        """Ask the player, which was started with `autostart` off, for a transition.

        Args:
            transition: `configure` (its publishers appear) or `activate` (the replay begins).
            timeout: how long the player may take, seconds.

        Returns:
            Whether it did as it was asked.
        """
        if not self._player_state.wait_for_service(timeout):
            return False
        ids = {"configure": Transition.TRANSITION_CONFIGURE, "activate": Transition.TRANSITION_ACTIVATE}
        done = threading.Event()
        answer = self._player_state.call_async(ChangeState.Request(transition=Transition(id=ids[transition])))
        answer.add_done_callback(lambda _: done.set())
        return done.wait(timeout) and bool(answer.result().success)

    def set_replay_rate(self, rate: float) -> None:
        """Ask the player for another speed; nothing happens where the player is not there."""
        if not self._rate_client.service_is_ready():
            return
        value = ParameterValue(type=ParameterType.PARAMETER_DOUBLE, double_value=rate)
        self._rate_client.call_async(SetParameters.Request(parameters=[Parameter(name="rate", value=value)]))

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except (ExternalShutdownException, KeyboardInterrupt):
            return
        except Exception as error:
            self.errors.append(f"{type(error).__name__}: {error}")

    def _subscribe(self) -> None:
        rgb, thermal = self._inputs
        self._listen(Image, rgb, self._on_rgb)
        self._listen(Image, thermal, self._on_thermal)
        self._listen(DiagnosticArray, topics.DIAGNOSTICS, self._on_diagnostics)
        for name in self._nodes:
            self._listen_to_figures(name)
        if graph.FUSION in self._nodes:
            self._listen(Image, topics.FUSED_IMAGE, self._on_fused)
            self._listen(String, topics.FUSION_MODE, self._on_mode, _latched_profile())
            self._listen(Float32MultiArray, topics.FUSION_EXPOSURE, self._on_exposure)
        if graph.DETECTION in self._nodes:
            self._listen(Detection2DArray, topics.DETECTIONS, self._on_detections)
        if graph.SEGMENTATION in self._nodes:
            self._listen(Image, topics.SEGMENTATION_MASK, self._on_mask)

    def _listen_to_figures(self, name: str) -> None:
        self._listen(Float32, _private(topics.DEBUG_PROCESSING, name), self._figure(self.received.processing, name))
        self._listen(Float32, _private(topics.DEBUG_LATENCY, name), self._figure(self.received.latencies, name))
        if name == graph.FUSION:
            self._listen(Float32, _private(topics.DEBUG_SKEW, name), self._on_skew)
        else:
            self._listen(LabelInfo, _private(topics.LABEL_INFO, name), self._labels(name), _latched_profile())

    def _listen(
        self, kind: Any, topic: str, callback: Callable[[Any, int], None], profile: QoSProfile | None = None
    ) -> None:
        def receive(message: Any, info: Any) -> None:
            published_ns = int(info["source_timestamp"] if isinstance(info, dict) else info.source_timestamp)
            with self.received.lock:
                callback(message, published_ns)

        self._node.create_subscription(kind, topic, receive, profile or _reliable_profile())

    def _on_rgb(self, message: Image, published_ns: int) -> None:
        self.received.rgb.setdefault(stamp_of(message.header), published_ns)

    def _on_thermal(self, message: Image, published_ns: int) -> None:
        self.received.thermal.setdefault(stamp_of(message.header), published_ns)

    def _on_fused(self, message: Image, published_ns: int) -> None:
        stamp_ns = stamp_of(message.header)
        self.received.fused.setdefault(stamp_ns, published_ns)
        self.received.sizes[stamp_ns] = int(message.height), int(message.width)
        self._keep_image("fused", stamp_ns, _array(message, topics.FUSED_IMAGE))

    def _on_mask(self, message: Image, published_ns: int) -> None:
        stamp_ns = stamp_of(message.header)
        self.received.masks.add(stamp_ns)
        self._keep_image("mask", stamp_ns, _array(message, topics.SEGMENTATION_MASK))

    def _on_mode(self, message: String, published_ns: int) -> None:
        self.received.modes.append((published_ns, str(message.data)))

    def _on_exposure(self, message: Float32MultiArray, published_ns: int) -> None:
        glare, dark, luma = (float(value) for value in message.data[:3])
        self.received.exposures.append((published_ns, ExposureReading(glare, dark, luma)))

    def _on_skew(self, message: Float32, published_ns: int) -> None:
        self.received.skews.append(Timed(published_ns, float(message.data)))

    def _on_detections(self, message: Detection2DArray, published_ns: int) -> None:
        names = self.received.labels.setdefault(graph.DETECTION, {})
        self.received.detections[stamp_of(message.header)] = detections_of(message, names)

    def _on_diagnostics(self, message: DiagnosticArray, published_ns: int) -> None:
        for status in message.status:
            level = status.level[0] if isinstance(status.level, bytes) else int(status.level)
            values = {pair.key: pair.value for pair in status.values}
            self.received.health.append(Health(published_ns, status.name, level, status.message, values))

    def _figure(self, store: dict[str, list[Timed]], name: str) -> Callable[[Float32, int], None]:
        def note(message: Float32, published_ns: int) -> None:
            store.setdefault(name, []).append(Timed(published_ns, float(message.data)))

        return note

    def _labels(self, name: str) -> Callable[[LabelInfo, int], None]:
        def note(message: LabelInfo, published_ns: int) -> None:
            names = {int(entry.class_id): str(entry.class_name) for entry in message.class_map}
            self.received.labels.setdefault(name, {}).update(names)

        return note


def detections_of(message: Detection2DArray, class_names: dict[int, str]) -> Detections:
    """Boxes of a message, the most likely hypothesis of each; boxes without one are left out.

    `class_names` is shared, not copied: names that arrive later count for all.
    """
    rows, ids = [], []
    for detection in message.detections:
        if not detection.results:
            continue
        best = max((result.hypothesis for result in detection.results), key=lambda hypothesis: hypothesis.score)
        center, width, height = detection.bbox.center.position, detection.bbox.size_x, detection.bbox.size_y
        rows.append(
            (center.x - width / 2, center.y - height / 2, center.x + width / 2, center.y + height / 2, best.score)
        )
        ids.append(int(best.class_id))
    values = np.array(rows, dtype=np.float32).reshape(-1, 5)
    return Detections(values[:, :4], values[:, 4], np.array(ids, dtype=np.int64), class_names)


def _array(message: Image, topic: str) -> NDArray[np.uint8]:
    image: NDArray[np.uint8] = decode_image(
        message.height, message.width, message.encoding, message.step, message.is_bigendian, message.data, topic
    )
    return image


def _private(name: str, node: str) -> str:
    return name.replace("~", f"/{node}", 1)


def _reliable_profile() -> QoSProfile:
    return QoSProfile(history=QoSHistoryPolicy.KEEP_LAST, depth=_DEPTH, reliability=QoSReliabilityPolicy.RELIABLE)


def _latched_profile() -> QoSProfile:
    return QoSProfile(
        history=QoSHistoryPolicy.KEEP_LAST,
        depth=_DEPTH,
        reliability=QoSReliabilityPolicy.RELIABLE,
        durability=QoSDurabilityPolicy.TRANSIENT_LOCAL,
    )


def _no_handlers() -> Any:
    from rclpy.signals import SignalHandlerOptions

    return SignalHandlerOptions.NO
