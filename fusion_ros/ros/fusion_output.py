"""What the fusion node publishes of a fused frame."""

from __future__ import annotations

import copy
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, Image, RegionOfInterest
from std_msgs.msg import Float32, Float32MultiArray, Header, MultiArrayDimension, MultiArrayLayout, String

from fusion_ros.ros import topics
from fusion_ros.ros.images import image_message
from fusion_ros.ros.node import StreamNode
from fusion_ros.ros.qos import latched_output
from fusion_ros.types import ExposureReading, FusedFrame

EXPOSURE_LABEL = "glare_fraction,dark_fraction,mean_luma"
_EDGE_COLOR = (0, 255, 255)


class FusionOutput:
    """The publishers of the fusion node.

    Args:
        node: creates the publishers, which live until it is cleaned up.
    """

    def __init__(self, node: StreamNode[Any, Any]) -> None:
        self._node = node
        self._image = node.add_publisher(Image, topics.FUSED_IMAGE, is_watched=True)
        self._camera_info = node.add_publisher(CameraInfo, topics.FUSED_CAMERA_INFO)
        self._mode = node.add_publisher(String, topics.FUSION_MODE, latched_output())
        self._exposure = node.add_publisher(Float32MultiArray, topics.FUSION_EXPOSURE)
        self._guidance = node.add_publisher(Image, topics.FUSION_GUIDANCE)
        self._preview = node.add_publisher(Image, topics.THERMAL_PREVIEW)
        self._overlay = node.add_publisher(Image, topics.DEBUG_OVERLAY)
        self._skew = node.add_publisher(Float32, topics.DEBUG_SKEW)
        self._mode_said: str | None = None

    def begin(self) -> None:
        """Say the mode again with the next frame: the publishers were silent while the node was inactive."""
        self._mode_said = None

    def publish(
        self,
        fused: FusedFrame,
        header: Header,
        mode: str,
        rgb: NDArray[np.uint8] | None,
        camera_info: CameraInfo | None,
    ) -> None:
        """Publish one fused frame.

        Args:
            fused: the frame.
            header: of the message it was made from.
            mode: what `fusion/mode` is to say.
            rgb: (H, W, 3) uint8 BGR, the RGB image it was made from, or None.
            camera_info: the RGB camera's calibration, or None where it is unknown or the image is not the RGB camera's.
        """
        self.publish_mode(mode)
        if self._image.get_subscription_count():
            self._image.publish(image_message(fused.image, header))
        if camera_info is not None:
            self._camera_info.publish(scaled_camera_info(camera_info, header, fused.image.shape[:2]))
        if fused.exposure is not None:
            self._exposure.publish(exposure_message(fused.exposure))
        for publisher, image in ((self._guidance, fused.guidance), (self._preview, fused.thermal)):
            if image is not None and publisher.get_subscription_count():
                publisher.publish(image_message(image, header))
        if rgb is not None and fused.thermal is not None and self._overlay.get_subscription_count():
            self._overlay.publish(image_message(edges_over(rgb, fused.thermal), header))

    def publish_mode(self, mode: str) -> None:
        """Publish the mode in force where it has changed."""
        if mode != self._mode_said:
            self._mode.publish(String(data=mode))
            self._mode_said = mode

    def publish_skew(self, skew_ms: float) -> None:
        """Publish how far apart the two stamps of a pair are."""
        self._node.publish_number(self._skew, skew_ms)


def exposure_message(reading: ExposureReading) -> Float32MultiArray:
    """Return the three figures of a reading; the label of the only dimension names them in order."""
    dimension = MultiArrayDimension(label=EXPOSURE_LABEL, size=3, stride=3)
    return Float32MultiArray(
        layout=MultiArrayLayout(dim=[dimension]),
        data=[reading.glare_fraction, reading.dark_fraction, reading.mean_luma],
    )


def scaled_camera_info(info: CameraInfo, header: Header, shape: tuple[int, ...]) -> CameraInfo:
    """Return `info` for an image of `shape` (H, W) that shows the same view, with another header.

    A calibration is of the whole sensor; `roi` and `binning` say what part of it the camera sends, and how many of its
    pixels make one (sensor_msgs/CameraInfo). Where the image has the size that follows from them they are left to who
    uses the calibration, as with the camera's own image. Where it has another, the image was resized, and focal lengths
    and principal point are those of the resized window: by pixel centres, as cv2.resize and a sensor's binning do.
    """
    scaled = copy.copy(info)
    scaled.header = header
    height, width = shape
    window = (info.roi.height or info.height, info.roi.width or info.width)
    binned = (window[0] // max(1, info.binning_y), window[1] // max(1, info.binning_x))
    if 0 in window or (height, width) in (binned, (info.height, info.width)):
        return scaled
    x, y = width / window[1], height / window[0]
    # From a pixel of the sensor to one of the window, (u + 0.5) x - 0.5.
    shift_x, shift_y = (0.5 - info.roi.x_offset) * x - 0.5, (0.5 - info.roi.y_offset) * y - 0.5
    scale = np.array([[x, 0.0, shift_x], [0.0, y, shift_y], [0.0, 0.0, 1.0]])
    scaled.height, scaled.width = height, width
    scaled.binning_x = scaled.binning_y = 0
    scaled.roi = RegionOfInterest(do_rectify=info.roi.do_rectify)
    scaled.k = (scale @ np.asarray(info.k, np.float64).reshape(3, 3)).reshape(-1)
    scaled.p = (scale @ np.asarray(info.p, np.float64).reshape(3, 4)).reshape(-1)
    return scaled


def edges_over(rgb: NDArray[np.uint8], thermal: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Draw the edges of the thermal image over the RGB image.

    Args:
        rgb: (H, W, 3) uint8 BGR.
        thermal: (h, w) uint8 of the same view.

    Returns:
        (h, w, 3) uint8 BGR.
    """
    height, width = thermal.shape
    shown = cv2.resize(rgb, (width, height)) if rgb.shape[:2] != thermal.shape else rgb.copy()
    shown[cv2.Canny(cv2.GaussianBlur(thermal, (5, 5), 0), 40, 120) > 0] = _EDGE_COLOR
    return np.asarray(shown, np.uint8)
