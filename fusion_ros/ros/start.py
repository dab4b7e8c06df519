"""Where the executables begin: with a quiet answer to Ctrl-C from the first moment, then the imports.

torch, ONNX Runtime and rclpy take seconds to import on a small machine. An interrupt in that time would end in a
traceback of whatever module was being read; here it ends the process with exit code 0, as `run_nodes` does later on.

    python -m fusion_ros.ros.start fusion_node --ros-args ...
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from types import FrameType


def _leave(_number: int, _frame: FrameType | None) -> None:
    # Nothing has been opened yet that would want closing.
    os._exit(0)


def _start(executable: str) -> int:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    return int(importlib.import_module(f"fusion_ros.ros.{executable}").main())


def fusion_node() -> int:
    """Run the fusion node."""
    return _start("fusion_node")


def detection_node() -> int:
    """Run the detection node."""
    return _start("detection_node")


def segmentation_node() -> int:
    """Run the segmentation node."""
    return _start("segmentation_node")


def pipeline_node() -> int:
    """Run fusion, detection and segmentation in one process."""
    return _start("pipeline_node")


def player_node() -> int:
    """Run the player."""
    return _start("player_node")


if __name__ == "__main__":
    sys.exit(_start(sys.argv.pop(1)))
