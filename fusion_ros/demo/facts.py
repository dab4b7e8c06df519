"""With what a run was made: configuration, versions, machine, nodes."""

from __future__ import annotations

from collections.abc import Mapping

from fusion_ros.demo.config import DemoConfig
from fusion_ros.report.provenance import Rows, machine, versions
from fusion_ros.ros.received import Received


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
    tables = {"Configuration": configuration, "Versions": versions(), "Machine": machine()}
    for node, values in _last_values(received).items():
        tables[f"Node {node}, its last diagnostics"] = values
    return tables


def _last_values(received: Received) -> dict[str, Rows]:
    last = {health.node: health.values for health in received.health}
    return {node: list(values.items()) for node, values in sorted(last.items())}
