"""Did every stage deliver?"""

from __future__ import annotations

from collections.abc import Sequence

from fusion_ros.ros import graph
from fusion_ros.ros.received import Received


def silent_stages(received: Received, nodes: Sequence[str]) -> list[str]:
    """Names of the stages of which nothing has come, in the order of the pipeline: the first is to blame."""
    counts = received.counts()
    delivered = [
        (graph.PLAYER, counts["rgb"] + counts["thermal"]),
        (graph.FUSION, counts["fused"]),
        (graph.DETECTION, counts["detections"]),
        (graph.SEGMENTATION, counts["masks"]),
    ]
    return [name for name, count in delivered if not count and (name == graph.PLAYER or name in nodes)]


def behind(received: Received, nodes: Sequence[str], pair_count: int) -> list[str]:
    """Sentences about stages that answered clearly fewer frames than they were given."""
    counts = received.counts()
    stages = [
        (graph.FUSION, counts["fused"], pair_count, "pairs"),
        (graph.DETECTION, counts["detections"], counts["fused"], "fused images"),
        (graph.SEGMENTATION, counts["masks"], counts["fused"], "fused images"),
    ]
    return [
        f"{name} answered {done} of {given} {what}; the rest was superseded by newer ones or lost."
        for name, done, given, what in stages
        if name in nodes and given and done < 0.8 * given
    ]
