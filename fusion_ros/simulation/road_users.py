"""Cars, pedestrians and cyclists: how they move and what they look like."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fusion_ros.simulation.shapes import Bgr, Body, Heat
from fusion_ros.simulation.viewpoint import NEAR_M, Viewpoint

PERSON, BICYCLE, CAR = 0, 1, 2
# No road user reaches farther to the side of its middle than this; a cyclist's arms and a car's wheels included.
_REACH_M = 1.6
CAR_LENGTH_M = 4.2
# Details are drawn up to this distance in an image 320 pixels wide.
_FINE_TO_M = 32.0
CLASS_NAMES = {PERSON: "person", BICYCLE: "bicycle", CAR: "car"}

_GLASS, _RUBBER = (60, 52, 46), (26, 26, 28)
_GLASS_HEAT = Heat(sky=0.45)
_SKIN_HEAT, _CLOTH_HEAT, _TROUSER_HEAT = Heat(body=1.0), Heat(body=0.62, sun=0.1), Heat(body=0.50, sun=0.1)


@dataclass(frozen=True)
class RoadUser:
    """Somebody or something that moves.

    Attributes:
        identity: the same in every frame, such as `car 3`.
        kind: `car`, `pedestrian` or `cyclist`.
        x: place across the road in metres at time zero.
        z: place of the near end along the road in metres at time zero.
        speed_x: metres per second across the road.
        speed_z: metres per second along the road.
        colour: of the paint or the jacket, BGR in daylight.
        size: factor on the usual size.
        phase: where in its stride it is at time zero, in radians.
        lit: whether a car has its lights on.
        running: whether a car's engine is warm.
    """

    identity: str
    kind: str
    x: float
    z: float
    speed_x: float
    speed_z: float
    colour: Bgr
    size: float = 1.0
    phase: float = 0.0
    lit: bool = False
    running: bool = True

    def place_at(self, seconds: float) -> tuple[float, float]:
        """Return (x, z) at `seconds`."""
        return self.x + self.speed_x * seconds, self.z + self.speed_z * seconds

    def bodies_at(self, seconds: float, view: Viewpoint) -> list[tuple[int, str, Body]]:
        """Return what is to be drawn: class, identity and body, the farther one first; nothing where out of sight."""
        x, z = self.place_at(seconds)
        ahead = max(NEAR_M, z - view.z)
        column, reach = view.center_x + view.focal_px * (x - view.x) / ahead, view.focal_px * _REACH_M / ahead
        beside_us = self.kind == "car" and z - view.z < CAR_LENGTH_M
        if not beside_us and (column + reach < 0 or column - reach > view.width):
            return []
        # What is smaller than a pixel is left out.
        fine = ahead < _FINE_TO_M * view.width / 320
        if self.kind == "car":
            return [(CAR, self.identity, _car(self, x, z, view.x, fine))]
        stride = self.phase + 6.2 * seconds
        if self.kind == "pedestrian":
            return [(PERSON, self.identity, _pedestrian(self, x, z, stride, fine))]
        bicycle, rider = _cyclist(self, x, z, stride)
        return [
            (BICYCLE, self.identity.replace("cyclist", "bicycle"), bicycle),
            (PERSON, self.identity.replace("cyclist", "person on bicycle"), rider),
        ]


def _shade(colour: Bgr, factor: float) -> Bgr:
    return (
        min(255, int(colour[0] * factor)),
        min(255, int(colour[1] * factor)),
        min(255, int(colour[2] * factor)),
    )


def _car(car: RoadUser, x: float, z: float, camera_x: float, fine: bool) -> Body:
    """Draw a hatchback as its visible side, its roof line and the end that faces us."""
    body = Body()
    half, tall, length = 0.89 * car.size, 1.47 * car.size, CAR_LENGTH_M * car.size
    oncoming, warm = car.speed_z < 0, float(car.running)
    paint = Heat(sun=0.55, engine=0.06 * warm)
    # Seen from the end that faces us: how far back the glass starts and ends, and where the roof ends.
    glass_foot, glass_top, roof_end = (1.05, 1.75, 3.6) if oncoming else (0.12, 0.55, 2.5)
    far_foot = 3.95 if oncoming else 3.15
    belt, sill = 0.62 * tall, 0.22
    side = -half if x - half > camera_x else half if x + half < camera_x else None
    if side is not None:
        sx = x + side
        lower = [
            (0.0, sill),
            (0.0, belt * 0.92),
            (glass_foot, belt),
            (far_foot, belt),
            (length, belt * 0.85),
            (length, sill),
        ]
        body.add([(sx, y, z + d * car.size) for d, y in lower], _shade(car.colour, 0.78), paint)
        cabin = [(glass_foot, belt), (glass_top, tall), (roof_end, tall), (far_foot, belt)]
        body.add([(sx * 1.0, y, z + d * car.size) for d, y in cabin], _shade(car.colour, 0.7), paint)
        panes = [
            (glass_foot + 0.3, belt),
            (glass_top + 0.12, tall - 0.09),
            (roof_end - 0.1, tall - 0.09),
            (far_foot - 0.3, belt),
        ]
        body.add([(sx, y, z + d * car.size) for d, y in panes], _GLASS, _GLASS_HEAT)
        for wheel in (0.75, 3.35):
            center = (sx, 0.32, z + wheel * car.size)
            body.add_wheel_sideways(center, 0.33, _RUBBER, Heat(sun=0.4, engine=0.55 * warm))
            if fine:
                body.add_wheel_sideways(center, 0.18, (150, 150, 150), Heat(sun=0.4, engine=0.8 * warm))
    _add_car_end(body, car, x, z, half, tall, belt, glass_foot, glass_top, oncoming, fine)
    return body


def _add_car_end(
    body: Body,
    car: RoadUser,
    x: float,
    z: float,
    half: float,
    tall: float,
    belt: float,
    glass_foot: float,
    glass_top: float,
    oncoming: bool,
    fine: bool,
) -> None:
    warm = float(car.running)
    running = Heat(sun=0.4, engine=0.6 * warm)
    foot, top = z + glass_foot * car.size, z + glass_top * car.size
    for side in (-1, 1):
        inner, outer = x + side * (half - 0.24), x + side * (half - 0.02)
        body.add_facing([(inner, 0.0), (outer, 0.0), (outer, 0.4), (inner, 0.4)], z, _RUBBER, running)
    # Shadow and hot exhaust under the car.
    under = [(x - half + 0.24, 0.14), (x + half - 0.24, 0.14), (x + half - 0.1, 0.35), (x - half + 0.1, 0.35)]
    body.add_facing(under, z, (18, 18, 18), Heat(sun=0.3, engine=0.75 * warm))
    # From the belt up to the roof, leaning back.
    body.add(
        [
            (x - half * 0.93, belt, foot),
            (x + half * 0.93, belt, foot),
            (x + half * 0.74, tall, top),
            (x - half * 0.74, tall, top),
        ],
        car.colour,
        Heat(sun=0.6),
    )
    body.add(
        [
            (x - half * 0.84, belt + 0.04, foot),
            (x + half * 0.84, belt + 0.04, foot),
            (x + half * 0.67, tall - 0.08, top),
            (x - half * 0.67, tall - 0.08, top),
        ],
        _GLASS,
        _GLASS_HEAT,
    )
    if oncoming:
        bonnet = [
            (x - half, belt * 0.86, z),
            (x + half, belt * 0.86, z),
            (x + half * 0.9, belt, foot),
            (x - half * 0.9, belt, foot),
        ]
        body.add(bonnet, _shade(car.colour, 1.12), Heat(sun=0.6, engine=0.62 * warm))
    face = [
        (x - half, 0.3),
        (x + half, 0.3),
        (x + half * 1.0, belt * 0.8),
        (x + half * 0.95, belt),
        (x - half * 0.95, belt),
        (x - half, belt * 0.8),
    ]
    if oncoming:
        face = [(x - half, 0.3), (x + half, 0.3), (x + half, belt * 0.86), (x - half, belt * 0.86)]
    body.add_facing(face, z, car.colour, Heat(sun=0.5, engine=(0.35 if oncoming else 0.1) * warm))
    body.add_facing(
        [(x - half, 0.26), (x + half, 0.26), (x + half, 0.45), (x - half, 0.45)],
        z,
        _shade(car.colour, 0.55),
        Heat(sun=0.5, engine=0.25 * warm),
    )
    if oncoming:
        grille = [(x - half * 0.5, 0.46), (x + half * 0.5, 0.46), (x + half * 0.55, 0.64), (x - half * 0.55, 0.64)]
        body.add_facing(grille, z, (30, 30, 32), Heat(engine=0.95 * warm))
    if not fine and not car.lit:
        return
    plate = [(x - 0.26, 0.5), (x + 0.26, 0.5), (x + 0.26, 0.62), (x - 0.26, 0.62)]
    body.add_facing(plate, z, (210, 215, 215), Heat(sun=0.4))
    _add_lamps(body, car, x, z, half, belt, oncoming)


def _add_lamps(body: Body, car: RoadUser, x: float, z: float, half: float, belt: float, oncoming: bool) -> None:
    y = belt * 0.72 if oncoming else belt * 0.82
    colour: Bgr = (225, 232, 235) if oncoming else (36, 30, 185)
    glow = None
    if car.lit:
        glow = (62.0, 74.0, 80.0) if oncoming else (0.02, 0.03, 0.9)
    for side in (-1, 1):
        center = (x + side * half * 0.76, y, z - 0.02)
        body.add_ellipse(center, 0.17, 0.10, colour, Heat(engine=0.35 * car.running, sun=0.3), glow)


def _pedestrian(person: RoadUser, x: float, z: float, stride: float, fine: bool) -> Body:
    body = Body()
    tall = 1.74 * person.size
    crossing = abs(person.speed_x) > abs(person.speed_z)
    standing = person.speed_x == 0 and person.speed_z == 0
    swing = 0.0 if standing else float(np.sin(stride))
    hip, shoulder, neck = 0.50 * tall, 0.81 * tall, 0.86 * tall
    reach = 0.17 * tall if crossing else 0.035 * tall
    trousers = (70, 56, 48) if sum(person.colour) > 240 else (96, 88, 84)
    apart = 0.02 * tall if crossing else 0.055 * tall
    for side in (-1, 1):
        lift = 0.05 * tall * max(0.0, side * float(np.cos(stride))) * (not standing)
        foot = (x + side * swing * reach + side * apart, lift + 0.04)
        knee = (x + 0.55 * side * swing * reach + side * apart, 0.27 * tall + lift * 0.7)
        if not fine:
            body.add_limb((x + side * apart, hip), foot, 0.09 * tall, z, trousers, _TROUSER_HEAT)
            continue
        body.add_limb((x + side * apart, hip), knee, 0.10 * tall, z, trousers, _TROUSER_HEAT)
        body.add_limb(knee, foot, 0.08 * tall, z, _shade(trousers, 0.9), _TROUSER_HEAT)
        body.add_ellipse((foot[0], foot[1], z), 0.06 * tall, 0.03 * tall, (30, 30, 34), Heat(body=0.3, sun=0.2))
    wide = 0.085 * tall if crossing else 0.135 * tall
    torso = [(x - wide * 0.8, hip - 0.03), (x + wide * 0.8, hip - 0.03), (x + wide, shoulder), (x - wide, shoulder)]
    back_arm = (x - swing * reach * 0.9 * (1 if crossing else 0.3), 0.50 * tall)
    sleeve = _shade(person.colour, 0.85)
    if crossing and fine:
        body.add_limb((x, shoulder - 0.02), back_arm, 0.06 * tall, z, sleeve, _CLOTH_HEAT)
    body.add_facing(torso, z, person.colour, _CLOTH_HEAT)
    if fine:
        body.add_ellipse((x, shoulder, z), wide, 0.035 * tall, person.colour, _CLOTH_HEAT)
    for side in (-1, 1):
        if (crossing and side < 0) or not fine:
            continue
        arm_x = x if crossing else x + side * wide
        hand = (arm_x + side * (0.02 + swing * reach * (0.9 if crossing else 0.2)), 0.48 * tall)
        body.add_limb((arm_x, shoulder - 0.03), hand, 0.06 * tall, z, sleeve, _CLOTH_HEAT)
        body.add_ellipse((hand[0], hand[1], z), 0.026 * tall, 0.03 * tall, (140, 165, 205), _SKIN_HEAT)
    body.add_ellipse((x, neck + 0.055 * tall, z), 0.052 * tall, 0.072 * tall, (138, 162, 204), _SKIN_HEAT)
    hair = (x, neck + 0.09 * tall, z)
    body.add_ellipse(hair, 0.055 * tall, 0.045 * tall, (34, 42, 54), Heat(body=0.78))
    return body


def _cyclist(cyclist: RoadUser, x: float, z: float, stride: float) -> tuple[Body, Body]:
    """Draw a bicycle that goes along the road, with its rider, from behind or in front."""
    bicycle, rider = Body(), Body()
    metal, rubber = Heat(sun=0.4), Heat(sun=0.5, engine=0.1)
    bicycle.add_ellipse((x, 0.34, z + 1.0), 0.05, 0.34, _RUBBER, rubber)
    bicycle.add_ellipse((x, 0.34, z), 0.06, 0.34, _RUBBER, rubber)
    bicycle.add_limb((x, 0.34), (x, 0.98), 0.08, z, cyclist.colour, metal)
    bicycle.add_limb((x - 0.31, 1.05), (x + 0.31, 1.05), 0.06, z, (60, 60, 64), metal)
    bicycle.add_facing([(x - 0.1, 0.6), (x + 0.1, 0.6), (x + 0.08, 0.74), (x - 0.08, 0.74)], z, (40, 36, 150), metal)
    for side in (-1, 1):
        turn = stride if side > 0 else stride + np.pi
        foot = (x + side * 0.13, 0.32 + 0.16 * float(np.sin(turn)))
        knee = (x + side * 0.16, 0.74 + 0.10 * float(np.sin(turn)))
        rider.add_limb((x + side * 0.1, 1.02), knee, 0.16, z, (72, 60, 54), _TROUSER_HEAT)
        rider.add_limb(knee, foot, 0.12, z, (66, 56, 50), _TROUSER_HEAT)
        rider.add_ellipse((foot[0], foot[1], z), 0.07, 0.05, (30, 30, 34), Heat(body=0.3))
        rider.add_limb((x + side * 0.22, 1.46), (x + side * 0.30, 1.06), 0.10, z, cyclist.colour, _CLOTH_HEAT)
    torso = [(x - 0.17, 0.98), (x + 0.17, 0.98), (x + 0.24, 1.50), (x - 0.24, 1.50)]
    rider.add_facing(torso, z, cyclist.colour, _CLOTH_HEAT)
    rider.add_ellipse((x, 1.64, z), 0.10, 0.13, (138, 162, 204), _SKIN_HEAT)
    rider.add_ellipse((x, 1.70, z), 0.115, 0.09, (200, 205, 210), Heat(body=0.45, sun=0.3))
    return bicycle, rider
