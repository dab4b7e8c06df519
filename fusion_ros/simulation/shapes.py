"""The parts that cars, people and bicycles are drawn from, placed in the world."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Bgr = tuple[int, int, int]

# Corners of the polygon that stands for a circle.
_TURN = np.linspace(0, 2 * np.pi, 14, endpoint=False)


@dataclass(frozen=True)
class Heat:
    """Where a part's temperature comes from.

    Attributes:
        sun: share of the warming that asphalt gets from the sun.
        engine: share of the heat of a running engine.
        body: share of the way from the air to the temperature of skin.
        sky: share of the way from the air to the temperature of the sky, for what reflects it.
    """

    sun: float = 0.0
    engine: float = 0.0
    body: float = 0.0
    sky: float = 0.0


@dataclass(frozen=True)
class Part:
    """One flat piece.

    Attributes:
        start: index of its first corner among the corners of the whole.
        end: index after its last corner.
        colour: BGR in daylight.
        heat: where its temperature comes from.
        glow: light it gives off in units of daylight (BGR), None for none.
        stroke_m: width in metres of an outline that is drawn instead of a filled piece, 0 for a filled one.
    """

    start: int
    end: int
    colour: Bgr
    heat: Heat
    glow: tuple[float, float, float] | None = None
    stroke_m: float = 0.0


@dataclass
class Body:
    """Parts in the order in which to paint them, with all their corners in one array."""

    parts: list[Part] = field(default_factory=list)
    _corners: list[NDArray[np.float64]] = field(default_factory=list)
    _count: int = 0

    @property
    def corners(self) -> NDArray[np.float64]:
        """(N, 3) corners of all parts, X, Y, Z in metres."""
        return np.concatenate(self._corners) if self._corners else np.empty((0, 3))

    def add(
        self,
        points: NDArray[np.float64] | list[tuple[float, float, float]],
        colour: Bgr,
        heat: Heat,
        glow: tuple[float, float, float] | None = None,
        stroke_m: float = 0.0,
    ) -> None:
        """Add a piece with the given corners."""
        corners = np.asarray(points, np.float64)
        self.parts.append(Part(self._count, self._count + len(corners), colour, heat, glow, stroke_m))
        self._corners.append(corners)
        self._count += len(corners)

    def add_facing(
        self, outline: list[tuple[float, float]], z: float, colour: Bgr, heat: Heat, stroke_m: float = 0.0
    ) -> None:
        """Add a piece that faces the camera: (x, y) corners at one distance."""
        self.add([(x, y, z) for x, y in outline], colour, heat, None, stroke_m)

    def add_ellipse(
        self,
        center: tuple[float, float, float],
        radius_x: float,
        radius_y: float,
        colour: Bgr,
        heat: Heat,
        glow: tuple[float, float, float] | None = None,
        stroke_m: float = 0.0,
    ) -> None:
        """Add an upright ellipse that faces the camera."""
        points = np.empty((len(_TURN), 3))
        points[:, 0] = center[0] + radius_x * np.cos(_TURN)
        points[:, 1] = center[1] + radius_y * np.sin(_TURN)
        points[:, 2] = center[2]
        self.add(points, colour, heat, glow, stroke_m)

    def add_wheel_sideways(self, center: tuple[float, float, float], radius: float, colour: Bgr, heat: Heat) -> None:
        """Add a disc that faces across the road, such as the wheel of a car that drives along it."""
        points = np.empty((len(_TURN), 3))
        points[:, 0] = center[0]
        points[:, 1] = center[1] + radius * np.sin(_TURN)
        points[:, 2] = center[2] + radius * np.cos(_TURN)
        self.add(points, colour, heat)

    def add_limb(
        self, start: tuple[float, float], end: tuple[float, float], width: float, z: float, colour: Bgr, heat: Heat
    ) -> None:
        """Add a straight limb from `start` to `end` (x, y) that faces the camera."""
        x, y = end[0] - start[0], end[1] - start[1]
        length = float(np.hypot(x, y)) or 1.0
        across, along = (
            (-y / length * width / 2, x / length * width / 2),
            (x / length * 0.3 * width, y / length * width),
        )
        corners = [
            (start[0] + across[0] - along[0], start[1] + across[1] - 0.3 * along[1]),
            (end[0] + across[0] + along[0], end[1] + across[1] + 0.3 * along[1]),
            (end[0] - across[0] + along[0], end[1] - across[1] + 0.3 * along[1]),
            (start[0] - across[0] - along[0], start[1] - across[1] - 0.3 * along[1]),
        ]
        self.add_facing(corners, z, colour, heat)
