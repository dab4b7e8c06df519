"""The lifecycle node that all nodes of this package are: parameters, transitions, one worker, diagnostics."""

from __future__ import annotations

import re
import time
import traceback
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType, JumpThreshold, TimeJump
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.qos import QoSProfile
from std_msgs.msg import Float32

from fusion_ros.errors import InputError, JobError
from fusion_ros.ros import topics
from fusion_ros.ros.diagnostics import HealthReport, StatusBuilder, StreamHealth, gpu_memory_mb, memory_mb
from fusion_ros.ros.parameter_store import ParameterStore
from fusion_ros.ros.qos import no_publisher_events, overridable, publisher_events, stream_output
from fusion_ros.ros.worker import LatestWorker

ConfigT = TypeVar("ConfigT")
ItemT = TypeVar("ItemT")

# An inference on a slow machine takes seconds; one that takes longer is stuck.
DEACTIVATE_TIMEOUT = 20.0
_FORWARD_JUMP = Duration(seconds=5)
_LOG_PERIOD = 5.0
# More than the steps in which a replayed /clock advances.
_CLOCK_TOLERANCE = 0.2
_DIAGNOSTICS_PERIOD = 1.0


class StreamNode(LifecycleNode, Generic[ConfigT, ItemT]):
    """A node that works on the newest item of a stream.

    A subclass fills in `build` (subscriptions, publishers, models), `work` (one item), `release`, and in `describe`
    what it adds to the diagnostics. Subscription callbacks call `offer`; `work` runs in the worker's thread.

    Args:
        name: default node name.
        config_class: settings that the parameters are made from.
        arguments: passed on to `LifecycleNode` (`namespace`, `parameter_overrides`, `cli_args`, ...).

    Attributes:
        exit_code: what the process is to return where this node has a say in it.
    """

    def __init__(self, name: str, config_class: type[ConfigT], **arguments: Any) -> None:
        super().__init__(name, **arguments)
        self.health = StreamHealth(time.monotonic_ns())
        self.is_active = False
        self.exit_code = 0
        self._is_configured = False
        self._failure: str | None = None
        self._last_bad_input = ""
        self._last_log: dict[str, float] = {}
        self._made_publishers: list[Any] = []
        self.store: ParameterStore[ConfigT] = ParameterStore(self, config_class, self.accept)
        self._worker: LatestWorker[ItemT] = LatestWorker(self._work_safely, f"{name}-worker")
        self._diagnostics = self.create_publisher(DiagnosticArray, topics.DIAGNOSTICS, 10)
        # Diagnostics and the start must come also while /clock stands still.
        self.steady_clock = Clock(clock_type=ClockType.STEADY_TIME)
        self._diagnostics_timer = self.create_timer(
            _DIAGNOSTICS_PERIOD, self._publish_diagnostics, clock=self.steady_clock
        )
        # Both must be kept: what nobody holds is collected and never called.
        self._jump_handle = self.get_clock().create_jump_callback(
            JumpThreshold(min_forward=_FORWARD_JUMP, min_backward=Duration(nanoseconds=-1), on_clock_change=True),
            post_callback=self._on_clock_jump,
        )
        self._start_timer = self.create_timer(0.0, self._start_by_itself, clock=self.steady_clock)

    # -- for subclasses ----------------------------------------------------------------------------------------------

    def accept(self, old: ConfigT, new: ConfigT, changed: frozenset[str]) -> None:
        """Refuse a change of parameters by raising InputError; the node must be left as it is."""

    def build(self, config: ConfigT) -> None:
        """Load models and create subscriptions and publishers, when the node is configured.

        Raises:
            InputError: the configuration cannot be had; the node stays unconfigured.
        """
        raise NotImplementedError

    def release(self) -> None:
        """Destroy what `build` made; it may have got through half of it."""
        raise NotImplementedError

    def begin(self) -> None:
        """Prepare for the first item, when the node is activated; the publishers are silent still."""

    def activated(self) -> None:
        """Publish what is to be known from the start, when the node has been activated."""

    def work(self, item: ItemT) -> None:
        """Process one item and publish the outcome. Called in the worker's thread; may raise."""
        raise NotImplementedError

    def describe(self, status: StatusBuilder, report: HealthReport) -> None:
        """Add to the diagnostics what this kind of node knows."""

    def on_time_jump(self) -> None:
        """Forget what depends on the past, after time has jumped. Called in the executor's thread."""

    # -- for subclasses to call --------------------------------------------------------------------------------------

    @property
    def is_working(self) -> bool:
        """Whether an item is in work."""
        return self._worker.is_busy

    def offer(self, item: ItemT) -> None:
        """Leave an item for the worker; one that still waits is thrown away and counted."""
        if self.is_active and self._worker.offer(item):
            self.health.dropped("superseded")

    def clear_waiting(self, reason: str) -> None:
        """Throw away and count the item that waits for the worker."""
        if self._worker.clear():
            self.health.dropped(reason)

    def add_publisher(
        self, message_type: type, topic: str, profile: QoSProfile | None = None, is_watched: bool = False
    ) -> Any:
        """Create a publisher that is silent while the node is inactive and destroyed when it is cleaned up.

        Args:
            message_type: of the topic.
            topic: its name.
            profile: its quality of service, a stream's by default.
            is_watched: whether to log subscribers whose quality of service does not match.
        """
        publisher = self.create_lifecycle_publisher(
            message_type,
            topic,
            stream_output() if profile is None else profile,
            qos_overriding_options=overridable(),
            event_callbacks=publisher_events(self, topic) if is_watched else no_publisher_events(),
        )
        self._made_publishers.append(publisher)
        return publisher

    def add_debug_publishers(self) -> None:
        """Create the publishers of the figures that every node has."""
        self._processing_publisher = self.add_publisher(Float32, topics.DEBUG_PROCESSING)
        self._latency_publisher = self.add_publisher(Float32, topics.DEBUG_LATENCY)

    def note_published(self, stamp_ns: int, processing_ms: float, **figures: float) -> None:
        """Count a published frame, and publish its processing time and latency."""
        latency_ms = self.age(stamp_ns) * 1e3
        self.health.published(processing_ms=processing_ms, latency_ms=latency_ms, **figures)
        self.publish_number(self._processing_publisher, processing_ms)
        self.publish_number(self._latency_publisher, latency_ms)

    def publish_number(self, publisher: Any, value: float) -> None:
        """Publish `value` as Float32 where anybody listens."""
        if publisher.get_subscription_count():
            publisher.publish(Float32(data=value))

    def age(self, stamp_ns: int) -> float:
        """Return how long ago `stamp_ns` was on the node's clock, in seconds."""
        return float(self.get_clock().now().nanoseconds - stamp_ns) / 1e9

    def is_too_old(self, stamp_ns: int, max_age: float) -> bool:
        """Return whether a frame is older than `max_age` seconds; counts and logs it where it is."""
        age = self.age(stamp_ns)
        if age <= max_age:
            return False
        self.health.dropped("too old")
        hint = (
            "; the stamps are not of this node's clock: set use_sim_time for a replayed bag, or synchronise the camera"
            if age > 60.0
            else ""
        )
        self.log_sometimes("warning", "too old", f"frame is {age:.3g} s old, max_age is {max_age:g} s: dropped{hint}")
        return True

    def bad_input(self, error: Exception) -> None:
        """Count and log a message that cannot be used."""
        self.health.dropped("bad input")
        self._last_bad_input = str(error)
        # Sizes differ from message to message of one fault.
        self.log_sometimes("error", f"bad input {re.sub('[0-9]+', '#', str(error))}", str(error))

    def log_sometimes(self, severity: str, kind: str, text: str) -> None:
        """Log `text`, but each `kind` of message no more than once in a few seconds."""
        now = time.monotonic()
        if now - self._last_log.get(kind, -_LOG_PERIOD) >= _LOG_PERIOD:
            self._last_log[kind] = now
            getattr(self.get_logger(), severity)(text)

    # -- transitions -------------------------------------------------------------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load and create everything; with a reason in the log where that fails, so that it can be tried again."""
        return self._transition("configure", self._configure, self._tear_down, super().on_configure, state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start to work."""
        result = self._transition("activate", self._activate, self._pause, super().on_activate, state)
        if result == TransitionCallbackReturn.SUCCESS:
            self.activated()
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop to work, after the item in work."""
        return self._transition("deactivate", self._pause, None, super().on_deactivate, state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Destroy everything that configuring created."""
        return self._transition("clean up", self._tear_down, None, super().on_cleanup, state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop to work and destroy everything."""
        return self._transition("shut down", self.close, None, super().on_shutdown, state)

    def close(self) -> None:
        """Stop to work and destroy everything, whatever state the node is in."""
        self._pause()
        self._tear_down()

    def _transition(
        self,
        name: str,
        action: Callable[[], None],
        undo: Callable[[], None] | None,
        entities: Callable[[LifecycleState], TransitionCallbackReturn],
        state: LifecycleState,
    ) -> TransitionCallbackReturn:
        # rclpy swallows an exception of a transition and ends in the error state, from which there is no way back.
        try:
            action()
            result = entities(state)
        except Exception as error:
            self._failure = f"could not {name}: {error}"
            known = isinstance(error, (InputError, JobError))
            self.get_logger().error(self._failure if known else f"{self._failure}\n{traceback.format_exc()}")
            if undo is not None:
                undo()
            return TransitionCallbackReturn.FAILURE
        self._failure = None
        return result

    def _configure(self) -> None:
        if self.store.refused:
            raise InputError("; ".join(self.store.refused.values()))
        self.build(self.store.config)
        self.store.is_fixed = True
        self._is_configured = True

    def _activate(self) -> None:
        self.begin()
        self._worker.start()
        self.is_active = True

    def _pause(self) -> None:
        self.is_active = False
        if not self._worker.stop(DEACTIVATE_TIMEOUT):
            raise JobError(f"the frame in work has not been finished in {DEACTIVATE_TIMEOUT:g} s")

    def _tear_down(self) -> None:
        self.store.is_fixed = False
        self._is_configured = False
        self.release()
        for publisher in self._made_publishers:
            self.destroy_lifecycle_publisher(publisher)
        self._made_publishers.clear()

    def _start_by_itself(self) -> None:
        self._start_timer.cancel()
        self.destroy_timer(self._start_timer)
        if not self.get_parameter("autostart").value:
            return
        if self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()

    # -- work and health ---------------------------------------------------------------------------------------------

    def _work_safely(self, item: ItemT) -> None:
        try:
            self.work(item)
        except InputError as error:
            self.bad_input(error)
        except Exception as error:
            if not self.context.ok():
                return
            self.health.failed(f"{type(error).__name__}: {error}")
            self.log_sometimes("error", f"failed {type(error).__name__}", traceback.format_exc())

    def _on_clock_jump(self, jump: TimeJump) -> None:
        # Simulated time stands at 0 until the first /clock: that is a beginning, and what came before it is no past.
        if self.get_clock().now().nanoseconds == jump.delta.nanoseconds:
            return
        self.health.jumped(time.monotonic_ns())
        self.clear_waiting("time jump")
        self.on_time_jump()

    def _publish_diagnostics(self) -> None:
        report = self.health.report(time.monotonic_ns())
        status = StatusBuilder()
        status.add("state", "active" if self.is_active else "inactive" if self._is_configured else "unconfigured")
        self._judge(status, report)
        status.add("rate_hz", report.rate)
        for name, mean in report.means.items():
            status.add(name, mean)
        if self._is_configured:
            self.describe(status, report)
        for reason, count in sorted(report.dropped.items()):
            status.add(f"dropped.{reason.replace(' ', '_')}", count)
        status.add("errors", report.errors)
        status.add("time_jumps", report.time_jumps)
        status.add("memory_mb", memory_mb())
        if (gpu_memory := gpu_memory_mb()) is not None:
            status.add("gpu_memory_mb", gpu_memory)
        message = DiagnosticArray(status=[status.build(self.get_fully_qualified_name().lstrip("/"), "fusion_ros")])
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message)

    def _judge(self, status: StatusBuilder, report: HealthReport) -> None:
        if self._failure is not None:
            status.error(self._failure)
        elif self.store.refused:
            status.error("; ".join(self.store.refused.values()))
        if report.new_error is not None:
            status.error(f"processing failed: {report.new_error}")
        for reason in ("bad input", "too old"):
            if reason in report.newly_dropped:
                detail = f" ({self._last_bad_input})" if reason == "bad input" else ""
                status.warn(f"{report.newly_dropped[reason]} dropped: {reason}{detail}")
        ahead = -report.means.get("latency_ms", 0.0) / 1e3
        if ahead > _CLOCK_TOLERANCE:
            status.warn(
                f"stamps are {ahead:.3g} s ahead of this node's clock: synchronise the camera with it, or, with "
                "use_sim_time, see that /clock is published"
            )
