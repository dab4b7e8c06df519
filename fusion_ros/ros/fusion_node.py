"""The fusion node: pairs thermal and RGB images by stamp, chooses the mode, publishes the fused image."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from fusion_ros.errors import InputError
from fusion_ros.fusion.fallback import ModelLoader
from fusion_ros.pipeline import FusionPipeline, PipelineConfig
from fusion_ros.ros import topics
from fusion_ros.ros.diagnostics import HealthReport, StatusBuilder
from fusion_ros.ros.filters import SimpleFilter
from fusion_ros.ros.fusion_output import FusionOutput
from fusion_ros.ros.graph import FUSION
from fusion_ros.ros.images import stamp_of
from fusion_ros.ros.node import StreamNode
from fusion_ros.ros.parameters import FusionNodeConfig
from fusion_ros.ros.qos import overridable, sensor_input, subscription_events
from fusion_ros.ros.run import run_nodes
from fusion_ros.ros.runtime_weights import RuntimeWeights
from fusion_ros.ros.sensor_input import RGB, THERMAL, SensorInput
from fusion_ros.ros.synchroniser import Synchroniser, make_synchroniser
from fusion_ros.types import NANOSECONDS_PER_SECOND, Frame, FramePair, FusedFrame

# Pays for what the first inference costs (contexts, kernels, arenas); a camera of another size costs little more.
_WARM_UP_SHAPE = (480, 640)
_WATCH_PERIOD = 0.1
# Images of either camera that come to no pair before it is said: more than a hiccup loses.
_PAIRLESS_IMAGES = 10

FusedListener = Callable[[NDArray[np.uint8], Header], None]


@dataclass(frozen=True)
class Arrival:
    """What the worker gets: a pair, or one camera's message while the other is silent.

    Attributes:
        rgb: message of the RGB camera, or None.
        thermal: message of the thermal camera, or None.
        skew_ns: thermal minus RGB stamp with `sync.thermal_offset` added, in nanoseconds.
        reason: why one of the two is None.
    """

    rgb: Any
    thermal: Any
    skew_ns: int = 0
    reason: str | None = None


class FusionNode(StreamNode[FusionNodeConfig, Arrival]):
    """Subscribes to two cameras and publishes what their pairs show together.

    Args:
        model_loader: takes the place of `fusion_ros.fusion.load_model`.
        arguments: passed on to the lifecycle node.

    Attributes:
        fused_listeners: called in the worker's thread with each fused image and its header, without DDS in between.
            They must return quickly and leave both unchanged.
    """

    def __init__(self, model_loader: ModelLoader | None = None, **arguments: Any) -> None:
        self._model_loader = model_loader
        self._pipeline: FusionPipeline | None = None
        self._applied: PipelineConfig | None = None
        self._weights: RuntimeWeights | None = None
        self._inputs: dict[str, SensorInput] = {}
        self._filters: dict[str, SimpleFilter] = {}
        self._synchroniser: Synchroniser | None = None
        self._jumps_seen = 0
        self._newest_stamps: dict[str, int] = {}
        self._since_pair: Counter[str] = Counter()
        self._camera_info: CameraInfo | None = None
        self._camera_info_subscription: Any = None
        self._watch: Any = None
        self._silent: frozenset[str] = frozenset()
        self._alive_since: dict[str, float] = {}
        self._timeout = 0.0
        self._last: tuple[FusedFrame, Header] | None = None
        self._fallbacks_said: set[str] = set()
        self._last_reason: str | None = None
        self._mode_in_force: str | None = None
        self.fused_listeners: list[FusedListener] = []
        super().__init__(FUSION, FusionNodeConfig, **arguments)

    # -- set-up ------------------------------------------------------------------------------------------------------

    def build(self, config: FusionNodeConfig) -> None:
        """Load the models of all modes, then create publishers and subscriptions."""
        pipeline = FusionPipeline(config.pipeline, self._model_loader)
        pipeline.load()
        pipeline.warm_up(*_WARM_UP_SHAPE)
        self._pipeline = pipeline
        self._applied = config.pipeline
        self._weights = RuntimeWeights(self, pipeline)
        self._output = FusionOutput(self)
        self.add_debug_publishers()
        self._filters = {RGB: SimpleFilter(), THERMAL: SimpleFilter()}
        self._synchroniser = make_synchroniser(
            config.sync_policy, self._filters[RGB], self._filters[THERMAL], config.sync
        )
        self._synchroniser.registerCallback(self._on_pair)
        self._jumps_seen = 0
        for sensor, transport in ((RGB, config.rgb_transport), (THERMAL, config.thermal_transport)):
            chosen = SensorInput(self, sensor, transport == "compressed", lambda: self.is_active, self.bad_input)
            chosen.registerCallback(self._on_image, sensor)
            self._inputs[sensor] = chosen
        self._camera_info_subscription = self.create_subscription(
            CameraInfo,
            topics.RGB_CAMERA_INFO,
            self._on_camera_info,
            sensor_input(),
            qos_overriding_options=overridable(),
            event_callbacks=subscription_events(self, topics.RGB_CAMERA_INFO),
        )
        self._watch = self.create_timer(_WATCH_PERIOD, self._watch_inputs, clock=self.steady_clock)

    def release(self) -> None:
        """Destroy subscriptions and models."""
        for chosen in self._inputs.values():
            chosen.destroy()
        self._inputs.clear()
        if self._camera_info_subscription is not None:
            self.destroy_subscription(self._camera_info_subscription)
            self._camera_info_subscription = None
        if self._watch is not None:
            self.destroy_timer(self._watch)
            self._watch = None
        self._synchroniser = None
        if self._weights is not None:
            self._weights.stop()
            self._weights = None
        self._pipeline = None
        self._last = None
        self._camera_info = None
        self._last_reason = None
        self._mode_in_force = None
        self._fallbacks_said.clear()

    def begin(self) -> None:
        """Start with empty queues."""
        self._synchroniser_reset()
        self._output.begin()
        self._last = None
        self._silent = frozenset()
        self._timeout = self.store.config.pipeline.timeout
        for name, chosen in self._inputs.items():
            chosen.restart()
            self._alive_since[name] = time.monotonic()

    def accept(self, old: FusionNodeConfig, new: FusionNodeConfig, changed: frozenset[str]) -> None:
        """Refuse weights that a look at their file shows to be unusable; the others are loaded beside the frames."""
        if self._weights is not None:
            self._weights.check(new.pipeline.models.by_mode(), changed)

    # -- arrival, in the executor's thread ---------------------------------------------------------------------------

    def _on_camera_info(self, message: CameraInfo) -> None:
        self._camera_info = message

    def _on_image(self, message: Any, sensor: str) -> None:
        self._note_alive(sensor)
        other = THERMAL if sensor == RGB else RGB
        # Right after a start or a pause of both, the other one's first image is probably on its way.
        lived = time.monotonic() - self._alive_since[sensor]
        if other not in self._silent or lived < self._timeout:
            self._newest_stamps[sensor] = stamp_of(message.header)
            self._since_pair[sensor] += 1
            self._filters[sensor].signalMessage(message)
            self._note_stamp_jumps()
            return
        reason = self._inputs[other].complaint()
        self.offer(
            Arrival(
                rgb=message if sensor == RGB else None,
                thermal=message if sensor == THERMAL else None,
                reason=reason,
            )
        )

    def _on_pair(self, rgb: Any, thermal: Any, skew_ns: int) -> None:
        self._since_pair.clear()
        self._note_stamp_jumps()
        self.offer(Arrival(rgb, thermal, skew_ns))

    def _watch_inputs(self) -> None:
        if self._weights is not None:
            self._weights.watch(self.store.config.pipeline.models.by_mode())
        if not self.is_active or self._synchroniser is None:
            return
        config = self.store.config
        self._timeout = config.pipeline.timeout
        self._synchroniser.thermal_offset = config.sync.thermal_offset
        self._synchroniser.expire()
        self._watch_silence(self._timeout)

    def _watch_silence(self, timeout: float) -> None:
        silent = frozenset(name for name, chosen in self._inputs.items() if chosen.is_silent(timeout))
        for name in silent - self._silent:
            self.get_logger().warning(self._inputs[name].complaint())
        if silent and not self._silent:
            # What waits for a partner will not get one.
            self._synchroniser_reset()
        self._silent |= silent

    def _note_alive(self, sensor: str) -> None:
        if sensor in self._silent:
            self._silent -= {sensor}
            self._alive_since[sensor] = time.monotonic()
            self.get_logger().info(f"{self._inputs[sensor].topic}: images come again")

    def _note_stamp_jumps(self) -> None:
        assert self._synchroniser is not None
        if self._synchroniser.time_jumps > self._jumps_seen:
            self._jumps_seen = self._synchroniser.time_jumps
            self.health.jumped(time.monotonic_ns())
            self._forget_past()

    def on_time_jump(self) -> None:
        """Forget what waits and what depends on the past."""
        self._synchroniser_reset()
        self._forget_past()
        for chosen in self._inputs.values():
            # Or the time that was skipped would count as silence.
            chosen.restart()

    def _forget_past(self) -> None:
        self._last = None
        if self._pipeline is not None:
            self._pipeline.reset()

    def _synchroniser_reset(self) -> None:
        self._since_pair.clear()
        if self._synchroniser is not None:
            self._synchroniser.reset()

    # -- work, in the worker's thread --------------------------------------------------------------------------------

    def work(self, item: Arrival) -> None:
        """Fuse a pair and publish it."""
        assert self._pipeline is not None
        config = self.store.config
        self._apply(config.pipeline)
        header = (item.thermal if item.rgb is None else item.rgb).header
        if self.is_too_old(stamp_of(header), config.max_age):
            return
        start = time.perf_counter()
        rgb, thermal = self._frame(RGB, item.rgb), self._frame(THERMAL, item.thermal)
        if rgb is not None and thermal is not None:
            fused = self._pipeline.process(FramePair(rgb, thermal))
            self._last = fused, header
            self._publish(fused, header, fused.mode, rgb, start, item.skew_ns)
        elif rgb is not None or thermal is not None:
            self._publish_single(rgb, thermal, header, config.pipeline.on_missing, item.reason, start)

    def _apply(self, config: PipelineConfig) -> None:
        assert self._pipeline is not None
        if config is self._applied:
            return
        self._applied = config
        self._pipeline.update(config)

    def _frame(self, sensor: str, message: Any) -> Frame | None:
        if message is None:
            return None
        try:
            return self._inputs[sensor].frame(message)
        except InputError as error:
            self.bad_input(error)
            return None

    def _publish_single(
        self,
        rgb: Frame | None,
        thermal: Frame | None,
        header: Header,
        on_missing: str,
        reason: str | None,
        start: float,
    ) -> None:
        assert self._pipeline is not None
        if on_missing == "drop":
            self.health.dropped("one camera missing")
        elif on_missing == "hold":
            if self._last is None:
                self.health.dropped("one camera missing")
                return
            fused, held_header = self._last
            self._publish(fused, held_header, "hold", None, start, None, reason)
        elif rgb is not None:
            fused = self._pipeline.process_single(rgb, "rgb", reason)
            self._publish(fused, header, fused.mode, rgb, start, None)
        elif thermal is not None:
            fused = self._pipeline.process_single(thermal, "thermal", reason)
            self._publish(fused, header, fused.mode, None, start, None)

    def _publish(
        self,
        fused: FusedFrame,
        header: Header,
        mode: str,
        rgb: Frame | None,
        start: float,
        skew_ns: int | None,
        reason: str | None = None,
    ) -> None:
        processing_ms = (time.perf_counter() - start) * 1e3
        image = None if rgb is None else rgb.image.view(np.uint8)
        self._output.publish(fused, header, mode, image, self._camera_info if rgb is not None else None)
        for listener in self.fused_listeners:
            listener(fused.image, header)
        self._say_fallback(mode, reason or fused.fallback_reason)
        figures = {}
        if skew_ns is not None:
            figures["pair_skew_ms"] = skew_ns / 1e6
            self._output.publish_skew(skew_ns / 1e6)
        self.note_published(stamp_of(header), processing_ms, **figures)
        self._mode_in_force = mode

    def _say_fallback(self, mode: str, reason: str | None) -> None:
        assert self._pipeline is not None
        changed, self._last_reason = reason != self._last_reason, reason
        if reason is None or not changed or reason in self._fallbacks_said:
            return
        if reason in self._pipeline.problems.values():
            # A model that is missing stays missing: once is enough.
            self._fallbacks_said.add(reason)
        if not self._silent:
            self.get_logger().warning(f"mode {mode} stands in: {reason}")

    # -- diagnostics -------------------------------------------------------------------------------------------------

    def describe(self, status: StatusBuilder, report: HealthReport) -> None:
        """Mode, model, silent cameras and what the pairing dropped."""
        assert self._pipeline is not None
        assert self._weights is not None
        in_force = self._mode_in_force
        status.add("mode_requested", self._pipeline.mode)
        status.add("mode", in_force or "none yet")
        model = self._pipeline.models.get(in_force or self._pipeline.mode)
        for name in ("device", "backend", "precision"):
            status.add(name, getattr(model, name, getattr(self._pipeline.config, name)))
        status.add("fallback", self._last_reason or "none")
        for mode, problem in self._pipeline.problems.items():
            status.add(f"unavailable.{mode}", problem)
        self._weights.describe(status)
        self._describe_inputs(status)
        if self.is_active and self._last_reason is not None and not self._silent:
            status.warn(f"mode {in_force} stands in: {self._last_reason}")

    def _describe_inputs(self, status: StatusBuilder) -> None:
        for name, chosen in self._inputs.items():
            status.add(f"{name}.received", chosen.received)
        status.add("silent", ", ".join(sorted(self._silent)) or "none")
        if self._synchroniser is not None:
            dropped = self._synchroniser.dropped
            status.add("dropped.unpaired", sum(dropped.values()))
            for reason, count in sorted(dropped.items()):
                status.add(f"dropped.{reason}", count)
        if not self.is_active:
            return
        complaints = "; ".join(self._inputs[name].complaint() for name in sorted(self._silent))
        if len(self._silent) == len(self._inputs):
            status.error(complaints)
        elif self._silent:
            status.warn(complaints)
        elif min(self._since_pair[name] for name in self._inputs) >= _PAIRLESS_IMAGES:
            self._complain_of_pairing(status)

    def _complain_of_pairing(self, status: StatusBuilder) -> None:
        config = self.store.config.sync
        offset_ns = round(config.thermal_offset * NANOSECONDS_PER_SECOND)
        apart_ns = self._newest_stamps[THERMAL] + offset_ns - self._newest_stamps[RGB]
        complaint = (
            f"images of both cameras come but make no pair: the newest thermal stamp is {apart_ns / 1e9:.4g} s after "
            f"the newest RGB stamp, sync.slop is {config.slop:g} s; synchronise the cameras' clocks, or set "
            "sync.thermal_offset or sync.slop"
        )
        status.warn(complaint)
        self.log_sometimes("warning", "no pairs", complaint)


def make_nodes() -> list[LifecycleNode]:
    """Return the nodes of this executable."""
    return [FusionNode()]


def main() -> int:
    """Run the fusion node until SIGINT or SIGTERM."""
    return run_nodes(make_nodes)


if __name__ == "__main__":
    sys.exit(main())
