"""A DDS domain of its own for each test session, and fixtures that run nodes in it."""

from __future__ import annotations

import os
import random

import pytest

# Before rclpy is initialised anywhere: other sessions on this machine must not hear these tests.
# Above 101 the ports of DDS run into those that Linux hands out by itself.
os.environ["ROS_DOMAIN_ID"] = str(random.randint(1, 101))
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"


@pytest.fixture
def bench(capfd):
    """A running bench; its nodes are taken down after the test."""
    pytest.importorskip("rclpy", reason="rclpy is not installed")
    from dds_bench import Bench

    running = Bench(capfd)
    yield running
    running.close()


@pytest.fixture
def cameras(bench):
    """Best-effort publishers of both cameras."""
    from dds_bench import Cameras

    return Cameras(bench)


@pytest.fixture
def modes(bench):
    """What `/fusion/mode` has said, as strings."""
    from dds_bench import LATCHED
    from std_msgs.msg import String

    said = []
    bench.client.create_subscription(String, "fusion/mode", lambda message: said.append(message.data), LATCHED)
    return said
