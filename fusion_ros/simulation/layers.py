"""What is painted before a sensor sees it: surfaces and light for the RGB camera, temperature for the thermal one."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from fusion_ros.simulation.light import Atmosphere
from fusion_ros.simulation.shapes import Body, Heat
from fusion_ros.simulation.viewpoint import Viewpoint

# Corners are given to OpenCV in sixteenths of a pixel.
_SHIFT = 4
_ONE = 1 << _SHIFT
SKIN_CELSIUS = 32.5

BACKGROUND, ROAD, PERSON_MASK, BICYCLE_MASK, VEHICLE_MASK = range(5)
MASK_NAMES = {
    BACKGROUND: "background",
    ROAD: "road",
    PERSON_MASK: "person",
    BICYCLE_MASK: "bicycle",
    VEHICLE_MASK: "vehicle",
}


@dataclass
class VisibleLayers:
    """The world as light meets it, with what each pixel shows.

    Attributes:
        albedo: (H, W, 3) uint8 BGR, as it would look in daylight.
        light: (H, W, 2) float32, light from the sky and from lamps in units of full daylight.
        glow: (H, W, 3) float32 BGR, light that the surface gives off.
        sky: (H, W) bool, where the sky is seen.
        class_id: (H, W) uint8, keys of `MASK_NAMES`.
        instance: (H, W) uint16, 0 for none, else 1 + index in `painted`.
        painted: pixels of each road user as it was painted, before others were painted over it.
    """

    albedo: NDArray[np.uint8]
    light: NDArray[np.float32]
    glow: NDArray[np.float32]
    sky: NDArray[np.bool_]
    class_id: NDArray[np.uint8]
    instance: NDArray[np.uint16]
    painted: list[int] = field(default_factory=list)

    @classmethod
    def blank(cls, height: int, width: int) -> VisibleLayers:
        """Return empty layers."""
        return cls(
            np.zeros((height, width, 3), np.uint8),
            np.zeros((height, width, 2), np.float32),
            np.zeros((height, width, 3), np.float32),
            np.zeros((height, width), np.bool_),
            np.zeros((height, width), np.uint8),
            np.zeros((height, width), np.uint16),
        )


def celsius(heat: Heat, air: Atmosphere) -> float:
    """Return the temperature of a part in degrees Celsius."""
    return (
        air.air
        + heat.sun * air.sun_warming
        + heat.engine * air.engine
        + heat.body * (SKIN_CELSIUS - air.air)
        + heat.sky * (air.sky - air.air)
    )


def paint_visible(
    layers: VisibleLayers, body: Body, view: Viewpoint, light: tuple[float, float], mask_value: int | None
) -> None:
    """Paint a body over the layers.

    Args:
        layers: what to paint on.
        body: the parts.
        view: the camera.
        light: light of sky and lamps on it, in units of daylight.
        mask_value: class in the mask for a road user, which also gets an instance; None for what stands still.
    """
    pixels = view.project(body.corners)
    box = _pixel_box(pixels, view)
    if box is None:
        if mask_value is not None:
            layers.painted.append(0)
        return
    left, top, right, bottom = box
    silhouette = np.zeros((bottom - top, right - left), np.uint8)
    fixed = np.round(pixels * _ONE).astype(np.int32)
    offset = np.array([left * _ONE, top * _ONE], np.int32)
    glowing = []
    for part in body.parts:
        corners = fixed[part.start : part.end]
        cv2.fillConvexPoly(layers.albedo, corners, part.colour, cv2.LINE_AA, _SHIFT)
        cv2.fillConvexPoly(silhouette, corners - offset, 255, cv2.LINE_8, _SHIFT)
        if part.glow is not None:
            glowing.append((corners, part.glow))
    where = silhouette > 0
    region = (slice(top, bottom), slice(left, right))
    layers.light[region][where] = light
    layers.glow[region][where] = 0.0
    layers.sky[region][where] = False
    layers.class_id[region][where] = BACKGROUND if mask_value is None else mask_value
    if mask_value is None:
        layers.instance[region][where] = 0
    else:
        layers.painted.append(int(np.count_nonzero(where)))
        layers.instance[region][where] = len(layers.painted)
    for corners, glow in glowing:
        cv2.fillConvexPoly(layers.glow, corners, glow, cv2.LINE_8, _SHIFT)


def paint_thermal(temperature: NDArray[np.float32], body: Body, view: Viewpoint, air: Atmosphere) -> None:
    """Paint a body's temperatures over (H, W) degrees Celsius."""
    pixels = view.project(body.corners)
    if _pixel_box(pixels, view) is None:
        return
    fixed = np.round(pixels * _ONE).astype(np.int32)
    for part in body.parts:
        cv2.fillConvexPoly(temperature, fixed[part.start : part.end], celsius(part.heat, air), cv2.LINE_8, _SHIFT)


def paint_sprite(
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


def _pixel_box(pixels: NDArray[np.float64], view: Viewpoint) -> tuple[int, int, int, int] | None:
    """Return the part of the image that the pixels span (left, top, right, bottom), None where they miss it."""
    low, high = np.floor(pixels.min(axis=0)).astype(int) - 1, np.ceil(pixels.max(axis=0)).astype(int) + 2
    left, top = max(0, int(low[0])), max(0, int(low[1]))
    right, bottom = min(view.width, int(high[0])), min(view.height, int(high[1]))
    return (left, top, right, bottom) if left < right and top < bottom else None
