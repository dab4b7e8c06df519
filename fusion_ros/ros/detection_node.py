"""The detection node: boxes on an image topic."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection2D, Detection2DArray, ObjectHypothesisWithPose

from fusion_ros.perception.detector import Detector
from fusion_ros.perception.drawing import draw_detections
from fusion_ros.ros import topics
from fusion_ros.ros.graph import DETECTION
from fusion_ros.ros.images import image_message
from fusion_ros.ros.parameters import DetectionNodeConfig
from fusion_ros.ros.perception_node import PerceptionNode
from fusion_ros.ros.run import run_nodes
from fusion_ros.types import Detections


class DetectionNode(PerceptionNode[DetectionNodeConfig]):
    """Finds objects in every image it gets round to."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(DETECTION, DetectionNodeConfig, **arguments)

    def load(self, config: DetectionNodeConfig) -> Detector:
        """Load the detector and create the publishers."""
        detector = Detector(config.detector)
        detector.warm_up()
        self._detections = self.add_publisher(Detection2DArray, topics.DETECTIONS, is_watched=True)
        self._drawing = self.add_publisher(Image, topics.DETECTIONS_IMAGE)
        return detector

    def accept(self, old: DetectionNodeConfig, new: DetectionNodeConfig, changed: frozenset[str]) -> None:
        """Refuse classes that the detector does not know."""
        if self._model is not None:
            self._model.configure(new.detector)

    def look(self, bgr: NDArray[np.uint8], header: Header, config: DetectionNodeConfig) -> None:
        """Publish the boxes of one image."""
        if config.detector != self._model.config:
            self._model.configure(config.detector)
        found = self._model.detect(bgr)
        self._detections.publish(detections_message(found, header))
        if self._drawing.get_subscription_count():
            self._drawing.publish(image_message(draw_detections(bgr, found), header))


def detections_message(found: Detections, header: Header) -> Detection2DArray:
    """Return the message that carries `found`; every box has the header of the image."""
    return Detection2DArray(
        header=header,
        detections=[
            _detection(header, box, confidence, class_id)
            for box, confidence, class_id in zip(
                found.xyxy.tolist(), found.confidence.tolist(), found.class_id.tolist(), strict=True
            )
        ],
    )


def _detection(header: Header, box: list[float], confidence: float, class_id: int) -> Detection2D:
    left, top, right, bottom = box
    detection = Detection2D(header=header)
    detection.bbox.center.position.x = (left + right) / 2
    detection.bbox.center.position.y = (top + bottom) / 2
    detection.bbox.size_x = right - left
    detection.bbox.size_y = bottom - top
    hypothesis = ObjectHypothesisWithPose()
    hypothesis.hypothesis.class_id = str(class_id)
    hypothesis.hypothesis.score = confidence
    detection.results = [hypothesis]
    return detection


def make_nodes() -> list[LifecycleNode]:
    """Return the nodes of this executable."""
    return [DetectionNode()]


def main() -> int:
    """Run the detection node until SIGINT or SIGTERM."""
    return run_nodes(make_nodes)


if __name__ == "__main__":
    sys.exit(main())
