"""Who is on the road in each scene, and what stands beside it; drawn from the seed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fusion_ros.simulation.road_users import RoadUser
from fusion_ros.simulation.schedule import Scene, Schedule
from fusion_ros.simulation.shapes import Bgr

EGO_SPEED = 11.0
EGO_LANE_X = 1.75
_ONCOMING_SPEED = 10.0

_PAINTS: tuple[Bgr, ...] = (
    (60, 52, 170),
    (150, 92, 48),
    (205, 208, 210),
    (70, 70, 72),
    (150, 152, 155),
    (60, 120, 70),
    (40, 120, 190),
)
_JACKETS: tuple[Bgr, ...] = (
    (52, 44, 172),
    (150, 84, 40),
    (60, 62, 66),
    (190, 192, 196),
    (52, 132, 190),
    (84, 110, 62),
    (120, 66, 110),
)


@dataclass(frozen=True)
class Fixture:
    """A tree or a street lamp.

    Attributes:
        kind: `tree` or `lamp`.
        x: place across the road in metres.
        z: place along the road in metres.
        height: in metres.
        variant: which drawing to use.
    """

    kind: str
    x: float
    z: float
    height: float
    variant: int = 0


def tunnels(schedule: Schedule) -> list[tuple[float, float]]:
    """Return where tunnels begin and end along the road, in metres."""
    return [
        (schedule.starts[index] * EGO_SPEED, schedule.end_of(index) * EGO_SPEED)
        for index, scene in enumerate(schedule.scenes)
        if scene.tunnel
    ]


def populate(generator: np.random.Generator, schedule: Schedule) -> list[RoadUser]:
    """Place the road users so that each comes into view in its own scene; one car leads us all the way."""
    lead = RoadUser("car 1", "car", EGO_LANE_X, 13.0, 0.0, EGO_SPEED + 14.0 / schedule.duration, _PAINTS[0], lit=True)
    users: list[RoadUser] = [lead]
    for index, scene in enumerate(schedule.scenes):
        users += _populate_scene(generator, schedule, index, scene, len(users))
    return users


def place_fixtures(generator: np.random.Generator, schedule: Schedule, variants: int) -> list[Fixture]:
    """Line the road with trees and lamps, but for tunnels."""
    length = schedule.duration * EGO_SPEED + 160.0
    fixtures = []
    for step in range(int(length / 11.0)):
        for side in (-1, 1):
            if generator.random() < 0.62:
                x = side * float(generator.uniform(7.4, 8.8))
                z = step * 11.0 + float(generator.uniform(0, 7))
                height = float(generator.uniform(4.6, 7.2))
                fixtures.append(Fixture("tree", x, z, height, int(generator.integers(variants))))
    for step in range(int(length / 27.0)):
        side = 1 if step % 2 else -1
        fixtures.append(Fixture("lamp", side * 6.1, step * 27.0 + 6.0, 6.4))
    clear = [(begin - 4.0, end + 2.0) for begin, end in tunnels(schedule)]
    return [item for item in fixtures if not any(begin < item.z < end for begin, end in clear)]


def _populate_scene(
    generator: np.random.Generator, schedule: Schedule, index: int, scene: Scene, first: int
) -> list[RoadUser]:
    start, end = schedule.starts[index], schedule.end_of(index)
    here = start * EGO_SPEED
    lit = scene.atmosphere.daylight < 0.2
    users: list[RoadUser] = []

    def add(kind: str, x: float, z: float, speed_x: float, speed_z: float, colours: tuple[Bgr, ...]) -> None:
        # `x` and `z` are those at the start of the scene; a road user is described by its place at time zero.
        users.append(
            RoadUser(
                identity=f"{kind} {first + len(users) + 1}",
                kind=kind,
                x=x - speed_x * start,
                z=z - speed_z * start,
                speed_x=speed_x,
                speed_z=speed_z,
                colour=colours[int(generator.integers(len(colours)))],
                size=float(generator.uniform(0.93, 1.07)),
                phase=float(generator.uniform(0, 6.28)),
                lit=lit or scene.tunnel,
            )
        )

    for number in range(scene.oncoming):
        # So that the cars pass us one after the other within the scene.
        meeting = start + (end - start) * (number + 0.8) / (scene.oncoming + 0.3)
        z = here + (EGO_SPEED + _ONCOMING_SPEED) * (meeting - start) + 3.0
        add("car", -EGO_LANE_X, z, 0.0, -_ONCOMING_SPEED, _PAINTS)
    for _ in range(scene.cyclists):
        add("cyclist", 3.1, here + float(generator.uniform(16, 30)), 0.0, EGO_SPEED - 4.5, _JACKETS)
    for number in range(scene.pedestrians):
        z = here + 8.0 + (end - start) * EGO_SPEED * (number + float(generator.uniform(0.2, 0.9))) / scene.pedestrians
        if number % 3 == 2:
            # Crosses the road ahead of us and is on the sidewalk when we get there.
            meeting = max(0.5, (z - here - 6.0) / EGO_SPEED)
            add("pedestrian", 4.4 - 1.4 * meeting, z, 1.4, 0.0, _JACKETS)
            continue
        side = -1 if generator.random() < 0.4 else 1
        walk = float(generator.choice([-1.3, 1.3, 0.0], p=[0.4, 0.4, 0.2]))
        add("pedestrian", side * float(generator.uniform(5.9, 7.2)), z, 0.0, walk, _JACKETS)
    if not scene.tunnel:
        for side in (-1, 1):
            z = here + 12.0 + float(generator.uniform(0, 10))
            add("car", side * 4.65, z, 0.0, 0.0, _PAINTS)
            users[-1] = replace(users[-1], lit=False, running=False)
    return _outside_tunnels(users, schedule, index)


def _outside_tunnels(users: list[RoadUser], schedule: Schedule, index: int) -> list[RoadUser]:
    """Leave out who would stand or walk in a tunnel."""
    begin_s, end_s = schedule.starts[index], schedule.end_of(index)
    kept = []
    for user in users:
        places = [user.place_at(seconds) for seconds in (begin_s, end_s)]
        in_tunnel = any(begin - 3 < z < end + 3 for _x, z in places for begin, end in tunnels(schedule))
        if not (in_tunnel and (abs(user.x) > 3.0 or user.kind != "car")):
            kept.append(user)
    return kept
