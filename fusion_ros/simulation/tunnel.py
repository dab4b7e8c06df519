"""A tunnel around the road: its portal, its lining and the light in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusion_ros.simulation.layers import VisibleLayers
from fusion_ros.simulation.light import Atmosphere
from fusion_ros.simulation.scenery import FACADE_X_M
from fusion_ros.simulation.viewpoint import Viewpoint

HALF_WIDTH_M = 6.2
CEILING_M = 5.0
_PORTAL_HEIGHT_M = 9.0
_SEEN_FROM_M = 110.0
_LAMP_LIGHT = 0.016
_LINING, _TILES, _PORTAL = (96, 100, 104), (138, 142, 146), (128, 134, 140)


@dataclass(frozen=True)
class Tunnel:
    """A stretch of road under cover.

    Attributes:
        begin: where it begins along the road, in metres.
        end: where it ends.
    """

    begin: float
    end: float

    def in_sight(self, view: Viewpoint) -> bool:
        """Whether any of it can be seen."""
        return view.z < self.end and self.begin - view.z < _SEEN_FROM_M

    def covers(self, z: float) -> bool:
        """Whether a place along the road lies inside."""
        return self.begin < z < self.end

    def light_at(self, z: NDArray[np.float32] | float, air: Atmosphere) -> tuple[NDArray[np.float32], float]:
        """Return the light at places inside: daylight that falls in at both ends, and the lamps' light."""
        along = np.asarray(z, np.float32)
        from_end = np.exp(-np.maximum(self.end - along, 0) / 3.5) + np.exp(-np.maximum(along - self.begin, 0) / 3.5)
        return np.asarray(np.minimum(0.5 * from_end, 0.7) * air.daylight, np.float32), _LAMP_LIGHT

    def draw_visible(self, layers: VisibleLayers, view: Viewpoint, air: Atmosphere) -> None:
        """Draw portal and inside over what lies behind them."""
        seen = _look(self, view)
        layers.albedo[seen.portal] = _PORTAL
        layers.sky_light[seen.portal] = air.daylight * 0.7
        layers.lamp_light[seen.portal] = 0
        for where in (seen.portal, seen.lining):
            layers.glow[where] = 0
            layers.class_id[where] = 0
            layers.owner[where] = 0
        inside = seen.lining | seen.floor
        layers.sky[inside | seen.portal] = False
        tiles = seen.lining & (seen.height < 3.0) & seen.on_wall
        layers.albedo[seen.lining] = _LINING
        layers.albedo[tiles] = _TILES
        seam = seen.lining & (seen.along % 4.0 < 0.14)
        layers.albedo[seam] = (66, 70, 74)
        daylight, lamps = self.light_at(seen.along, air)
        layers.sky_light[inside] = daylight[inside]
        layers.lamp_light[inside] = lamps
        lamp = seen.lining & ~seen.on_wall & (seen.along % 7.0 < 2.0) & (np.abs(np.abs(seen.across) - 2.4) < 0.22)
        layers.glow[lamp] = (0.22, 0.36, 0.42)

    def draw_thermal(self, temperature: NDArray[np.float32], view: Viewpoint, air: Atmosphere) -> None:
        """Draw the temperatures of portal and inside: the same all year, and warm lamps."""
        seen = _look(self, view)
        temperature[seen.portal] = air.air + 0.4 * air.sun_warming
        temperature[seen.lining] = air.air - 1.5
        temperature[seen.lining & seen.on_wall & (seen.height < 3.0)] = air.air - 0.8
        temperature[seen.floor] = air.air + 0.8 + 0.12 * (temperature[seen.floor] - air.air)
        lamp = seen.lining & ~seen.on_wall & (seen.along % 7.0 < 2.0) & (np.abs(np.abs(seen.across) - 2.4) < 0.22)
        temperature[lamp] = air.air + 16.0


@dataclass(frozen=True)
class _Sight:
    """What of the tunnel each pixel shows; all arrays are (H, W)."""

    portal: NDArray[np.bool_]
    lining: NDArray[np.bool_]
    floor: NDArray[np.bool_]
    on_wall: NDArray[np.bool_]
    along: NDArray[np.float32]
    across: NDArray[np.float32]
    height: NDArray[np.float32]


def _look(tunnel: Tunnel, view: Viewpoint) -> _Sight:
    right, down = view.directions_x, view.directions_y
    with np.errstate(divide="ignore"):
        to_wall = np.where(right > 0, (HALF_WIDTH_M - view.x) / right, (-HALF_WIDTH_M - view.x) / right)
        to_ceiling = np.where(down < 0, (view.mount_height - CEILING_M) / down, np.inf)
        to_floor = np.where(down > 0, view.mount_height / down, np.inf)
    vertical = np.minimum(to_ceiling, to_floor)
    ahead = np.minimum(to_wall[None, :], vertical[:, None]).astype(np.float32)
    on_wall = to_wall[None, :] <= vertical[:, None]
    along = np.minimum(ahead, np.float32(1e5)) + np.float32(view.z)
    inside = (along > tunnel.begin) & (along < tunnel.end)
    on_floor = (to_floor[:, None] <= ahead) & inside
    to_portal = tunnel.begin - view.z
    portal = np.zeros(inside.shape, np.bool_)
    if to_portal > 0:
        x, y = view.x + right * to_portal, view.mount_height - down * to_portal
        face = (np.abs(x) < FACADE_X_M)[None, :] & ((y > 0) & (y < _PORTAL_HEIGHT_M))[:, None]
        opening = (np.abs(x) < HALF_WIDTH_M)[None, :] & (y < CEILING_M)[:, None]
        portal = face & ~opening
        # What is nearer than the portal is the open road.
        inside &= opening
        on_floor &= opening | (y <= 0)[:, None]
    reach = np.minimum(ahead, np.float32(1e4))
    return _Sight(
        portal,
        inside & ~on_floor,
        on_floor,
        on_wall,
        along,
        (view.x + right[None, :] * reach).astype(np.float32),
        (view.mount_height - down[:, None] * reach).astype(np.float32),
    )
