"""The world of one drive, and how it is painted for either camera at any moment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusion_ros.simulation.backdrop import (
    STREET_LAMP_LIGHT,
    Backdrop,
    draw_thermal_backdrop,
    draw_visible_backdrop,
    headlight_beam,
    street_light,
)
from fusion_ros.simulation.layers import (
    BICYCLE_MASK,
    OPAQUE,
    PERSON_MASK,
    ROAD,
    VEHICLE_MASK,
    VisibleLayers,
    paint_thermal,
    place_cutout,
)
from fusion_ros.simulation.light import Atmosphere
from fusion_ros.simulation.population import (
    EGO_LANE_X,
    EGO_SPEED,
    Fixture,
    place_fixtures,
    populate,
    tunnels,
)
from fusion_ros.simulation.road_users import BICYCLE, CAR, CAR_LENGTH_M, PERSON, RoadUser
from fusion_ros.simulation.scenery import make_tree
from fusion_ros.simulation.schedule import Schedule
from fusion_ros.simulation.shapes import Body, Heat
from fusion_ros.simulation.tunnel import Tunnel
from fusion_ros.simulation.viewpoint import NEAR_M, Viewpoint, viewpoint_at

_MASK_OF_CLASS = {PERSON: PERSON_MASK, BICYCLE: BICYCLE_MASK, CAR: VEHICLE_MASK}
# Beyond these distances things are smaller than a few pixels.
_FIXTURES_TO_M = 110.0
_USERS_TO_M = 75.0
_SHADOWS_TO_M = 45.0
_TREE_VARIANTS = 5


@dataclass(frozen=True)
class SeenUser:
    """A road user as it was painted: `number` is its number among the owners of the layers."""

    number: int
    class_id: int
    identity: str


@dataclass(frozen=True)
class _Item:
    """Something to be painted in its turn."""

    z: float
    user: RoadUser | None = None
    fixture: Fixture | None = None


class World:
    """Everything that is on and beside the road during one drive."""

    def __init__(self, generator: np.random.Generator, schedule: Schedule) -> None:
        self._schedule = schedule
        self._backdrop = Backdrop.from_seed(generator)
        self._trees = [make_tree(generator) for _variant in range(_TREE_VARIANTS)]
        self._users = populate(generator, schedule)
        self._fixtures = place_fixtures(generator, schedule, _TREE_VARIANTS)
        self._tunnels = [Tunnel(begin, end) for begin, end in tunnels(schedule)]

    def viewpoint(self, seconds: float, width: int, height: int) -> Viewpoint:
        """Return the vehicle's camera at `seconds`."""
        return viewpoint_at(seconds, EGO_SPEED * seconds, EGO_LANE_X, width, height)

    def paint_visible(self, view: Viewpoint, seconds: float) -> tuple[VisibleLayers, list[SeenUser]]:
        """Paint what an RGB camera at `view` has before it, and say who is in it."""
        air = self._schedule.atmosphere_at(seconds)
        layers = VisibleLayers.blank(view.height, view.width)
        seen: list[SeenUser] = []
        draw_visible_backdrop(self._backdrop, layers, view, air)
        tunnel = self._tunnel_in_sight(view)
        for item in self._items(view, seconds, tunnel):
            if item is None:
                assert tunnel is not None
                tunnel.draw_visible(layers, view, air)
                continue
            if item.fixture is not None:
                self._paint_fixture(layers, item.fixture, view, air)
                continue
            assert item.user is not None
            x, z = item.user.place_at(seconds)
            light = self._light_at(x, z, view, air)
            for class_id, identity, body in item.user.bodies_at(seconds, view):
                if z - view.z < _SHADOWS_TO_M:
                    layers.paint_body(_shadow(body), view, (0.55 * light[0], 0.55 * light[1]), ROAD)
                number = layers.paint_body(body, view, light, _MASK_OF_CLASS[class_id])
                if number:
                    seen.append(SeenUser(number, class_id, identity))
        layers.settle()
        return layers, seen

    def paint_thermal(self, view: Viewpoint, seconds: float) -> NDArray[np.float32]:
        """Paint the temperatures before a thermal camera at `view`: (H, W) degrees Celsius."""
        air = self._schedule.atmosphere_at(seconds)
        # Not left to chance: a pixel that no surface covers has the temperature of the air.
        temperature = np.full((view.height, view.width), air.air, np.float32)
        draw_thermal_backdrop(self._backdrop, temperature, view, air)
        tunnel = self._tunnel_in_sight(view)
        for item in self._items(view, seconds, tunnel):
            if item is None:
                assert tunnel is not None
                tunnel.draw_thermal(temperature, view, air)
            elif item.user is not None:
                for _class_id, _identity, body in item.user.bodies_at(seconds, view):
                    paint_thermal(temperature, body, view, air)
            elif item.fixture is not None and item.fixture.kind == "tree":
                self._paint_tree_temperature(temperature, item.fixture, view, air)
            elif item.fixture is not None:
                paint_thermal(temperature, _lamp_post(item.fixture, 0.0), view, air)
        return temperature

    def _tunnel_in_sight(self, view: Viewpoint) -> Tunnel | None:
        return next((tunnel for tunnel in self._tunnels if tunnel.in_sight(view)), None)

    def _items(self, view: Viewpoint, seconds: float, tunnel: Tunnel | None) -> list[_Item | None]:
        """List what is in sight, the farthest first; None stands for the tunnel, in its turn."""
        nearest = view.z + NEAR_M + 0.3
        items = [_Item(user.place_at(seconds)[1], user=user) for user in self._users]
        # A car is still beside us when its end that we saw first is behind us.
        lengths = {"car": CAR_LENGTH_M}
        items = [
            item
            for item in items
            if item.user and nearest < item.z + lengths.get(item.user.kind, 0.0) and item.z < view.z + _USERS_TO_M
        ]
        items += [
            _Item(fixture.z, fixture=fixture)
            for fixture in self._fixtures
            if nearest < fixture.z < view.z + _FIXTURES_TO_M
        ]
        items.sort(key=lambda item: -item.z)
        if tunnel is None:
            return list(items)
        beyond = [item for item in items if item.z > tunnel.end]
        return [*beyond, None, *(item for item in items if item.z <= tunnel.end)]

    def _light_at(self, x: float, z: float, view: Viewpoint, air: Atmosphere) -> tuple[float, float]:
        """Return the light of sky and of lamps on something at a place."""
        for tunnel in self._tunnels:
            if tunnel.covers(z):
                daylight, lamps = tunnel.light_at(z, air)
                return float(daylight), lamps
        lamps = 0.0
        if air.headlights > 0:
            lamps += air.headlights * float(headlight_beam(x - view.x, z - view.z))
        if air.lamps > 0:
            lamps += air.lamps * STREET_LAMP_LIGHT * 0.7 * float(street_light(z))
        return air.daylight * 0.9, lamps

    def _paint_fixture(self, layers: VisibleLayers, fixture: Fixture, view: Viewpoint, air: Atmosphere) -> None:
        light = self._light_at(fixture.x, fixture.z, view, air)
        if fixture.kind == "lamp":
            layers.paint_body(_lamp_post(fixture, air.lamps), view, light)
            return
        placed = place_cutout(self._trees[fixture.variant], fixture.x, fixture.z, fixture.height, view)
        if placed is None:
            return
        region, piece = placed
        layers.paint_cutout(region, piece, light)

    def _paint_tree_temperature(
        self, temperature: NDArray[np.float32], fixture: Fixture, view: Viewpoint, air: Atmosphere
    ) -> None:
        placed = place_cutout(self._trees[fixture.variant], fixture.x, fixture.z, fixture.height, view)
        if placed is None:
            return
        region, piece = placed
        # Leaves are near the temperature of the air; the lighter ones in the drawing are those in the sun.
        leaves = air.air - 1.5 + piece[:, :, 1].astype(np.float32) * np.float32(0.015 + 0.0015 * air.sun_warming)
        np.copyto(temperature[region], leaves, where=piece[:, :, 3] > OPAQUE)


def _shadow(body: Body) -> Body:
    """Return the dark patch on the road under a body."""
    corners = body.corners
    low, high = corners.min(axis=0), corners.max(axis=0)
    middle, half = (low[0] + high[0]) / 2, (high[0] - low[0]) / 2 + 0.06
    depth = max(0.25, (high[2] - low[2]) * 0.5)
    turn = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    ring = np.column_stack(
        [middle + half * 1.1 * np.cos(turn), np.zeros(12), (low[2] + high[2]) / 2 + depth * 1.15 * np.sin(turn)]
    )
    shadow = Body()
    shadow.add(ring, (58, 56, 54), Heat(sun=0.6))
    return shadow


def _lamp_post(fixture: Fixture, strength: float) -> Body:
    post = Body()
    grey, metal = (84, 86, 88), Heat(sun=0.5)
    inwards = -1.6 if fixture.x > 0 else 1.6
    top = fixture.height
    post.add_facing(
        [(fixture.x - 0.09, 0), (fixture.x + 0.09, 0), (fixture.x + 0.05, top), (fixture.x - 0.05, top)],
        fixture.z,
        grey,
        metal,
    )
    arm = [
        (fixture.x, top),
        (fixture.x + inwards, top + 0.25),
        (fixture.x + inwards, top + 0.12),
        (fixture.x, top - 0.12),
    ]
    post.add_facing(arm, fixture.z, grey, metal)
    glow = (1.6 * strength, 3.0 * strength, 4.2 * strength) if strength > 0 else None
    head = (fixture.x + inwards, top + 0.12, fixture.z)
    post.add_ellipse(head, 0.36, 0.09, (200, 205, 208), Heat(sun=0.5, engine=0.9 * strength), glow)
    return post
