"""Where the cameras are and what a point of the world looks like from there.

World axes: X to the right of the road's middle, Y up from the road, Z along the road; all in metres.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

# Nothing nearer than this is drawn: it would fill the image.
NEAR_M = 2.0
CAMERA_HEIGHT_M = 1.45
HORIZONTAL_FIELD_OF_VIEW_DEGREES = 62.0
# Row of the horizon as a share of the image height: the camera looks down a little.
HORIZON = 0.46


@dataclass(frozen=True)
class Viewpoint:
    """A pinhole camera on a vehicle that looks along the road.

    Attributes:
        width: image width in pixels.
        height: image height in pixels.
        focal_px: focal length in pixels.
        center_x: column where the direction of the road vanishes, in pixels.
        center_y: row of the horizon, in pixels.
        x: the camera's place across the road in metres.
        z: the camera's place along the road in metres.
        mount_height: height of the camera over the road in metres.
    """

    width: int
    height: int
    focal_px: float
    center_x: float
    center_y: float
    x: float
    z: float
    mount_height: float = CAMERA_HEIGHT_M

    @property
    def directions_x(self) -> NDArray[np.float32]:
        """(W,) metres to the right per metre ahead, for each column."""
        return ((np.arange(self.width, dtype=np.float32) - self.center_x) / self.focal_px).astype(np.float32)

    @property
    def directions_y(self) -> NDArray[np.float32]:
        """(H,) metres down per metre ahead, for each row."""
        return ((np.arange(self.height, dtype=np.float32) - self.center_y) / self.focal_px).astype(np.float32)

    def project(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Project (N, 3) world points to (N, 2) pixels; what lies nearer than `NEAR_M` is pushed out to it."""
        ahead = np.maximum(points[:, 2] - self.z, NEAR_M)
        scale = self.focal_px / ahead
        pixels = np.empty((len(points), 2))
        pixels[:, 0] = self.center_x + (points[:, 0] - self.x) * scale
        pixels[:, 1] = self.center_y + (self.mount_height - points[:, 1]) * scale
        return pixels

    def moved_right(self, metres: float) -> Viewpoint:
        """Return the camera that is mounted `metres` further to the right."""
        return replace(self, x=self.x + metres)


def viewpoint_at(seconds: float, distance: float, lane_x: float, width: int, height: int) -> Viewpoint:
    """Return the vehicle's camera after `seconds` of driving and `distance` metres.

    A car never runs quite straight: it sways in its lane, and its body nods.
    """
    focal = width / 2.0 / float(np.tan(np.radians(HORIZONTAL_FIELD_OF_VIEW_DEGREES) / 2.0))
    yaw = 0.008 * np.sin(0.5 * seconds) + 0.004 * np.sin(1.31 * seconds + 1.0)
    pitch = 0.0016 * np.sin(7.3 * seconds) + 0.0012 * np.sin(11.9 * seconds + 0.6)
    return Viewpoint(
        width=width,
        height=height,
        focal_px=focal,
        center_x=(width - 1) / 2.0 + focal * float(yaw),
        center_y=HORIZON * height + focal * float(pitch),
        x=lane_x + 0.16 * float(np.sin(0.42 * seconds)),
        z=distance,
    )
