"""Sky, road and house fronts behind the road users, sampled from their textures for one viewpoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fusion_ros.simulation.layers import ROAD, VisibleLayers
from fusion_ros.simulation.light import Atmosphere
from fusion_ros.simulation.scenery import (
    FACADE_HEIGHT_M,
    FACADE_LENGTH_M,
    FACADE_PIXELS_PER_M,
    FACADE_X_M,
    GROUND_HALF_WIDTH_M,
    GROUND_LENGTH_M,
    GROUND_PIXELS_PER_M,
    KERB_M,
    Facades,
    Texture,
    blotches,
    make_facades,
    make_ground,
)
from fusion_ros.simulation.viewpoint import NEAR_M, Viewpoint

# From these distances on a coarser texture is used, so that far away nothing flickers.
_COARSER_FROM_M = (0.0, 11.0, 28.0)
_COARSENESS = (1, 4, 13)
_FARTHEST_M = 150.0
_HILLS_ALBEDO = (88, 96, 82)
_FRONT_DEPTH_M = 9.0


@dataclass(frozen=True)
class Backdrop:
    """The still world, at three degrees of detail.

    Attributes:
        ground: the road, finest first.
        facades: left side and right side, each with its texture finest first.
        hills: (1024,) height of the skyline over the horizon as a share of the distance, over directions -1 to 1.
        clouds: (256, 512) float32, 0 to 1.
    """

    ground: tuple[Texture, ...]
    facades: tuple[tuple[Facades, tuple[Texture, ...]], ...]
    hills: NDArray[np.float32]
    clouds: NDArray[np.float32]

    @classmethod
    def from_seed(cls, generator: np.random.Generator) -> Backdrop:
        """Make the world's surfaces."""
        ground = make_ground(generator)
        sides = [make_facades(generator) for _side in range(2)]
        hills = 0.045 + 0.02 * blotches(generator, 2, 1024, 160)[0] + 0.008 * blotches(generator, 2, 1024, 14)[0]
        clouds = blotches(generator, 256, 512, 90) + 0.6 * blotches(generator, 256, 512, 32)
        clouds = np.clip(clouds * 1.3 - 0.1, 0, 1).astype(np.float32)
        return cls(
            _levels(ground), tuple((side, _levels(side.texture)) for side in sides), hills.astype(np.float32), clouds
        )


def _levels(texture: Texture) -> tuple[Texture, ...]:
    return tuple(texture if factor == 1 else texture.coarser(factor) for factor in _COARSENESS)


@dataclass(frozen=True)
class GroundView:
    """Where each pixel under the horizon meets the ground.

    Attributes:
        first_row: first row that shows ground.
        ahead: (h,) distance ahead of each row in metres.
        across: (h, W) place across the road in metres.
    """

    first_row: int
    ahead: NDArray[np.float32]
    across: NDArray[np.float32]


def look_at_ground(view: Viewpoint) -> GroundView:
    """Intersect the pixels with the ground."""
    down = view.directions_y
    first_row = int(np.argmax(down > view.mount_height / _FARTHEST_M))
    ahead = view.mount_height / down[first_row:]
    across = np.multiply.outer(ahead, view.directions_x) + np.float32(view.x)
    return GroundView(first_row, ahead.astype(np.float32), across.astype(np.float32))


def sample_ground(levels: list[NDArray[Any]], ground: GroundView, view: Viewpoint) -> NDArray[Any]:
    """Sample (h, W, ...) of the ground from textures of falling detail."""
    columns = np.clip((ground.across + GROUND_HALF_WIDTH_M) * GROUND_PIXELS_PER_M - 0.5, 0, levels[0].shape[1] - 1.01)
    rows = ((ground.ahead + view.z) % GROUND_LENGTH_M) * GROUND_PIXELS_PER_M - 0.5
    rows = np.repeat(rows.astype(np.float32)[:, None], view.width, axis=1)
    pieces = []
    for level, band in _bands(ground.ahead):
        pieces.append(cv2.remap(levels[level], columns[band], rows[band], cv2.INTER_LINEAR, None, cv2.BORDER_WRAP))
    return np.concatenate(pieces, axis=0)


def _bands(ahead: NDArray[np.float32]) -> list[tuple[int, slice]]:
    """Split rows, which run from far to near, by the degree of detail that their distance needs."""
    edges = [len(ahead)] + [int(np.count_nonzero(ahead >= limit)) for limit in _COARSER_FROM_M[1:]] + [0]
    bands = [(level, slice(edges[level + 1], edges[level])) for level in range(len(_COARSER_FROM_M))]
    return [(level, band) for level, band in reversed(bands) if band.start < band.stop]


@dataclass(frozen=True)
class FacadeView:
    """Where the columns of one side of the image meet the house fronts.

    Attributes:
        columns: the columns of the image, from the one nearest to the vanishing point outwards.
        ahead: (w,) distance of the wall in each column in metres.
        rows: the rows of the image that the walls can reach.
        heights: (h, w) height over the ground where each pixel meets the wall, in metres.
    """

    columns: NDArray[np.intp]
    ahead: NDArray[np.float32]
    rows: slice
    heights: NDArray[np.float32]


def look_at_facades(view: Viewpoint, side: int) -> FacadeView | None:
    """Intersect the columns on one side (-1 left, 1 right) with the house fronts."""
    with np.errstate(divide="ignore"):
        ahead = (side * FACADE_X_M - view.x) / view.directions_x
    columns = np.flatnonzero((view.directions_x * side > 0) & (ahead < _FARTHEST_M) & (ahead > NEAR_M))
    if len(columns) == 0:
        return None
    ahead = ahead[columns].astype(np.float32)
    last_row = min(view.height, int(view.center_y + view.focal_px * view.mount_height / ahead.min()) + 2)
    heights = view.mount_height - np.multiply.outer(view.directions_y[:last_row], ahead)
    return FacadeView(columns, ahead, slice(0, last_row), heights.astype(np.float32))


def sample_facades(levels: list[NDArray[Any]], facade: FacadeView, view: Viewpoint) -> NDArray[Any]:
    """Sample (h, w, ...) of the walls, zero where there is none."""
    rows = (FACADE_HEIGHT_M - facade.heights) * FACADE_PIXELS_PER_M - 0.5
    columns = ((facade.ahead + view.z) % FACADE_LENGTH_M) * FACADE_PIXELS_PER_M - 0.5
    columns = np.repeat(columns.astype(np.float32)[None, :], rows.shape[0], axis=0)
    sampled: NDArray[Any] | None = None
    for level, limit in enumerate(_COARSER_FROM_M):
        beyond = _COARSER_FROM_M[level + 1] if level + 1 < len(_COARSER_FROM_M) else np.inf
        where = np.flatnonzero((facade.ahead >= limit) & (facade.ahead < beyond))
        if len(where) == 0:
            continue
        band = slice(int(where[0]), int(where[-1]) + 1)
        piece = cv2.remap(
            levels[level], columns[:, band], rows[:, band], cv2.INTER_LINEAR, None, cv2.BORDER_CONSTANT, 0
        )
        if sampled is None:
            sampled = np.zeros((*rows.shape, *piece.shape[2:]), piece.dtype)
        sampled[:, band] = piece
    assert sampled is not None
    return sampled


def headlight_beam(across: NDArray[np.float32] | float, ahead: NDArray[np.float32] | float) -> NDArray[np.float32]:
    """Return how strongly our low beam lights a place, 1 at 10 m ahead: a cone that fades with distance."""
    reach = np.asarray(ahead, np.float32)
    spread = 1.6 + 0.20 * reach
    fade = 2.0 / (1.0 + (reach / 10.0) ** 2) * np.clip(reach / 6.0, 0, 1)
    return np.asarray(fade * np.exp(-((np.asarray(across, np.float32) / spread) ** 2)), np.float32)


def street_light(along: NDArray[np.float32] | float) -> NDArray[np.float32]:
    """Return how strongly the street lamps light a place along the road, at most 1."""
    from_lamp = np.asarray(along, np.float32) % 27.0 - 6.0
    from_lamp = np.minimum(np.abs(from_lamp), np.abs(from_lamp - 27.0))
    return np.asarray(0.25 + 0.75 * np.exp(-((from_lamp / 6.5) ** 2)), np.float32)


STREET_LAMP_LIGHT = 0.035


def draw_visible_backdrop(backdrop: Backdrop, layers: VisibleLayers, view: Viewpoint, air: Atmosphere) -> None:
    """Draw sky, hills, ground, fronts and facades as light meets them."""
    ground = look_at_ground(view)
    first = ground.first_row
    _draw_sky(backdrop, layers, view, air, first)
    sampled = sample_ground([level.look for level in backdrop.ground], ground, view)
    layers.albedo[first:] = sampled[:, :, :3]
    layers.glow[first:] = 0
    layers.sky[first:] = False
    layers.sky_light[first:] = air.daylight
    layers.lamp_light[first:] = 0
    if air.headlights > 0:
        layers.lamp_light[first:] += air.headlights * headlight_beam(ground.across - view.x, ground.ahead[:, None])
    if air.lamps > 0:
        layers.lamp_light[first:] += (air.lamps * STREET_LAMP_LIGHT) * street_light(ground.ahead + view.z)[:, None]
    layers.class_id[first:] = np.where(np.abs(ground.across) < KERB_M, ROAD, 0)
    for (side, levels), sign in zip(backdrop.facades, (-1, 1), strict=True):
        _draw_visible_fronts(side, layers, view, air, sign)
        _draw_visible_facades(levels, layers, view, air, sign)


def _draw_sky(backdrop: Backdrop, layers: VisibleLayers, view: Viewpoint, air: Atmosphere, end: int) -> None:
    """Draw sky and hills down to row `end`."""
    up = np.clip(-view.directions_y[:end] / 0.5, 0, 1)[:, None, None]
    sky = np.array(air.horizon, np.float32) * (1 - up) ** 1.6 + np.array(air.zenith, np.float32) * (1 - (1 - up) ** 1.6)
    rows = np.clip(-view.directions_y[:end, None] * 380, 0, 255) * np.ones((1, view.width), np.float32)
    columns = np.broadcast_to((view.directions_x * 240 + 256 + view.z * 0.15) % 512, rows.shape)
    cover = cv2.remap(
        backdrop.clouds,
        columns.astype(np.float32),
        rows.astype(np.float32),
        cv2.INTER_LINEAR,
        None,
        cv2.BORDER_WRAP,
    )[:, :, None]
    white = np.float32(sum(air.horizon) / 3 * 1.08)
    layers.glow[:end] = sky * (1 - 0.7 * cover) + white * 0.7 * cover
    layers.albedo[:end] = 0
    layers.sky_light[:end] = 0
    layers.sky[:end] = True
    tops = view.center_y - view.focal_px * _skyline(backdrop, view)
    hills = np.arange(end, dtype=np.float32)[:, None] > tops[None, :]
    layers.albedo[:end][hills] = _HILLS_ALBEDO
    layers.sky_light[:end][hills] = air.daylight * 0.9
    # Haze takes on the colour of the sky at the horizon.
    layers.glow[:end][hills] = np.array(air.horizon, np.float32) * 0.28
    layers.sky[:end][hills] = False


def _skyline(backdrop: Backdrop, view: Viewpoint) -> NDArray[np.float32]:
    indices = np.clip((view.directions_x + 1) * 512 + view.z * 0.05, 0, 1023).astype(np.intp)
    heights: NDArray[np.float32] = backdrop.hills[indices]
    return heights


def front_quads(side: Facades, view: Viewpoint, sign: int) -> list[tuple[NDArray[np.int32], tuple[int, int, int]]]:
    """Return corners in pixels and colours of the walls that face us, the farthest first."""
    quads = []
    for front in side.fronts:
        ahead = (front.z - view.z) % FACADE_LENGTH_M
        if NEAR_M < ahead < 110.0:
            near, far = sign * FACADE_X_M, sign * (FACADE_X_M + _FRONT_DEPTH_M)
            z = view.z + ahead
            corners = np.array([[near, 0, z], [far, 0, z], [far, front.height, z], [near, front.height, z]], float)
            quads.append((ahead, np.round(view.project(corners)).astype(np.int32), front.colour))
    quads.sort(key=lambda quad: -quad[0])
    return [(corners, colour) for _ahead, corners, colour in quads]


def _draw_visible_fronts(side: Facades, layers: VisibleLayers, view: Viewpoint, air: Atmosphere, sign: int) -> None:
    lamp = air.lamps * STREET_LAMP_LIGHT * 0.5
    covered = np.zeros(layers.sky.shape, np.uint8)
    for corners, colour in front_quads(side, view, sign):
        shaded = tuple(int(0.72 * channel) for channel in colour)
        cv2.fillConvexPoly(layers.albedo, corners, shaded)
        cv2.fillConvexPoly(covered, corners, 1)
    where = covered > 0
    layers.sky_light[where] = air.daylight
    layers.lamp_light[where] = lamp
    layers.glow[where] = 0
    layers.sky[where] = False
    layers.class_id[where] = 0


def _draw_visible_facades(
    levels: tuple[Texture, ...], layers: VisibleLayers, view: Viewpoint, air: Atmosphere, sign: int
) -> None:
    facade = look_at_facades(view, sign)
    if facade is None:
        return
    first, last = int(facade.columns[0]), int(facade.columns[-1]) + 1
    region = (facade.rows, slice(first, last))
    look = sample_facades([level.look for level in levels], facade, view)
    where = look[:, :, 3] > 127
    np.copyto(layers.albedo[region], look[:, :, :3], where=where[:, :, None])
    # One side of the street lies in the shade.
    daylight = np.float32(air.daylight * (0.62 if sign > 0 else 1.0))
    lamps = air.lamps * STREET_LAMP_LIGHT * 0.6 * street_light(facade.ahead + view.z)
    lamps = lamps + air.headlights * headlight_beam(FACADE_X_M * sign - view.x, facade.ahead)
    np.copyto(layers.sky_light[region], daylight, where=where)
    np.copyto(layers.lamp_light[region], lamps.astype(np.float32)[None, :], where=where)
    layers.glow[region][where] = 0
    if air.lamps > 0:
        glow = sample_facades([level.glow for level in levels], facade, view) * np.float32(0.11 * air.lamps)
        warm = np.array([0.35, 0.72, 1.0], np.float32)
        np.copyto(layers.glow[region], glow[:, :, None] * warm, where=where[:, :, None])
    layers.sky[region][where] = False
    layers.class_id[region][where] = 0


def draw_thermal_backdrop(
    backdrop: Backdrop, temperature: NDArray[np.float32], view: Viewpoint, air: Atmosphere
) -> None:
    """Draw the temperatures of sky, hills, ground, fronts and facades, in degrees Celsius."""
    ground = look_at_ground(view)
    end = ground.first_row
    up = np.clip(-view.directions_y[:end] / 0.35, 0, 1) ** 0.6
    near_air = air.air - 3.0
    temperature[:end] = (near_air + (air.sky - near_air) * up)[:, None]
    tops = view.center_y - view.focal_px * _skyline(backdrop, view)
    hills = np.arange(end, dtype=np.float32)[:, None] > tops[None, :]
    temperature[:end][hills] = air.air - 1.0
    warmth = sample_ground([level.warmth for level in backdrop.ground], ground, view)[:, :, 0]
    temperature[ground.first_row :] = air.air + warmth * np.float32(air.sun_warming)
    for (side, levels), sign in zip(backdrop.facades, (-1, 1), strict=True):
        for corners, _colour in front_quads(side, view, sign):
            cv2.fillConvexPoly(temperature, corners, air.air + 0.3 * air.sun_warming)
        facade = look_at_facades(view, sign)
        if facade is None:
            continue
        region = (facade.rows, slice(int(facade.columns[0]), int(facade.columns[-1]) + 1))
        sampled = sample_facades([level.warmth for level in levels], facade, view)
        warming = np.float32(air.sun_warming * (0.7 if sign > 0 else 1.0))
        np.copyto(temperature[region], air.air + sampled[:, :, 0] * warming, where=sampled[:, :, 1] > 0.5)
