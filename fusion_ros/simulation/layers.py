"""What is painted before a sensor sees it: surfaces and light for the RGB camera, temperature for the thermal one."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from fusion_ros.simulation.light import Atmosphere, Colour
from fusion_ros.simulation.shapes import Body, Heat
from fusion_ros.simulation.viewpoint import Viewpoint

# Corners are given to OpenCV in sixteenths of a pixel.
_SHIFT = 4
_ONE = 1 << _SHIFT
SKIN_CELSIUS = 32.5
# From this opacity on a pixel of a cutout counts as its own.
OPAQUE = 110

BACKGROUND, ROAD, PERSON_MASK, BICYCLE_MASK, VEHICLE_MASK = range(5)
MASK_NAMES = {
    BACKGROUND: "background",
    ROAD: "road",
    PERSON_MASK: "person",
    BICYCLE_MASK: "bicycle",
    VEHICLE_MASK: "vehicle",
}


@dataclass(frozen=True)
class Painted:
    """Something that was painted over the backdrop.

    Attributes:
        light: light of sky and of lamps on it, in units of full daylight.
        mask_value: class in the mask.
        pixels: how many it covered when it was painted.
    """

    light: tuple[float, float]
    mask_value: int
    pixels: int


@dataclass
class VisibleLayers:
    """The world as light meets it, with what each pixel shows. `settle` must be called when all is painted.

    Attributes:
        albedo: (H, W, 3) uint8 BGR, as it would look in daylight.
        sky_light: (H, W) float32, light from the sky in units of full daylight.
        lamp_light: (H, W) float32, light from lamps.
        glow: (H, W, 3) float32 BGR, light that the surface gives off.
        sky: (H, W) bool, where the sky is seen.
        class_id: (H, W) uint8, keys of `MASK_NAMES`.
        owner: (H, W) uint16, 0 for the backdrop, else 1 + index in `painted`.
        painted: what was painted over the backdrop, in order.
    """

    albedo: NDArray[np.uint8]
    sky_light: NDArray[np.float32]
    lamp_light: NDArray[np.float32]
    glow: NDArray[np.float32]
    sky: NDArray[np.bool_]
    class_id: NDArray[np.uint8]
    owner: NDArray[np.uint16]
    painted: list[Painted] = field(default_factory=list)
    _lamps: list[tuple[int, NDArray[np.int32], Colour]] = field(default_factory=list)

    @classmethod
    def blank(cls, height: int, width: int) -> VisibleLayers:
        """Return empty layers."""
        return cls(
            np.zeros((height, width, 3), np.uint8),
            np.zeros((height, width), np.float32),
            np.zeros((height, width), np.float32),
            np.zeros((height, width, 3), np.float32),
            np.zeros((height, width), np.bool_),
            np.zeros((height, width), np.uint8),
            np.zeros((height, width), np.uint16),
        )

    def paint_body(self, body: Body, view: Viewpoint, light: tuple[float, float], mask_value: int = BACKGROUND) -> int:
        """Paint a body over what is there.

        Args:
            body: the parts.
            view: the camera.
            light: light of sky and lamps on it, in units of daylight.
            mask_value: its class in the mask.

        Returns:
            its number in `owner`, 0 where it is out of sight.
        """
        pixels = view.project(body.corners)
        box = _pixel_box(pixels, view)
        if box is None:
            return 0
        number = len(self.painted) + 1
        fixed = np.round(pixels * _ONE).astype(np.int32)
        for part in body.parts:
            corners = fixed[part.start : part.end]
            cv2.fillConvexPoly(self.albedo, corners, part.colour, cv2.LINE_AA, _SHIFT)
            cv2.fillConvexPoly(self.owner, corners, number, cv2.LINE_8, _SHIFT)
            if part.glow is not None:
                self._lamps.append((number, corners, part.glow))
        covered = int(np.count_nonzero(self.owner[box] == number))
        self.painted.append(Painted(light, mask_value, covered))
        return number

    def paint_cutout(self, region: tuple[slice, slice], cutout: NDArray[np.uint8], light: tuple[float, float]) -> None:
        """Paint an (h, w, 4) drawing with opacity over a region."""
        opacity = cutout[:, :, 3:].astype(np.float32) / 255
        mixed = self.albedo[region] * (1 - opacity) + cutout[:, :, :3] * opacity
        self.albedo[region] = mixed.astype(np.uint8)
        where = cutout[:, :, 3] > OPAQUE
        self.painted.append(Painted(light, BACKGROUND, int(np.count_nonzero(where))))
        self.owner[region][where] = len(self.painted)

    def settle(self) -> None:
        """Give what was painted its light, its class and its lamps, where nothing was painted over it."""
        over = self.owner > 0
        owners = self.owner[over]
        table = np.array([(0, 0, 0), *((*item.light, item.mask_value) for item in self.painted)], np.float32)
        self.sky_light[over] = table[:, 0][owners]
        self.lamp_light[over] = table[:, 1][owners]
        self.class_id[over] = table[:, 2].astype(np.uint8)[owners]
        self.glow[over] = 0
        self.sky[over] = False
        height, width = self.owner.shape
        for number, corners, colour in self._lamps:
            left, top = np.maximum(corners.min(axis=0) // _ONE, 0)
            right, bottom = np.minimum(corners.max(axis=0) // _ONE + 2, (width, height))
            if left >= right or top >= bottom:
                continue
            lamp = np.zeros((int(bottom - top), int(right - left)), np.uint8)
            cv2.fillConvexPoly(lamp, corners - np.array([left, top], np.int32) * _ONE, 1, cv2.LINE_8, _SHIFT)
            region = (slice(int(top), int(bottom)), slice(int(left), int(right)))
            self.glow[region][(lamp > 0) & (self.owner[region] == number)] = colour


def celsius(heat: Heat, air: Atmosphere) -> float:
    """Return the temperature of a part in degrees Celsius."""
    return (
        air.air
        + heat.sun * air.sun_warming
        + heat.engine * air.engine
        + heat.body * (SKIN_CELSIUS - air.air)
        + heat.sky * (air.sky - air.air)
    )


def paint_thermal(temperature: NDArray[np.float32], body: Body, view: Viewpoint, air: Atmosphere) -> None:
    """Paint a body's temperatures over (H, W) degrees Celsius."""
    pixels = view.project(body.corners)
    if _pixel_box(pixels, view) is None:
        return
    fixed = np.round(pixels * _ONE).astype(np.int32)
    for part in body.parts:
        cv2.fillConvexPoly(temperature, fixed[part.start : part.end], celsius(part.heat, air), cv2.LINE_8, _SHIFT)


def place_cutout(
    sprite: NDArray[np.uint8], x: float, z: float, height_m: float, view: Viewpoint
) -> tuple[tuple[slice, slice], NDArray[np.uint8]] | None:
    """Scale a (h, w, 4) drawing to its place.

    Returns:
        the region of the image and the (h, w, 4) piece that covers it, or None where it is out of sight.
    """
    aspect = sprite.shape[1] / sprite.shape[0]
    half = height_m * aspect / 2
    corners = view.project(np.array([[x - half, height_m, z], [x + half, 0.0, z]]))
    left, top = (int(np.floor(value)) for value in corners[0])
    width, height = (max(1, int(np.ceil(value))) for value in corners[1] - corners[0])
    first_x, first_y = max(0, left), max(0, top)
    last_x, last_y = min(view.width, left + width), min(view.height, top + height)
    if first_x >= last_x or first_y >= last_y or height < 3:
        return None
    scaled = cv2.resize(sprite, (width, height), interpolation=cv2.INTER_AREA if height < 160 else cv2.INTER_LINEAR)
    piece = scaled[first_y - top : last_y - top, first_x - left : last_x - left]
    return (slice(first_y, last_y), slice(first_x, last_x)), np.asarray(piece, np.uint8)


def _pixel_box(pixels: NDArray[np.float64], view: Viewpoint) -> tuple[slice, slice] | None:
    """Return the rows and columns of the image that the pixels span, None where they miss it."""
    low, high = pixels.min(axis=0), pixels.max(axis=0)
    left, top = max(0, int(low[0]) - 1), max(0, int(low[1]) - 1)
    right, bottom = min(view.width, int(high[0]) + 3), min(view.height, int(high[1]) + 3)
    return (slice(top, bottom), slice(left, right)) if left < right and top < bottom else None
