"""Quality of service by name, with overrides from YAML and clear words when two ends do not match."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.qos import (
    QoSDurabilityPolicy,
    QoSHistoryPolicy,
    QoSPolicyKind,
    QoSProfile,
    QoSReliabilityPolicy,
    qos_policy_name_from_kind,
)
from rclpy.qos_overriding_options import QoSOverridingOptions

try:
    from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import PublisherEventCallbacks, SubscriptionEventCallbacks


def sensor_input() -> QoSProfile:
    """Inputs: best effort and volatile, which every publisher satisfies; the newest five are kept."""
    return QoSProfile(
        history=QoSHistoryPolicy.KEEP_LAST,
        depth=5,
        reliability=QoSReliabilityPolicy.BEST_EFFORT,
        durability=QoSDurabilityPolicy.VOLATILE,
    )


def stream_output() -> QoSProfile:
    """Outputs: reliable, which every subscriber accepts; only the newest is kept, so that none is seconds old."""
    return QoSProfile(
        history=QoSHistoryPolicy.KEEP_LAST,
        depth=1,
        reliability=QoSReliabilityPolicy.RELIABLE,
        durability=QoSDurabilityPolicy.VOLATILE,
    )


def latched_output() -> QoSProfile:
    """Outputs that change rarely: who subscribes late still gets the last one."""
    return QoSProfile(
        history=QoSHistoryPolicy.KEEP_LAST,
        depth=1,
        reliability=QoSReliabilityPolicy.RELIABLE,
        durability=QoSDurabilityPolicy.TRANSIENT_LOCAL,
    )


def overridable() -> QoSOverridingOptions:
    """Let `qos_overrides.<topic>.<publisher|subscription>.<policy>` override four policies of an end of a topic."""
    return QoSOverridingOptions(
        policy_kinds=(
            QoSPolicyKind.HISTORY,
            QoSPolicyKind.DEPTH,
            QoSPolicyKind.RELIABILITY,
            QoSPolicyKind.DURABILITY,
        )
    )


def subscription_events(node: Node, topic: str) -> SubscriptionEventCallbacks:
    """Log a publisher that offers less than the subscription to `topic` requests."""
    callback = _logger(node, topic, "a publisher offers", "requests", "subscription")
    return SubscriptionEventCallbacks(incompatible_qos=callback, use_default_callbacks=False)


def publisher_events(node: Node, topic: str) -> PublisherEventCallbacks:
    """Log a subscriber that requests more than the publisher of `topic` offers."""
    callback = _logger(node, topic, "a subscriber requests", "offers", "publisher")
    return PublisherEventCallbacks(incompatible_qos=callback, use_default_callbacks=False)


def no_publisher_events() -> PublisherEventCallbacks:
    """Watch for nothing: rclpy looks at every event of every publisher each time it waits, and there are many."""
    return PublisherEventCallbacks(use_default_callbacks=False)


def _logger(node: Node, topic: str, theirs: str, ours: str, end: str) -> Callable[[Any], None]:
    resolved = node.resolve_topic_name(topic)

    def log(event: Any) -> None:
        policy = qos_policy_name_from_kind(event.last_policy_kind)
        node.get_logger().error(
            f"{resolved}: {theirs} another {policy.lower()} than this node {ours}, so no message passes between them; "
            f"change the other end, or set qos_overrides.{resolved}.{end}.{policy.lower()} of this node"
        )

    return log
