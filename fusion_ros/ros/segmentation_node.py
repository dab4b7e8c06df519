"""The segmentation node: a class for every pixel of an image topic."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from fusion_ros.perception.drawing import draw_segmentation
from fusion_ros.perception.segmenter import Segmenter
from fusion_ros.ros import topics
from fusion_ros.ros.graph import SEGMENTATION
from fusion_ros.ros.images import image_message
from fusion_ros.ros.parameters import SegmentationNodeConfig
from fusion_ros.ros.perception_node import PerceptionNode
from fusion_ros.ros.run import run_nodes


class SegmentationNode(PerceptionNode[SegmentationNodeConfig]):
    """Segments every image it gets round to."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(SEGMENTATION, SegmentationNodeConfig, **arguments)

    def load(self, config: SegmentationNodeConfig) -> Segmenter:
        """Load the segmenter and create the publishers."""
        segmenter = Segmenter(config.segmenter)
        segmenter.warm_up()
        self._mask = self.add_publisher(Image, topics.SEGMENTATION_MASK, is_watched=True)
        self._drawing = self.add_publisher(Image, topics.SEGMENTATION_IMAGE)
        return segmenter

    def look(self, bgr: NDArray[np.uint8], header: Header, config: SegmentationNodeConfig) -> None:
        """Publish the mask of one image."""
        mask = self._model.segment(bgr)
        self._mask.publish(image_message(mask.class_id, header))
        if self._drawing.get_subscription_count():
            drawing = draw_segmentation(bgr, mask, config.segmenter.palette)
            self._drawing.publish(image_message(drawing, header))


def make_nodes() -> list[LifecycleNode]:
    """Return the nodes of this executable."""
    return [SegmentationNode()]


def main() -> int:
    """Run the segmentation node until SIGINT or SIGTERM."""
    return run_nodes(make_nodes)


if __name__ == "__main__":
    sys.exit(main())
