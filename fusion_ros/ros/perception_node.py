"""What the detection and the segmentation node have in common: one image in, one answer out."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from vision_msgs.msg import LabelInfo, VisionClass

from fusion_ros.errors import InputError
from fusion_ros.pairing import BACKWARD_JUMP_NS
from fusion_ros.ros import topics
from fusion_ros.ros.any_camera import AnyCamera
from fusion_ros.ros.diagnostics import HealthReport, StatusBuilder
from fusion_ros.ros.images import stamp_of
from fusion_ros.ros.node import StreamNode
from fusion_ros.ros.parameters import DetectionNodeConfig, SegmentationNodeConfig
from fusion_ros.ros.qos import latched_output, overridable, sensor_input, subscription_events

ConfigT = TypeVar("ConfigT", bound=DetectionNodeConfig | SegmentationNodeConfig)


@dataclass(frozen=True)
class ImageItem:
    """An image on its way to the worker.

    Attributes:
        image: (H, W, 3) uint8 BGR, or the message that holds it.
        header: of the message it came in.
    """

    image: NDArray[np.uint8] | Image
    header: Header


class PerceptionNode(StreamNode[ConfigT, ImageItem]):
    """A node that looks at one image after the other.

    A subclass fills in `load` and `look`.
    """

    def __init__(self, name: str, config_class: type[ConfigT], **arguments: Any) -> None:
        self._subscription: Any = None
        self._is_fed = False
        self._model: Any = None
        self._last_stamp_ns = 0
        self._camera = AnyCamera()
        super().__init__(name, config_class, **arguments)

    # -- for subclasses ----------------------------------------------------------------------------------------------

    def load(self, config: ConfigT) -> Any:
        """Load the model, warm it up and create the publishers. The model has class_names, device and backend."""
        raise NotImplementedError

    def look(self, bgr: NDArray[np.uint8], header: Header, config: ConfigT) -> None:
        """Answer for one image and publish the answer."""
        raise NotImplementedError

    # ----------------------------------------------------------------------------------------------------------------

    def feed_in_process(self) -> None:
        """Take images from `take` instead of the topic; to be called before the node is configured."""
        self._is_fed = True

    def take(self, bgr: NDArray[np.uint8], header: Header) -> None:
        """Take an image from a node of this process. May be called from any thread; the image is not changed."""
        self.offer(ImageItem(bgr, header))

    def build(self, config: ConfigT) -> None:
        """Load the model, then create publishers and the subscription."""
        self._model = self.load(config)
        self.add_debug_publishers()
        self._label_info = self.add_publisher(LabelInfo, topics.LABEL_INFO, latched_output())
        if self._is_fed:
            return
        self._subscription = self.create_subscription(
            Image,
            topics.IMAGE,
            self._on_image,
            sensor_input(),
            qos_overriding_options=overridable(),
            event_callbacks=subscription_events(self, topics.IMAGE),
        )

    def release(self) -> None:
        """Destroy the subscription and the model."""
        if self._subscription is not None:
            self.destroy_subscription(self._subscription)
            self._subscription = None
        self._model = None
        self._last_stamp_ns = 0

    def on_time_jump(self) -> None:
        """Do not count the jump of the stamps that follows."""
        self._last_stamp_ns = 0

    def activated(self) -> None:
        """Name the classes."""
        message = LabelInfo(class_map=label_map(self._model.class_names))
        message.header.stamp = self.get_clock().now().to_msg()
        self._label_info.publish(message)

    def work(self, item: ImageItem) -> None:
        """Answer for one image."""
        config = self.store.config
        stamp_ns = stamp_of(item.header)
        self._note_jump(stamp_ns)
        if self.is_too_old(stamp_ns, config.max_age):
            return
        start = time.perf_counter()
        bgr = item.image if isinstance(item.image, np.ndarray) else self._camera.picture(item.image, self._topic())
        self.look(bgr, item.header, config)
        self.note_published(stamp_ns, (time.perf_counter() - start) * 1e3)

    def describe(self, status: StatusBuilder, report: HealthReport) -> None:
        """Model and whether images come."""
        for name in ("device", "backend"):
            status.add(name, getattr(self._model, name))
        status.add("classes", ", ".join(self._model.class_names.values()))
        if not self.is_active or report.outputs or report.newly_dropped or report.new_error:
            return
        if not self._is_fed and not self.count_publishers(self._topic()):
            status.warn(f"{self._topic()}: nobody publishes images (check the remapping)")
        elif not self.is_working:
            status.warn(f"{self._topic()}: no image in the last {report.seconds:.1f} s")

    def _on_image(self, message: Image) -> None:
        if not self.is_active:
            return
        try:
            self._camera.check(message, self._topic())
        except InputError as error:
            self.bad_input(error)
            return
        self.offer(ImageItem(message, message.header))

    def _note_jump(self, stamp_ns: int) -> None:
        # By a little, stamps go back when the fusion node passes on the one camera after the other.
        if stamp_ns < self._last_stamp_ns - BACKWARD_JUMP_NS:
            self.health.jumped(time.monotonic_ns())
            self._camera.reset()
        self._last_stamp_ns = stamp_ns

    def _topic(self) -> str:
        return str(self.resolve_topic_name(topics.IMAGE))


def label_map(class_names: Mapping[int, str]) -> list[VisionClass]:
    """Return the entries of a LabelInfo message."""
    return [VisionClass(class_id=class_id, class_name=name) for class_id, name in class_names.items()]
