"""Images of either camera as pictures that detector and segmenter take."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import Image

from fusion_ros.image_encoding import RGB_ENCODINGS, THERMAL_ENCODINGS, canonical_encoding
from fusion_ros.ros.images import check_rgb, check_thermal, rgb_array, thermal_array
from fusion_ros.thermal.agc import ThermalAgc


class AnyCamera:
    """Colour and 8 bit grey images as they are; thermal counts and degrees through gain control, as before fusion.

    The gain follows the stream, so that one of these serves one topic.
    """

    def __init__(self) -> None:
        self._agc = ThermalAgc()

    def check(self, message: Image, topic: str) -> None:
        """Look at a message's header only.

        Raises:
            InputError: unsupported encoding, size of zero, wrong step, or too few bytes.
        """
        if _is_thermal_alone(message):
            check_thermal(message, topic)
        else:
            check_rgb(message, topic)

    def picture(self, message: Image, topic: str) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 BGR of a message.

        Raises:
            InputError: as `check`.
        """
        if not _is_thermal_alone(message):
            return rgb_array(message, topic)
        return np.asarray(cv2.cvtColor(self._agc(thermal_array(message, topic)), cv2.COLOR_GRAY2BGR), np.uint8)

    def reset(self) -> None:
        """Forget the gain: the next image comes from another time."""
        self._agc.reset()


def _is_thermal_alone(message: Image) -> bool:
    encoding = canonical_encoding(message.encoding)
    return encoding in THERMAL_ENCODINGS and encoding not in RGB_ENCODINGS
