"""Prove that ROS works here: one message goes through the middleware and comes back. Prints one line of JSON.

`python -m fusion_ros.ros.self_check` runs in a process of its own, so that a broken installation, which may end the
process, can be reported by the one that asked (`fusion-ros doctor`).
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

TOPIC = "fusion_ros_self_check"
FIRST_MESSAGE_TIMEOUT = 10.0  # s; discovery of one's own reader takes well under one second


def check() -> dict[str, Any]:
    """Publish a `vision_msgs/Detection2DArray` to ourselves.

    Returns:
        `rmw` (name of the middleware), `domain` (ROS_DOMAIN_ID), `received` (bool) and `milliseconds` from the first
        publication to the first reception.
    """
    import rclpy
    from vision_msgs.msg import Detection2DArray

    received: list[Any] = []
    rclpy.init(args=[])
    try:
        node = rclpy.create_node(f"fusion_ros_self_check_{os.getpid()}", start_parameter_services=False)
        node.create_subscription(Detection2DArray, f"{TOPIC}_{os.getpid()}", received.append, 1)
        publisher = node.create_publisher(Detection2DArray, f"{TOPIC}_{os.getpid()}", 1)
        start = time.monotonic()
        while not received and time.monotonic() - start < FIRST_MESSAGE_TIMEOUT:
            publisher.publish(Detection2DArray())
            rclpy.spin_once(node, timeout_sec=0.1)
        elapsed = time.monotonic() - start
        node.destroy_node()
        return {
            "rmw": rclpy.get_rmw_implementation_identifier(),
            "domain": os.environ.get("ROS_DOMAIN_ID", "0"),
            "received": bool(received),
            "milliseconds": round(1000 * elapsed, 1),
        }
    finally:
        rclpy.try_shutdown()


def main() -> int:
    """Print the result of `check` as JSON; return 0 when the message came back."""
    result = check()
    print(json.dumps(result))
    return 0 if result["received"] else 1


if __name__ == "__main__":
    sys.exit(main())
