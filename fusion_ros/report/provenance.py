"""With which software, and on which machine, something was made."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path

import fusion_ros

_PACKAGES = ("numpy", "torch", "onnxruntime", "ultralytics", "rclpy", "av", "rosbags")
Rows = list[tuple[str, str]]


def versions() -> Rows:
    """Versions of this package, Python and what does the work."""
    import cv2

    rows = [
        ("fusion_ros", fusion_ros.__version__),
        ("Python", platform.python_version()),
        ("ROS distribution", os.environ.get("ROS_DISTRO", "rclpy from PyPI")),
        ("OpenCV", cv2.__version__),
    ]
    for package in _PACKAGES:
        try:
            rows.append((package, metadata.version(package)))
        except metadata.PackageNotFoundError:
            rows.append((package, "not installed"))
    return rows


def machine() -> Rows:
    """Processor, cores and system."""
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model)
    except OSError:
        pass
    return [
        ("processor", model),
        ("cores available", str(len(os.sched_getaffinity(0)))),
        ("system", platform.platform()),
    ]
