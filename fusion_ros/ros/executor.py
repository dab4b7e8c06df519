"""The executor that nodes are spun with."""

from __future__ import annotations

import rclpy
from rclpy.context import Context
from rclpy.executors import Executor, SingleThreadedExecutor

try:
    from rclpy.experimental.events_executor import EventsExecutor
except ImportError:  # Humble
    EventsExecutor = None


def make_executor(context: Context | None = None) -> Executor:
    """Return an executor that runs callbacks one at a time, in the thread that spins it.

    rclpy's EventsExecutor is told what has arrived. The SingleThreadedExecutor, which serves where that is missing,
    asks every timer, subscription and service of every node each time it waits, at twice the CPU time per image.

    Args:
        context: the default context where it is None.
    """
    if EventsExecutor is None:
        return SingleThreadedExecutor(context=context)
    return EventsExecutor(context=context or rclpy.get_default_context())
