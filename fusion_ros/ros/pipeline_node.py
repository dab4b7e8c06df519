"""Fusion, detection and segmentation in one process: fused images reach the other two without DDS in between.

    pipeline_node [--nodes fusion detection segmentation] [--backend onnx] [--ros-args ...]

The nodes keep their names and parameters. What the fusion node publishes is published all the same.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from rclpy.lifecycle import LifecycleNode
from rclpy.parameter import Parameter

from fusion_ros.errors import InputError
from fusion_ros.ros import topics
from fusion_ros.ros.detection_node import DetectionNode
from fusion_ros.ros.fusion_node import FusionNode
from fusion_ros.ros.graph import DETECTION, FUSION, SEGMENTATION
from fusion_ros.ros.perception_node import PerceptionNode
from fusion_ros.ros.run import own_arguments, run_nodes
from fusion_ros.ros.segmentation_node import SegmentationNode

NODES = {FUSION: FusionNode, DETECTION: DetectionNode, SEGMENTATION: SegmentationNode}


def make_nodes(names: Sequence[str] = tuple(NODES), backend: str | None = None) -> list[LifecycleNode]:
    """Create the nodes named and connect those that look at the fused image to the fusion node.

    Args:
        names: of the nodes.
        backend: parameter `backend` of the fusion node alone; None leaves it to the ROS arguments.
    """
    overrides = {} if backend is None else {FUSION: [Parameter("backend", value=backend)]}
    nodes = {name: NODES[name](parameter_overrides=overrides.get(name)) for name in names}
    fusion = nodes.get(FUSION)
    if isinstance(fusion, FusionNode):
        for node in nodes.values():
            if isinstance(node, PerceptionNode) and _looks_at_fused(node, fusion):
                node.feed_in_process()
                fusion.fused_listeners.append(node.take)
    return list(nodes.values())


def _looks_at_fused(node: PerceptionNode[Any], fusion: FusionNode) -> bool:
    """Whether the node's image topic is the fused image's, or has not been remapped at all."""
    topic = node.resolve_topic_name(topics.IMAGE)
    unmapped = f"{node.get_namespace().rstrip('/')}/{topics.IMAGE}"
    return topic in (fusion.resolve_topic_name(topics.FUSED_IMAGE), unmapped)


def main() -> int:
    """Run the nodes until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(
        prog="pipeline_node", description="Fusion, detection, segmentation in one process."
    )
    parser.add_argument("--nodes", nargs="+", choices=list(NODES), default=list(NODES), help="nodes to run (all three)")
    parser.add_argument("--backend", help="what runs the fusion networks; the parameter of that name is every node's")
    try:
        chosen = parser.parse_args(own_arguments())
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return run_nodes(lambda: make_nodes(chosen.nodes, chosen.backend))


if __name__ == "__main__":
    sys.exit(main())
