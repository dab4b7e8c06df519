"""The one table of parameters: of every node, made from the config dataclasses, for nodes, YAML and documentation.

`NODE_CONFIGS` says which config each node is built from. Descriptors and validation (`parameter_store`),
`config/fusion.yaml` and the tables of `docs/topics_and_parameters.md` are all made from it. Nothing here imports rclpy.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass

from fusion_ros.bags.playback import PlayerConfig
from fusion_ros.configuration import Setting, Value, section, setting, settings_of
from fusion_ros.pairing import PairingConfig
from fusion_ros.perception.detector import DetectorConfig
from fusion_ros.perception.segmenter import SegmenterConfig
from fusion_ros.pipeline import PipelineConfig
from fusion_ros.ros.graph import DETECTION, FUSION, PLAYER, SEGMENTATION

TRANSPORTS = ("raw", "compressed")
SYNC_POLICIES = ("nearest", "approximate", "exact")


@dataclass(frozen=True)
class FusionNodeConfig:
    """What a user can set on `/fusion`."""

    autostart: bool = setting(
        True,
        "configure and activate without a lifecycle manager",
        runtime=False,
    )
    pipeline: PipelineConfig = section(PipelineConfig, "")
    rgb_transport: str = setting(
        "raw",
        "how RGB images arrive: as `rgb/image` or as `rgb/image/compressed`",
        choices=TRANSPORTS,
        runtime=False,
    )
    thermal_transport: str = setting(
        "raw",
        "how thermal images arrive: as `thermal/image` or as `thermal/image/compressed` (16-bit PNG keeps the counts)",
        choices=TRANSPORTS,
        runtime=False,
    )
    sync_policy: str = setting(
        "nearest",
        "how frames are paired: by nearest stamp, or with message_filters' `approximate` or `exact` synchroniser",
        choices=SYNC_POLICIES,
        runtime=False,
        parameter="sync.policy",
    )
    sync: PairingConfig = section(PairingConfig, "sync")
    max_age: float = setting(
        0.5,
        "oldest pair worth processing: node clock minus RGB stamp",
        unit="s",
        minimum=0.001,
        maximum=3600.0,
    )


@dataclass(frozen=True)
class DetectionNodeConfig:
    """What a user can set on `/detection`."""

    autostart: bool = setting(True, "configure and activate without a lifecycle manager", runtime=False)
    detector: DetectorConfig = section(DetectorConfig, "")
    max_age: float = setting(
        5.0, "oldest image worth searching: node clock minus stamp", unit="s", minimum=0.001, maximum=3600.0
    )


@dataclass(frozen=True)
class SegmentationNodeConfig:
    """What a user can set on `/segmentation`."""

    autostart: bool = setting(True, "configure and activate without a lifecycle manager", runtime=False)
    segmenter: SegmenterConfig = section(SegmenterConfig, "")
    max_age: float = setting(
        5.0, "oldest image worth segmenting: node clock minus stamp", unit="s", minimum=0.001, maximum=3600.0
    )


NODE_CONFIGS: Mapping[str, type] = {
    FUSION: FusionNodeConfig,
    DETECTION: DetectionNodeConfig,
    SEGMENTATION: SegmentationNodeConfig,
    PLAYER: PlayerConfig,
}


def parameter_table(node: str) -> list[Setting]:
    """Return the parameters of `node` (a key of `NODE_CONFIGS`) in the order in which they are shown."""
    return settings_of(NODE_CONFIGS[node])


def default_yaml() -> str:
    """Return the text of `config/fusion.yaml`: every parameter of every node at its default, with its description.

    The keys are `/**/<name>`, so that the file serves nodes in any namespace.
    """
    lines = [
        "# Parameters of all nodes at their defaults. Written from the config dataclasses by",
        "# `python -m fusion_ros.ros.documentation`; a test fails where the two differ.",
    ]
    for node in NODE_CONFIGS:
        lines += ["", f"/**/{node}:", "  ros__parameters:"]
        for found in parameter_table(node):
            lines += textwrap.wrap(
                _sentence(found), width=120, initial_indent="    # ", subsequent_indent="    # ", break_on_hyphens=False
            )
            lines.append(f"    {found.name}: {_yaml_value(found.default)}")
    return "\n".join(lines) + "\n"


def parameter_markdown(node: str) -> str:
    """Return the table of `node`'s parameters as Markdown."""
    rows = ["| name | type | default | allowed | while running | meaning |", "|---|---|---|---|---|---|"]
    for found in parameter_table(node):
        cells = (
            f"`{found.name}`",
            type_name(found.default),
            f"`{_yaml_value(found.default)}`",
            found.allowed,
            "yes" if found.runtime else "no",
            found.description,
        )
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"


def type_name(value: Value) -> str:
    """Return the ROS name of `value`'s type."""
    if isinstance(value, tuple):
        return "double[]"
    return {bool: "bool", int: "int", float: "double", str: "string"}[type(value)]


def _sentence(found: Setting) -> str:
    change = "" if found.runtime else "; fixed while the node is configured"
    return f"{found.description} ({found.allowed}{change})"


def _yaml_value(value: Value) -> str:
    # JSON is YAML, and unlike bare words its strings can never be read as numbers or truth values.
    return json.dumps(list(value) if isinstance(value, tuple) else value)
