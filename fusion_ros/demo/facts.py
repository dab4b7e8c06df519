"""With what a run was made: configuration, versions, machine, nodes."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import fusion_ros
from fusion_ros.demo.config import DemoConfig
from fusion_ros.ros.received import Received

_PACKAGES = ("numpy", "torch", "onnxruntime", "ultralytics", "rclpy", "av", "rosbags")
Rows = list[tuple[str, str]]


def describe_run(config: DemoConfig, received: Received, measures: Mapping[str, str]) -> dict[str, Rows]:
    """Tables of (name, value) by heading; `measures` are facts of the run itself, such as its duration."""
    configuration: Rows = [
        ("mode asked for", config.mode),
        ("device", config.device),
        ("backend", config.backend),
        ("nodes", "one process" if config.composed else "a process each"),
        ("replay", "as fast as this machine keeps up" if config.rate is None else f"{config.rate:g} times real time"),
        *measures.items(),
    ]
    tables = {"Configuration": configuration, "Versions": _versions(), "Machine": _machine()}
    for node, values in _last_values(received).items():
        tables[f"Node {node}, its last diagnostics"] = values
    return tables


def _versions() -> Rows:
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


def _machine() -> Rows:
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


def _last_values(received: Received) -> dict[str, Rows]:
    last = {health.node: health.values for health in received.health}
    return {node: list(values.items()) for node, values in sorted(last.items())}
